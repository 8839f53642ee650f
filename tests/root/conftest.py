"""A cluster that the tests of a file share, and a desk for one of a test's own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from kit.desk import TEN, Desk


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """Ten nodes that are up; tests of a module share them and must leave them running."""
    made = Desk(tmp_path_factory.mktemp("desk"))
    made.ok("up", str(made.write("ten.toml", TEN)))
    try:
        yield made
        made.ok("down")
        made.assert_nothing_left()
    finally:
        made.close()


@pytest.fixture
def other(tmp_path: Path) -> Iterator[Desk]:
    """A desk whose cluster is not up yet."""
    made = Desk(tmp_path, "other")
    yield made
    made.close()

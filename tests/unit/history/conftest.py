"""A whole run folder of a test's own."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from kit import run_folders


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder that tests of a module only read."""
    return run_folders.good(tmp_path_factory.mktemp("runs"))


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    """A copy of it, which a test may change."""
    return shutil.copytree(made, tmp_path / "run")

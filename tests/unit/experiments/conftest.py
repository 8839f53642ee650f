"""What is unpacked here is noted in a state folder of the test's own."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def _state_of_its_own(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    monkeypatch.setenv("HARNESS_STATE", str(tmp_path_factory.mktemp("state")))

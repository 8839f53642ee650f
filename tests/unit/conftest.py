"""No test of a unit is about a cluster that whoever runs it has named."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def _unnamed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HARNESS_CLUSTER", raising=False)

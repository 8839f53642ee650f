"""What a run's metadata say of its beginning: when that was, in what form, and on which host."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from harness.history.folder import VERSION
from harness.host.facts import host_facts


def facts(t0_ns: int) -> dict[str, Any]:
    """Return it of a run whose clock starts at `t0_ns` (CLOCK_MONOTONIC)."""
    return {
        "version": VERSION,
        "manifest": True,
        "started": datetime.now(UTC).isoformat(),
        "t0_ns": t0_ns,
        "host": host_facts(),
    }

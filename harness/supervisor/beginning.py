"""What a run's metadata say of its beginning: when that was, in what form, with which ids, and on
which host.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from harness.history.folder import VERSION
from harness.host.facts import host_facts
from harness.scenario import identifiers


def facts(t0_ns: int) -> dict[str, Any]:
    """Return it of a run whose clock starts at `t0_ns` (CLOCK_MONOTONIC)."""
    return {
        "version": VERSION,
        "manifest": True,
        "started": datetime.now(UTC).isoformat(),
        "t0_ns": t0_ns,
        "id_key": identifiers.draw_key().hex(),
        "host": host_facts(),
    }

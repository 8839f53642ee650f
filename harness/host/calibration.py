"""A calibration says what the load generator and the sampler can do on this machine. It is kept in
the state folder, and belongs to a run's facts from then on.
"""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from harness.control import state
from harness.errors import StorageError
from harness.kernel.files import replace_text

FILE = "calibration.json"
VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """What one load worker, and a pass of the sampler, did on this machine."""

    measured_at: str  # ISO 8601, UTC
    kernel: str
    cpu: str
    cores: int
    messages_per_s: float  # the highest rate tried at which `lag_p99_us` stayed below the limit
    lag_p99_us: float
    messages_per_cpu_s: float  # at that rate
    fails_at_per_s: float | None  # the lowest rate tried at which it did not; None: none did not
    samples_per_s: float | None  # of nodes, by one core; None: not measured
    why_no_samples: str = ""

    def as_json(self) -> dict[str, Any]:
        """Return it as `harness calibrate --json` prints it."""
        return {"version": VERSION, **asdict(self)}


def path() -> Path:
    """Return where it is kept."""
    return state.root() / FILE


def keep(found: Calibration) -> None:
    """Keep a calibration instead of an earlier one. Raises StorageError."""
    try:
        state.root().mkdir(mode=0o700, parents=True, exist_ok=True)
        replace_text(path(), json.dumps(found.as_json()))
    except OSError as error:
        raise StorageError(f"{path()}: cannot be written: {error.strerror}") from error


def read(kernel: str, cpu: str, cores: int) -> dict[str, Any] | None:
    """Return what is kept, as JSON has it; None where that is nothing, or of another machine."""
    with suppress(OSError, ValueError):
        found = json.loads(path().read_text())
        mine = {"version": VERSION, "kernel": kernel, "cpu": cpu, "cores": cores}
        if isinstance(found, dict) and mine.items() <= found.items():
            return found
    return None

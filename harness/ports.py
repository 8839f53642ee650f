"""Names of earlier versions that adapters of users import.

They live in harness.systems.adapter, harness.runtimes.runtime and harness.faults.fault.
"""

from __future__ import annotations

from harness.faults.fault import Condition
from harness.runtimes.runtime import Image, Place, Process, Recipe, Running, Runtime
from harness.systems.adapter import (
    Codec,
    DrivenAdapter,
    Driver,
    Endpoint,
    NodeAdapter,
    NodeControl,
    Saw,
)

__all__ = [
    "Codec",
    "Condition",
    "DrivenAdapter",
    "Driver",
    "Endpoint",
    "Image",
    "NodeAdapter",
    "NodeControl",
    "Place",
    "Process",
    "Recipe",
    "Running",
    "Runtime",
    "Saw",
]

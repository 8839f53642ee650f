"""metadata.json of a run folder: what was run on what. Without it a folder is no run folder."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.errors import BadFileError
from harness.history import shape
from harness.history.folder import VERSION
from harness.history.plan import strange
from harness.operations import Operation, own

RUN_BYTES = 8  # of an operation's id
ID_KEY_BYTES = 16  # of a run's own; 0 of a folder of an older version
# What is read of it, and of what type; a one-tuple is a list of such tables.
WANTED: Mapping[str, Any] = {
    "name": str,
    "adapter": str,
    "topology": str,
    "seed": int,
    "nodes": ({"name": str, "wire_id": str, "condition?": str},),
    "host": {
        "cores": int,
        "cpu": str,
        "kernel": str,
        "memory_bytes?": int,
        "versions?": dict[str, str],
        "calibration?": {"messages_per_s": float, "measured_at": str},
    },
    "runtime": {"name": str, "nodes_per_container?": int | str},
    "network?": dict,
    "load": {
        "generator?": str,
        "workers?": int | list[dict],  # type: ignore[type-arg]
        "late_ns?": int,
        "shares?": int,
        "left_out?": list[str],
        "other_system?": {
            "name": str,
            "instead_of": str,
            "streams": ({"phase": str, "operation": str, "rate_per_s": float},),
            "until": dict[str, str],
            "options": dict[str, int],
        },
        "streams?": (
            {
                "phase": str,
                "operation": str,
                "rate_per_s": float,
                "asked_per_s?": float,
                "after_s?": float,
                "timeout_ms?": float,
                "count?": int | None,
                "payload_bytes?": int,
                "target?": str | None,
                "sources?": list[str],
                "arrivals?": str,
                "profile?": (list,),
                "keys?": int,
                "own?": {"number": int, "word": str, "ledger": str, "to": str},
            },
        ),
    },
    "plan?": (
        {
            "name": str,
            "begin_s?": float | None,
            "end_s?": float | None,
            "duration_s?": float | None,
            "kind?": str | None,
            "until?": str | None,
            "at_most_s?": float | None,
        },
    ),
    "t0_ns?": int,
    "id_key?": str,
    "ready_s?": float | None,
    "ready_others?": float | None,
    "uncounted?": list[str],
    "operations?": dict[str, int],
    "exempt?": dict[str, str],
    "unpromised?": dict[str, list[str]],
    "side_by_side?": list[str],
    "given_up?": list[str],
    "metrics?": {"url": str, "only": list[str]},
    "checks?": list[str],
    "records?": list[int],
    "ports?": list[int],
    "manifest?": bool,
    "inputs?": list[str],
    "before?": {"runs": list[str], "id_keys?": list[str], "commands": int},
    "by_hand?": ({"name": str, "words": str, "from_s": float, "to_s": float | None},),
    "failed_is_certain?": bool,
    "replay?": {"of": {"run": str}, "fork?": str | None},
}


def find(path: Path) -> Path:
    """Return the run folder that `path` means: itself, or ``latest`` in it. Raises BadFileError."""
    for candidate in (path, path / "latest"):
        if (candidate / "metadata.json").is_file():
            return candidate.resolve()
    raise BadFileError(f"{path}: expected a run folder with metadata.json in it, found none")


def read(path: Path) -> dict[str, Any]:
    """Read metadata.json of a run folder. Raises BadFileError."""
    file = path / "metadata.json"
    try:
        found = json.loads(file.read_text())
    except (OSError, ValueError, RecursionError) as error:
        raise BadFileError(f"{file}: cannot be read: {error}") from None
    if not isinstance(found, dict) or found.get("version") != VERSION:
        raise BadFileError(
            f"{file}: expected version {VERSION}, found "
            f"{found.get('version') if isinstance(found, dict) else found!r}"
        )
    wrong = shape.misses(found, WANTED) or _wrong_values(found)
    if wrong:
        raise BadFileError(f"{file}: {wrong}")
    return found


def _wrong_values(found: Mapping[str, Any]) -> str | None:
    """Say what no run can have; None: nothing."""
    names = [node["name"] for node in found["nodes"]]
    if len(set(names)) < len(names):
        return "nodes: two have the same name"
    for what, some in (("nodes", names), ("inputs", found.get("inputs", ()))):
        if any("/" in name for name in some):
            return f"{what}: a name has a slash in it"
    if not str(found["runtime"].get("nodes_per_container", 1)).isdecimal():
        return f"runtime.nodes_per_container: found {found['runtime']['nodes_per_container']!r}"
    for node in found["nodes"]:
        if not _is_hexadecimal(node["wire_id"]):
            return f"nodes: wire_id: found {node['wire_id']!r}"
    for one in found.get("before", {}).get("runs", ()):
        if len(one) != 2 * RUN_BYTES or not _is_hexadecimal(one):
            return f"before: runs: found {one!r}"
    for one in (found.get("id_key", ""), *found.get("before", {}).get("id_keys", ())):
        if len(one) not in (0, 2 * ID_KEY_BYTES) or not _is_hexadecimal(one):
            return f"id_key: found {one!r}"
    if found["host"]["cores"] < 1:
        return f"host.cores: found {found['host']['cores']}"
    if wrong := _strange_time(found):
        return wrong
    try:
        known = numbers(found)
    except BadFileError as error:
        return f"load.streams: {error}"
    for stream in found["load"].get("streams", []):
        if stream["operation"] not in known:
            return f"load.streams: operation: found {stream['operation']!r}"
    return None


def _is_hexadecimal(text: str) -> bool:
    try:
        bytes.fromhex(text)
    except ValueError:
        return False
    return True


def _strange_time(found: Mapping[str, Any]) -> str | None:
    """Name the first time that no run has; None: there is none."""
    times = {"t0_ns": found.get("t0_ns", 0) / 1e9, "ready_s": found.get("ready_s")}
    for planned in found.get("plan", ()):
        for key in ("begin_s", "end_s", "duration_s", "at_most_s"):
            times[f"plan: {planned['name']}: {key}"] = planned.get(key)
    wrong = ((name, strange(value)) for name, value in times.items() if value is not None)
    return next((f"{name}: {why}" for name, why in wrong if why is not None), None)


def numbers(facts: Mapping[str, Any]) -> dict[str, int]:
    """Return the number of each operation's word, as the run had them.

    An older folder does not say; the numbers are then those of now.
    """
    known = {operation.word: int(operation) for operation in kinds(facts)}
    return {**known, **facts.get("operations", {})}


def own_of(facts: Mapping[str, Any]) -> tuple[Operation, ...]:
    """Return the operations of its system's own that the streams of a run have. Raises
    BadFileError.
    """
    return own.of_streams(facts["load"].get("streams", ()))


def words_of(facts: Mapping[str, Any]) -> frozenset[str]:
    """Return the words of operations that a run sent, or of which it says that it did not."""
    load = facts["load"]
    streams = [*load.get("streams", ()), *(load.get("other_system") or {}).get("streams", ())]
    return frozenset(one["operation"] for one in streams) | {*load.get("left_out", ())}


def untold(facts: Mapping[str, Any]) -> tuple[Operation, ...]:
    """Return the operations that streams of a run have, and of which nothing but word and number
    is told. Raises BadFileError.
    """
    words, known = numbers(facts), kinds(facts)
    asked = dict.fromkeys(one["operation"] for one in facts["load"].get("streams", ()))
    return tuple(own.untold(words[each], each) for each in asked if words[each] not in known)


def kinds(facts: Mapping[str, Any]) -> tuple[Operation, ...]:
    """Return the operations that numbers of a run may mean. Raises BadFileError."""
    return (*Operation, *own_of(facts))


def timeout_ns(facts: Mapping[str, Any]) -> int:
    """Return how long an operation of this run may be under way."""
    streams = facts["load"].get("streams", [])
    return int(max((one.get("timeout_ms", 0) for one in streams), default=0) or 10_000) * 10**6

"""What runs must have in common to be compared: host, kernel, runtime, backend, versions, topology,
the options of its nodes, scenario, load. What is compared, the program under test, is told. Pure.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

# Part → its facts, name → what a run has of it.
Surroundings = Mapping[str, Mapping[str, str]]

PARTS = (
    *("host", "kernel", "runtime", "backend", "versions", "system"),
    *("options", "topology", "scenario", "load"),
)
OTHERS = "others"  # what else ran on the host: found by its use, no fact of the surroundings
SUBJECT = "subject"  # what is compared: it may differ, and is told
# Of host.versions, and of what a runtime says of itself: the program under test.
OF_SUBJECT = ("meshnode", "image", "image_id", "image_origin")

SHOWN_MOST = 3  # differences of one part


def surroundings(
    facts: Mapping[str, Any],
    topology: Mapping[str, Any],
    timeline: Mapping[str, Any],
    system: str | None,
) -> Surroundings:
    """Return what is compared of a run, of the content of metadata.json, topology.json and
    timeline.json, and of the text of system.toml, None where it has none.
    """
    host, runtime, load = facts["host"], dict(facts["runtime"]), facts["load"]
    versions = dict(host.get("versions", {}))
    subject = {
        name: str(table.pop(name))
        for name in OF_SUBJECT
        for table in (versions, runtime)
        if name in table
    }
    if system is not None:
        subject["command file"] = _digest(system)
    nodes = topology.get("nodes", ())
    options = Counter(_text(node.get("options", {})) for node in nodes)
    shape = {key: value for key, value in topology.items() if key not in ("nodes", "adapter")}
    bare = [{key: node[key] for key in node if key != "options"} for node in nodes]
    return {
        SUBJECT: subject,
        "host": {key: str(host.get(key)) for key in ("cpu", "cores", "machine")},
        "kernel": {"release": host["kernel"]},
        "runtime": _flat(runtime),
        "backend": _flat(facts.get("network", {})),
        "versions": {"python": str(host.get("python")), **_flat(versions)},
        "system": {"adapter": facts["adapter"]},
        "options": {"of nodes": ", ".join(f"{n} × {one}" for one, n in sorted(options.items()))},
        "topology": {
            "name": facts["topology"],
            "nodes": str(len(facts["nodes"])),
            "content": _digest([shape, bare]),
        },
        "scenario": {
            "name": facts["name"],
            "seed": str(facts["seed"]),
            "checks": _text(facts.get("checks", [])),
            "phases": _text(facts.get("plan", [])),
            "faults": _digest([timeline.get("faults"), timeline.get("changes")]),
            **_by_hand(facts.get("by_hand", ())),
        },
        "load": {
            "generator": str(load.get("generator")),
            "workers": str(load.get("shares")),
            **{
                name: value
                for number, stream in enumerate(load.get("streams", ()))
                for name, value in _flat(stream, f"stream {number} ").items()
            },
        },
    }


def differences(runs: Sequence[Surroundings]) -> dict[str, list[str]]:
    """Say for each part in which runs differ what differs; of SUBJECT too."""
    found: dict[str, list[str]] = {}
    for part in (SUBJECT, *PARTS):
        tables = [run.get(part, {}) for run in runs]
        names = dict.fromkeys(name for table in tables for name in table)
        said = []
        for name in names:
            values = Counter(table.get(name, "–") for table in tables)
            if len(values) > 1:
                shown = " / ".join(_short(value) for value, _ in values.most_common(SHOWN_MOST))
                said.append(f"{name}: {shown}")
        if said:
            more = len(said) - SHOWN_MOST
            found[part] = said[:SHOWN_MOST] + ([f"… and {more} more"] if more > 0 else [])
    return found


def _flat(table: Mapping[str, Any], before: str = "") -> dict[str, str]:
    return {
        f"{before}{key}": value if isinstance(value, str) else _text(value)
        for key, value in table.items()
    }


def _by_hand(faults: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Say which faults somebody set by hand, and when, to the second; nothing where there are
    none, as of runs of which nobody tells.
    """
    said = [
        f"{one['words']} from {one['from_s']:.0f} s to "
        + ("the end" if one["to_s"] is None else f"{one['to_s']:.0f} s")
        for one in faults
    ]
    return {"faults by hand": "; ".join(sorted(said))} if faults else {}


def _short(value: str) -> str:
    return value if len(value) <= 60 else f"{value[:40]}… ({_digest(value)})"


def _text(value: object) -> str:
    return json.dumps(value, sort_keys=True)


def _digest(value: object) -> str:
    return hashlib.sha256(_text(value).encode()).hexdigest()[:12]

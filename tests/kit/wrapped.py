"""Clusters of servers behind all kinds of wrappers (tests/systems/wrapped): a node a kind, and what
is seen of its processes by looks that are not ours.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pyarrow as pa

from harness.control.client import Client
from kit.desk import ROOT, Desk, begin_by_hand, wait_for

WRAPPED = ROOT / "tests" / "systems" / "wrapped"


def copy(folder: Path) -> None:
    """Copy the command file and what it starts."""
    for file in WRAPPED.iterdir():
        if file.is_file():
            shutil.copy(file, folder)


def topology(desk: Desk, kinds: Sequence[str]) -> str:
    nodes = "".join(f"[[node]]\nname = '{kind}'\n" for kind in kinds)
    return str(desk.write("kinds.toml", f"{nodes}[shape]\nkind = 'full-mesh'\n"))


def of_node(desk: Desk, name: str) -> dict[int, str]:
    """The living processes that work in a node's directory, and their states, from /proc."""
    found, directory = {}, str(desk.state / desk.cluster / "nodes" / name)
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and os.readlink(entry / "cwd") == directory:
                state = (entry / "stat").read_text().rpartition(")")[2].split()[0]
                found[int(entry.name)] = state
        except OSError:
            pass
    return {pid: state for pid, state in found.items() if state not in "ZX"}


def others(desk: Desk, name: str) -> set[int]:
    """The processes of a node but its first."""
    first = next(node["pid"] for node in desk.status()["nodes"] if node["name"] == name)
    return of_node(desk, name).keys() - {first}


def sampled(desk: Desk) -> dict[str, list[dict[str, Any]]]:
    """What a run of four seconds sampled, by node."""
    state = {"HARNESS_STATE": str(desk.state)}
    with patch.dict(os.environ, state), Client.connect(desk.cluster) as client:
        folder = begin_by_hand(client, desk.runs)
        time.sleep(4)
        client.end()
    names = [node["name"] for node in desk.status()["nodes"]]
    with pa.OSFile(f"{folder}/samples.arrow") as file:
        rows = pa.ipc.open_stream(file).read_all().to_pylist()
    return {name: [row for row in rows if names[row["node"]] == name] for name in names}


def burnt_ns(desk: Desk, name: str) -> int:
    """What a node's children say that they used, once one has."""
    file = desk.state / desk.cluster / "nodes" / name / "burnt"
    wait_for(file.exists)
    return sum(map(int, file.read_text().split()))

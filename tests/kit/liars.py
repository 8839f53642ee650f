"""Clusters of which some nodes lie (tests/systems/liar), through a command file or a class."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).parents[2]
LIAR = ROOT / "tests" / "systems" / "liar"
SYSTEMS = {"command": "liar.toml", "class": "liar_system:Liar"}
NODE = "[[node]]\nname = '{name}'\n"
OPTIONS = "options = {{ lie = '{lie}' }}\n"
SHAPE = "[shape]\nkind = 'full-mesh'\n"
SCENARIO = """
topology = "liars.toml"
system = "{system}"
budget = "liar-budget.toml"
[[phase]]
name = "load"
duration_s = {seconds}
[[phase.stream]]
operation = "private_message"
rate_per_s = {rate}
payload_bytes = 64
timeout_ms = 2000
[[phase.stream]]
operation = "broadcast"
rate_per_s = 4
payload_bytes = 64
timeout_ms = 2000
[[phase]]
name = "settle"
duration_s = 2
"""
A_NODE_PER_S = 12  # messages: 60 in five seconds


def written(folder: Path, way: str, lies: Mapping[str, str], seconds: int = 5) -> Path:
    """Write the files of a run in which nodes of these names tell these lies ("none": none); its
    scenario.
    """
    for file in LIAR.glob("liar*"):
        shutil.copy(file, folder)
    command, told = folder / "liar.toml", ",".join(f"{name}={lie}" for name, lie in lies.items())
    command.write_text(command.read_text().replace('"", "{name}"', f'"{told}", "{{name}}"'))
    nodes = "".join(
        NODE.format(name=name) + (OPTIONS.format(lie=lie) if way == "class" else "")
        for name, lie in lies.items()
    )
    (folder / "liars.toml").write_text(nodes + SHAPE)
    scenario = folder / "scenario.toml"
    rate = len(lies) * A_NODE_PER_S
    scenario.write_text(SCENARIO.format(system=SYSTEMS[way], seconds=seconds, rate=rate))
    return scenario


def paths() -> dict[str, str]:
    """Where a run finds the class."""
    return {"PYTHONPATH": os.pathsep.join([str(LIAR), str(ROOT)])}

"""What bash is offered, by bash itself, with the script that `harness completion bash` prints."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from harness.control import state
from harness.supervisor.server import Server

NODES = [{"name": f"node-{index}", "region": "eu"} for index in (1, 2)]
STATUS = {"nodes": NODES}
FAULTS = {"faults": [{"name": "wan"}, {"name": "node-1 -> node-2 loss 1%"}], "away": {"flaps": 1.0}}
SCRIPT = """
printf '#!/bin/sh\\nexec "{python}" -m harness "$@"\\n' > harness; chmod +x harness
export PATH="$PWD:$PATH"
eval "$(harness completion bash)"
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
_harness_completion harness 2>/dev/null
printf '%s\\n' "${{COMPREPLY[@]}}"
"""


@pytest.fixture
def offered(tmp_path, monkeypatch):
    """What is offered for the last word of a command line, in a shell in an empty folder."""
    monkeypatch.setenv("HARNESS_STATE", str(tmp_path / "state"))
    folder = tmp_path / "here"
    folder.mkdir()
    (folder / "own.toml").touch()
    (folder / "runs" / "baselines").mkdir(parents=True)
    (folder / "runs" / "baselines" / "v1.json").touch()
    locks = [state.Lock(name) for name in ("main", "second")]
    handlers = {"status": lambda *_: STATUS, "fault-list": lambda *_: FAULTS}
    server = Server(tmp_path / "state" / "second" / "control.sock", handlers)

    def complete(*words: str) -> list[str]:
        done = subprocess.run(
            ["bash", "-c", SCRIPT.format(python=sys.executable), "bash", "harness", *words],
            capture_output=True,
            text=True,
            check=False,
            cwd=folder,
            env={**os.environ, "HARNESS_CLUSTER": "second"},
        )
        assert done.stderr == ""
        return done.stdout.split("\n")[:-1]

    yield complete
    server.close()
    for lock in locks:
        lock.remove()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["clu"], ["clusters"]),
        (["fault", "cl"], ["clear"]),
        (["run", "fir"], ["first-budget"]),
        (["run", "ow"], ["own.toml"]),
        (["up", "cluster-10"], ["cluster-10", "cluster-100", "cluster-1000"]),
        (["down", "--cluster", ""], ["main", "second"]),
        (["logs", ""], ["node-1", "node-2"]),
        (["exec", "node-1"], ["node-1"]),
        (["logs", "--cluster", "main", ""], [""]),  # it does not answer
        (["fault", "set", "reg"], ["region:eu"]),
        (["fault", "cut", "halv"], ["halves"]),
        (["fault", "cut", "isolate", "node-2"], ["node-2"]),
        (["fault", "clear", ""], ["wan", "'node-1 -> node-2 loss 1%'", "flaps"]),
        (["fault", "set", "all", "--condition", "st"], ["stopped"]),
        (["judge", "--budget", "first"], ["first-budget"]),
        (["run", "demo", "--system", "s"], ["serf"]),
        (["compare", "v"], ["v1"]),
        (["compare", "v1", "x", "--despite", "ker"], ["kernel"]),
        (["baseline", "remove", ""], ["v1"]),
    ],
    ids=lambda value: " ".join(value) or "nothing",
)
def test_bash(offered, words, expected):
    assert offered(*words) == expected

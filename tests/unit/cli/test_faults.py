"""`harness fault`: wrong words have one exit code, whoever finds them wrong."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from harness.cli import main
from harness.errors import UsageError
from harness.faults.spec import parse
from harness.supervisor.server import Server
from harness.topology.topology import Node

NODES = tuple(Node(name=f"node-{index}") for index in range(3))


@pytest.fixture
def cluster(tmp_path, monkeypatch):
    """A control socket behind which the words are read as a supervisor reads them."""
    monkeypatch.setenv("HARNESS_STATE", str(tmp_path))
    (tmp_path / "main").mkdir()

    def set_fault(params, *_):
        fault = parse(params["words"]).resolve(NODES, 1)
        return {
            "name": fault.name,
            "does": fault.does,
            "paths": fault.count,
            "nodes": 0,
            "at_ns": 0,
            "took_ms": 1,
        }

    server = Server(tmp_path / "main" / "control.sock", {"fault-set": set_fault})
    yield
    server.close()


def run(*words: str):
    return CliRunner().invoke(main, ["fault", *words])


def test_good_words_are_passed_on(cluster):
    done = run("set", "node-1", "--delay", "80ms", "--for", "2s")
    assert done.exit_code == 0, done.output
    assert "4 paths" in done.output
    assert "for 2 s" in done.output


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["set", "node-1", "--delay", "banana"], "delay: "),
        (["set", "node-1", "--delay", "80ms", "--for", "banana"], "--for: expected a time"),
        (["set", "node-9", "--delay", "80ms"], "there is no node 'node-9'"),
        (["set", "node-1"], "fault at "),
        (["set", "node-1", "--half-open", "banana"], "banana"),
        (["set", "node-1", "--condition", "banana"], "banana"),
        (["cut", "banana"], "banana"),
        (["cut", "isolate"], "isolate"),
        (["cut", "halves", "--loss", "x%"], "loss"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_wrong_words_are_a_usage_error(cluster, words, says):
    done = run(*words)
    assert done.exit_code == UsageError.exit_code, done.output
    assert says in done.output

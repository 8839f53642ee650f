"""What a node or a file says stands in every table as it is, and breaks none."""

from __future__ import annotations

import ast
import json
import os
import pty
import subprocess
import sys
import tty
from pathlib import Path

import pytest
from click.testing import CliRunner
from kit.verdicts import FACTS, finding
from rich.console import Console

from harness.checks.verdict import Answer, Cause, Verdict
from harness.cli import main
from harness.host import capabilities
from harness.host.capabilities import Capabilities, Capability
from harness.reports import terminal, text
from harness.supervisor.server import Server

HARNESS = Path(__file__).parents[3] / "harness"
# Markup of rich, an emoji code, and what a terminal would obey.
HOSTILE = ["[/etc]", "[a1]", "[red]", "[link=http://e]x[/link]", ":warning:", "\\[x]"]
OBEYED = "\x1b[2J\x07\x9b1m"

hostile = pytest.mark.parametrize("word", [*HOSTILE, OBEYED])


def shown(word: str) -> str:
    return terminal.CONTROLS.sub(terminal.REPLACEMENT, word)


def test_every_console_and_table_is_made_in_one_place():
    """So whoever adds a table cannot forget it: rich's own are imported nowhere else."""
    found = []
    for path in sorted(HARNESS.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("rich"):
                names = {alias.name for alias in node.names}
                found += [f"{path.name}: {name}" for name in names & {"Console", "Table", "print"}]
            elif isinstance(node, ast.Import):
                found += [f"{path.name}: {one.name}" for one in node.names if one.name == "rich"]
            elif isinstance(node, ast.Attribute) and node.attr == "from_markup":
                found.append(f"{path.name}: from_markup")
    assert sorted(found) == ["terminal.py: Console", "terminal.py: Table"]


@pytest.fixture
def cluster(tmp_path, monkeypatch):
    """Serves one answer to every method that has a table."""
    monkeypatch.setenv("HARNESS_STATE", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "400")
    (tmp_path / "main").mkdir()
    made = []

    def serve(answers):
        handlers = {name: lambda *_, answer=answer: answer for name, answer in answers.items()}
        made.append(Server(tmp_path / "main" / "control.sock", handlers))

    yield serve
    for one in made:
        one.close()


@hostile
def test_status(cluster, word):
    node = dict.fromkeys(("name", "address", "region", "condition"), word) | {"pid": 1}
    status = {"cluster": "main", "stage": "up", "runtime": "netns", "pid": 1, "run": None}
    cluster({"status": {**status, "nodes": [node]}})
    done = CliRunner().invoke(main, ["status"])
    assert done.exit_code == 0, done.output
    assert done.output.count(shown(word)) == 4, done.output


@hostile
def test_fault_list(cluster, word):
    row = {
        "name": word,
        "does": word,
        "paths": 1,
        "nodes": [word],
        "up": {},
        "down": {},
        "left_s": None,
    }
    cluster({"fault-list": {"faults": [row], "backends": {}, "disagree": {}, "away": {}}})
    done = CliRunner().invoke(main, ["fault", "list"])
    assert done.exit_code == 0, done.output
    assert done.output.count(shown(word)) == 3, done.output


@hostile
def test_capabilities(monkeypatch, word):
    monkeypatch.setenv("COLUMNS", "400")
    one = Capability(name=word, available=True, detail=word, needed_for=word)
    limits = capabilities.read_limits()
    found = Capabilities(capabilities=(one,), limits=limits)
    monkeypatch.setattr(capabilities, "probe", lambda: found)
    done = CliRunner().invoke(main, ["capabilities"])
    assert done.exit_code == 0, done.output
    assert done.output.count(shown(word)) == 3, done.output
    assert "yes" in done.output


@hostile
def test_the_report(word):
    """Also on a console that is not ours: `harness.judge(…).report()` is public."""
    row = finding(word, Answer.FAIL, promised=word, measured=word, sentence=word, phase=word)
    verdict = Verdict(findings=(row,))
    report = text.render(verdict, {**FACTS, "name": word, "topology": word}, word)
    other = Console(width=400)
    with other.capture() as captured:
        other.print(report)
    for output in (captured.get(), text.to_text(report)):
        assert output.count(shown(word)) == 12, output
        assert not terminal.CONTROLS.search(output)


def test_a_cause_is_plain_too():
    row = finding(answer=Answer.UNKNOWN, cause=Cause.NOT_MEASURED, sentence="node said [/etc]")
    assert "not measured: node said [/etc]" in text.to_text(
        text.render(Verdict(findings=(row,)), FACTS, "/runs/x")
    )


def test_down_names_the_cluster_as_it_is(tmp_path):
    done = CliRunner().invoke(
        main, ["down", "--cluster", "[/etc]"], env={"HARNESS_STATE": str(tmp_path)}
    )
    assert done.exit_code == 64
    assert "cluster name '[/etc]'" in done.output


def test_a_reader_that_is_gone_is_no_exit_code_of_rich(monkeypatch):
    read, write = os.pipe()
    os.close(read)
    with open(write, "w") as closed, pytest.raises(BrokenPipeError):
        terminal.Terminal(file=closed).print("x" * 100_000)
        closed.flush()


def test_a_terminal_does_not_obey_a_nodes_log(cluster):
    word = f"a\t{OBEYED}b"
    cluster({"logs": f"{word}\n{word}"})
    command = [sys.executable, "-m", "harness", "logs", "node-0", "--cluster", "main"]
    ours, its = pty.openpty()
    tty.setraw(its)
    subprocess.run(command, stdout=its, check=True)
    os.close(its)
    with open(ours, "rb", buffering=0) as terminal_end:
        said = terminal_end.read(1000).decode()
    assert said == f"{shown(word)}\n{shown(word)}\n"


def test_json_is_untouched(cluster):
    row = {
        "name": "[/etc]",
        "does": "",
        "paths": 1,
        "nodes": [],
        "up": {},
        "down": {},
        "left_s": None,
    }
    cluster({"fault-list": {"faults": [row], "backends": {}, "disagree": {}, "away": {}}})
    done = CliRunner().invoke(main, ["fault", "list", "--json"])
    assert json.loads(done.output)["faults"][0]["name"] == "[/etc]"

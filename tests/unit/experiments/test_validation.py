"""`harness check` finds what `up` and `run` refuse, and runs nothing of a stranger's."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from harness.cli import main
from harness.errors import BadFileError, UnavailableError
from harness.experiments import validation
from harness.host import capabilities

ROOT = Path(__file__).parents[3]
TINY = ROOT / "tests" / "systems" / "tiny" / "tinynode.toml"
NODES = "[nodes]\ncount = 30\n"
SCENARIO = 'topology = "t.toml"\n[[phase]]\nname = "load"\nduration_s = 2\n'
STREAM = '[[phase.stream]]\noperation = "broadcast"\nrate_per_s = 1\n'
SPY = (
    "import os\nopen(os.environ['SPIED'], 'w').close()\nfrom harness.systems.adapters.serf import *"
)


def written(folder: Path, name: str, text: str) -> Path:
    (folder / name).write_text(text)
    return folder / name


@pytest.mark.parametrize("file", [TINY, *sorted((ROOT / "topologies").glob("*.toml"))], ids=str)
def test_what_starts_is_good(file):
    assert validation.validate(file).kind == ("system" if file == TINY else "topology")


@pytest.mark.parametrize("name", ["demo", "first-budget"])
def test_shipped_scenarios_are_good(name):
    found = validation.validate(ROOT / "scenarios" / f"{name}.toml")
    assert found.kind == "scenario"
    assert "phases on" in found.sentence


def test_a_command_file_says_what_it_can_do(tmp_path):
    shutil.copytree(TINY.parent, tmp_path / "mine")
    done = CliRunner().invoke(main, ["check", str(tmp_path / "mine" / "tinynode.toml")])
    assert done.exit_code == 0, done.output
    assert "a good system: tinynode can do broadcast, dht_get" in done.output


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('"python3"', '"no-such-program"', "start.argv: there is no such program"),
        ('budget = "tinynode-budget.toml"', 'budget = "no-such-budget"', "no-such-budget"),
        ("{payload}", "{pay}", "pay"),
        ('[ready]\nhttp = "http://127.0.0.1:7000/health"', "", "ready"),
    ],
)
def test_a_bad_command_file_is_refused(tmp_path, old, new, says):
    shutil.copytree(TINY.parent, tmp_path / "mine")
    file = tmp_path / "mine" / "tinynode.toml"
    assert old in file.read_text()
    file.write_text(file.read_text().replace(old, new))
    with pytest.raises(BadFileError, match=says):
        validation.validate(file)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (NODES + "[nodes.options]\nfanout = 'many'", "options.fanout: expected a whole number"),
        (NODES + "[[node]]\nname = 'x'\noptions = { fanout = true }", "node x: options.fanout"),
        (NODES + "[nodes.options]\nfan = 3", "options.fan: meshnode has no such option"),
        (
            NODES + "[nodes.options]\nplanted_bug = 'forgets-on-chrun'",
            "planted_bug: expected one of loses-.*; did you mean 'forgets-on-churn'",
        ),
        (NODES + "[nodes.options]\nplanted_bug = true", "planted_bug: expected one of loses"),
        ("addresses = '198.18.0.0/30'\n" + NODES, "expected a block of at least /27"),
        ("adapter = 'meshnodd'\n" + NODES, "found 'meshnodd'"),
        ("adapter = 'none.toml'\n" + NODES, "none.toml"),
    ],
)
def test_what_up_refuses_is_found(tmp_path, text, says):
    file = written(tmp_path, "t.toml", text)
    with pytest.raises(BadFileError, match=says) as refused:
        validation.validate(file)
    assert "t.toml" in str(refused.value) or "none.toml" in str(refused.value)
    scenario = written(tmp_path, "s.toml", SCENARIO + STREAM)
    with pytest.raises(BadFileError, match=says):
        validation.validate(scenario)


def test_what_this_host_cannot_do_is_found(tmp_path):
    written(tmp_path, "t.toml", NODES)
    fault = "[[phase.fault]]\nwhere = 'all'\nduplicate = '5%'\n"
    scenario = written(tmp_path, "s.toml", SCENARIO + fault)
    region = "[[region_link]]\nbetween = ['default', 'default']\nduplicate = '5%'\n"
    topology = written(tmp_path, "r.toml", NODES + region)
    for file in (scenario, topology):
        if capabilities.probe().backends["duplicate"] == "netem":
            validation.validate(file)
        else:
            with pytest.raises(UnavailableError, match="duplicate: only netem can do that"):
                validation.validate(file)


def test_nothing_of_a_stranger_is_run(tmp_path, monkeypatch):
    spied = tmp_path / "spied"
    written(tmp_path, "strange_adapter.py", SPY)
    monkeypatch.setenv("SPIED", str(spied))
    monkeypatch.syspath_prepend(tmp_path)
    topology = written(tmp_path, "t.toml", "adapter = 'strange_adapter:Serf'\n" + NODES)
    written(tmp_path, "s.toml", SCENARIO + STREAM)
    budget = "[[row]]\nname='x'\nmetric='rss'\nstatistic='max'\nunit='MB'\nphase='load'\n"
    written(tmp_path, "b.toml", budget + "scenario='s'\nbound=1\n")
    files = [topology, tmp_path / "s.toml"]
    files.append(written(tmp_path, "suite.toml", "parts = ['s.toml']\nbudget = 'b.toml'\n"))
    for file in files:
        said = validation.validate(file).sentence
        assert "strange_adapter:Serf was not looked at" in said
    assert not spied.exists()
    assert "not looked at" not in validation.validate(topology, imports=True).sentence
    assert spied.exists()


def test_no_check_of_a_stranger_is_run(tmp_path, monkeypatch):
    spied = tmp_path / "spied"
    written(tmp_path, "strange_check.py", f"open({str(spied)!r}, 'w').close()\ncheck = list\n")
    monkeypatch.syspath_prepend(tmp_path)
    written(tmp_path, "t.toml", NODES)
    file = written(tmp_path, "s.toml", "checks = ['strange_check:check']\n" + SCENARIO + STREAM)
    assert "strange_check:check was not looked at" in validation.validate(file).sentence
    assert not spied.exists()
    assert "not looked at" not in validation.validate(file, imports=True).sentence
    assert spied.exists()


def test_a_check_that_there_is_not_is_refused(tmp_path):
    written(tmp_path, "t.toml", NODES)
    file = written(tmp_path, "s.toml", "checks = ['orderd']\n" + SCENARIO + STREAM)
    with pytest.raises(BadFileError, match=r"checks: expected one of .* did you mean 'ordered'"):
        validation.validate(file)


def test_a_name_that_ends_the_process_does_not(tmp_path):
    file = written(tmp_path, "t.toml", "adapter = 'os:abort'\n" + NODES)
    done = CliRunner().invoke(main, ["check", str(file)])
    assert done.exit_code == 0, done.output
    assert "os:abort was not looked at" in " ".join(done.output.split())


def test_nothing_is_left(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    validation.validate(TINY)
    assert os.listdir(tmp_path) == []


def test_a_soak_is_one_wherever_it_lies(tmp_path):
    """Outside of a folder of scenarios it was taken for a topology without nodes."""
    file = tmp_path / "mine.toml"
    file.write_text((ROOT / "scenarios" / "soak-10.toml").read_text())
    assert validation.validate(file).sentence == "windows of 5 phases on 10 nodes"

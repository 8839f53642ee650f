"""`harness check` tells a file by what stands in it, and says of each what is wrong with it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner
from kit import run_folders

from harness.cli import main
from harness.errors import BadFileError, UsageError
from harness.experiments import kinds, validation

ROOT = Path(__file__).parents[3]
TINY = ROOT / "tests" / "systems" / "tiny"
PHASE = '[[phase]]\nname = "load"\nduration_s = 2\n'
STREAM = '[[phase.stream]]\noperation = "{word}"\nrate_per_s = 1\n'
NODES = "[nodes]\ncount = 3\noptions = { fanout = 3 }\n"


@pytest.mark.parametrize(
    ("folder", "kind"),
    [("budgets", "budget"), ("topologies", "topology"), ("gates", "gate")],
)
def test_each_shipped_file_is_what_it_is_wherever_it_lies(tmp_path, folder, kind):
    for file in sorted((ROOT / folder).glob("*.toml")):
        assert kinds.kind_of(Path(shutil.copy(file, tmp_path / file.name))) == kind, file


def test_scenarios_suites_and_soaks_are_told_apart(tmp_path):
    for file in sorted((ROOT / "scenarios").glob("*.toml")):
        kind = {"meshara": "suite", "soak-10": "soak"}.get(file.stem, "scenario")
        assert kinds.kind_of(Path(shutil.copy(file, tmp_path / file.name))) == kind, file
    assert kinds.kind_of(TINY / "tinynode.toml") == "system"
    assert kinds.kind_of(ROOT / "locust.conf") == kinds.CONFIGURATION


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "nothing in it tells what it is: expected a suite, .*; found nothing in it"),
        ("phse = 1", "found only phse; did you mean 'phase'"),
        (f'topology = "x"\n{PHASE}'.replace("[[phase]]", "[[phse]]"), "phse: unknown key; did you"),
        (
            "[nodse]\ncount = 3\n[shape]\nkind = 'ring'\n",
            "nodse: unknown key; did you mean",
        ),
        ("[[row]]\nname = 3\n", r"row\[1\].name: expected text, found 3"),
    ],
)
def test_what_a_file_is_not_is_said(tmp_path, text, says):
    (tmp_path / "f.toml").write_text(text)
    with pytest.raises(BadFileError, match=says):
        validation.validate(tmp_path / "f.toml")


def test_a_table_that_is_no_list_is_not_printed_whole(tmp_path):
    (tmp_path / "t.toml").write_text(NODES)
    text = f'topology = "t.toml"\n{PHASE}{STREAM.format(word="broadcast")}'
    (tmp_path / "s.toml").write_text(text.replace("[[phase]]", "[[phse]]"))
    with pytest.raises(BadFileError, match="phse: unknown key; did you mean 'phase'"):
        validation.validate(tmp_path / "s.toml")
    (tmp_path / "s.toml").write_text(text.replace("[[phase]]", "[phase]"))
    with pytest.raises(BadFileError, match=r"expected a list, found a table with name, duration_s"):
        validation.validate(tmp_path / "s.toml")


def test_an_option_that_locust_does_not_have_is_found(tmp_path):
    (tmp_path / "locust.conf").write_text(
        "userz = 8\nusers = many\narrivals = sometimes\nclass-picker = perhaps\n"
    )
    with pytest.raises(BadFileError) as refused:
        validation.validate(tmp_path / "locust.conf")
    for says in (
        "userz: Locust and the harness have no such option; did you mean 'users'?",
        "users: expected a whole number, found 'many'",
        "arrivals: expected one of uniform, poisson; found 'sometimes'",
        "class-picker: expected true or false, found 'perhaps'",
    ):
        assert says in str(refused.value)
    assert validation.validate(ROOT / "locust.conf").sentence == "8 options"


def test_a_folder_that_is_no_runs_is_refused(tmp_path):
    with pytest.raises(BadFileError, match="found a folder that is none of these"):
        validation.validate(tmp_path)
    (tmp_path / "node.py").write_text("x = 1\n")
    with pytest.raises(BadFileError, match="it is Python; expected a file of the harness"):
        validation.validate(tmp_path / "node.py")


def test_a_run_folder_that_is_not_whole_is_found(tmp_path):
    folder = run_folders.good(tmp_path / "runs")
    found = validation.validate(folder)
    assert found.kind == kinds.RUN
    assert "its files are as they were, and it can be replayed" in found.sentence
    (folder / "timeline.json").write_text("{}")
    with pytest.raises(BadFileError, match=r"timeline\.json is not as it was when the run"):
        validation.validate(folder)


def test_what_another_system_is_not_asked_is_said_beforehand(tmp_path):
    (tmp_path / "t.toml").write_text(NODES)
    streams = "".join(STREAM.format(word=word) for word in ("broadcast", "dht_put"))
    (tmp_path / "s.toml").write_text(f'topology = "t.toml"\nbudget = "b.toml"\n{PHASE}{streams}')
    rows = "".join(
        f'[[row]]\nname = "{name}"\nmetric = "{name}"\nstatistic = "max"\nunit = "{unit}"\n'
        f'bound = 9\nphase = "load"\n'
        for name, unit in (
            ("dht_put.response", "ms"),
            ("broadcast.delivery", "ms"),
            ("rss", "MB"),
            ("node.links", "1"),
        )
    )
    (tmp_path / "b.toml").write_text(rows)
    said = validation.validate(tmp_path / "s.toml", system="serf").sentence
    assert said == (
        "1 phases on 3 nodes\n"
        "Not asked: serf has no dht_put: left out of phase load.\n"
        "Not asked: serf has no option fanout: left out of 3 nodes.\n"
        "Not asked: 2 of 4 rows of the budget are about what it does not have."
    )
    args = ["run", str(tmp_path / "s.toml"), "--system", "serf", "--dry-run"]
    done = CliRunner().invoke(main, args)
    assert "s: 3 serf nodes" in done.output
    assert "Not asked: serf has no dht_put: left out of phase load." in done.output
    plain = CliRunner().invoke(main, [*args, "--json"])
    assert json.loads(plain.stdout)["scenarios"][0]["left_out"][0].startswith("serf has no dht_put")


def test_a_system_is_put_under_test_by_what_has_one(monkeypatch):
    with pytest.raises(UsageError, match="--system: it is put under test by a scenario, suite"):
        validation.validate(ROOT / "budgets" / "demo.toml", system="serf")
    monkeypatch.setenv("SYSTEM", "serf")  # for `run`, and none of a budget's business
    done = CliRunner().invoke(main, ["check", str(ROOT / "budgets" / "demo.toml")])
    assert done.exit_code == 0, done.output


def test_a_shipped_file_is_found_by_its_name():
    assert validation.validate(Path("demo")).kind == "scenario"
    assert validation.validate(Path("line-6")).kind == "topology"
    with pytest.raises(BadFileError, match="no such file"):
        validation.validate(Path("nobody-has-this"))


def test_a_command_file_says_what_it_has_not():
    said = validation.validate(TINY / "tinynode.toml").sentence
    assert "; it has no connect, dht_listen, dht_lookup, file_transfer" in said

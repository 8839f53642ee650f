"""What a bundle names is not run here; what a folder names is its owner's affair."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner
from kit import run_folders

from harness.cli import main
from harness.errors import BadFileError, UsageError
from harness.experiments import bundle, foreign, original, replay, shrink
from harness.faults import spec
from harness.faults.fault import Verb
from harness.history import manifest
from harness.scenario.timeline import PlannedChange


@pytest.fixture
def folder(tmp_path) -> Path:
    return run_folders.good(tmp_path / "runs")


def said(folder: Path, name: str, change) -> Path:
    """The folder with a JSON file of it changed, as if it had been so when the run was closed."""
    found = json.loads((folder / name).read_text())
    change(found)
    (folder / name).write_text(json.dumps(found))
    manifest.write(folder)
    return folder


NAMED = {
    "system under test": ("topology.json", lambda one: one.update(adapter="evil:System")),
    "runtime": ("metadata.json", lambda one: one["runtime"].update(name="evil:Runtime")),
    "check": ("metadata.json", lambda one: one.update(checks=["register", "evil:check"])),
}


@pytest.fixture
def evil(tmp_path, monkeypatch):
    """A module that can be imported, and tells when it is."""
    (tmp_path / "evil.py").write_text(f"open({str(tmp_path / 'imported')!r}, 'w')\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield
    assert not (tmp_path / "imported").exists()


@pytest.mark.parametrize("what", NAMED)
@pytest.mark.usefixtures("evil")
def test_a_bundle_does_not_say_what_is_run_here(folder, tmp_path, what):
    """Neither by a replay nor by a shrink; nothing of it is so much as imported."""
    bundle.write(folder, tmp_path / "good.tar.gz")  # which judges it
    made = bundle.write(said(folder, *NAMED[what]), tmp_path / "b.tar.gz").path
    for play in (replay.replay, shrink.shrink):
        with pytest.raises(UsageError, match=f"the {what} was evil:.*, which is none of"):
            play(made, runs=tmp_path / "again")
    assert not (tmp_path / "again").exists()


@pytest.mark.usefixtures("evil")
def test_a_dry_run_shows_it_and_says_that_it_would_be_refused(folder, tmp_path):
    bundle.write(folder, tmp_path / "good.tar.gz")
    made = bundle.write(said(folder, *NAMED["check"]), tmp_path / "b.tar.gz").path
    done = CliRunner().invoke(main, ["replay", str(made), "--dry-run"])
    assert done.exit_code == 0
    assert "it would be refused" in done.output
    assert "evil:check, which is none of the harness's own" in done.output
    assert "slow: delay 1 ms" in done.output


def test_a_fault_that_starts_nodes_with_another_program(folder, tmp_path):
    of = original.read(folder)
    words = {"where": "node-1", "condition": "restarted", "command": "/bin/evil {arguments}"}
    fault = spec.parse({**words, "name": "new"}).resolve(of.scenario.topology.nodes, 1)
    change = PlannedChange(at_s=1.0, verb=Verb.SET, fault=fault)
    of = replace(of, timeline=replace(of.timeline, changes=(change,)))
    foreign.require_none(of)
    with pytest.raises(UsageError, match="the program of a fault was new: /bin/evil"):
        foreign.require_none(replace(of, source=tmp_path / "b.tar.gz"))


def test_what_a_person_names_instead_is_run(folder, tmp_path):
    of = replace(original.read(said(folder, *NAMED["runtime"])), source=tmp_path / "b.tar.gz")
    assert replay.checked(of, runtime_name="netns").runtime == "evil:Runtime"


def test_inputs_do_not_lead_out_of_the_folder(folder, tmp_path):
    """A replay writes them into its own folder, by their names."""
    (tmp_path / "passwd").write_text("root")
    (folder / "manifest.json").unlink()
    found = json.loads((folder / "metadata.json").read_text())
    found |= {"inputs": [str(tmp_path / "passwd")], "manifest": False}
    (folder / "metadata.json").write_text(json.dumps(found))
    with pytest.raises(BadFileError, match="inputs: a name has a slash in it"):
        original.read(folder)


@pytest.mark.parametrize("shares", [-1, 10**9])
def test_so_many_load_workers_are_refused(folder, shares):
    said(folder, "metadata.json", lambda one: one["load"].update(shares=shares))
    with pytest.raises(BadFileError, match="expected at most 1,024 load workers"):
        original.read(folder)


def test_a_check_that_cannot_be_had_is_refused_before_anything_starts(folder):
    of = original.read(said(folder, "metadata.json", lambda one: one.update(checks=["no:check"])))
    with pytest.raises(UsageError, match="'no:check' cannot be loaded"):
        replay.checked(of)

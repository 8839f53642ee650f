"""What else was sent to a cluster: earlier runs, and programs beside its nodes."""

from __future__ import annotations

import json

import pytest
from kit import run_folders

from harness.errors import BadFileError
from harness.history import metadata
from harness.history.folder import RunFolder
from harness.scenario.schedule import salt
from harness.supervisor.past import Past


def test_runs_and_programs_are_kept_and_a_program_is_told_without_its_arguments(tmp_path):
    past, folder = Past(), RunFolder(tmp_path, "one")
    assert past.facts() == {"before": {"runs": [], "id_keys": [], "commands": 0}}
    past.command("node-0", ["curl", "--token", "secret"], None)
    past.command("node-1", ["curl", "--token", "secret"], folder)
    past.ran(5, 7, "ab" * 16)
    before = {"runs": [salt(5, 7).hex()], "id_keys": ["ab" * 16], "commands": 2}
    assert past.facts() == {"before": before}
    folder.close()
    (line,) = (folder.path / "events.jsonl").read_text().splitlines()
    said = json.loads(line)
    assert (said["event"], said["node"], said["program"]) == ("command", "node-1", "curl")
    assert "secret" not in line


def test_a_folder_that_was_closed_meanwhile_fails_nobodys_command(tmp_path):
    past, folder = Past(), RunFolder(tmp_path, "one")
    folder.close()
    past.command("node-0", [], folder)
    assert past.facts()["before"]["commands"] == 1


@pytest.mark.parametrize("runs", [["zz" * 8], ["ab" * 9], [""], [5]])
def test_a_run_that_is_none_is_refused(good_folder, runs):
    path = good_folder / "metadata.json"
    said = json.loads(path.read_text())
    path.write_text(json.dumps({**said, "before": {"runs": runs, "commands": 0}}))
    with pytest.raises(BadFileError, match="before"):
        metadata.read(good_folder)


@pytest.mark.parametrize("key", ["zz" * 16, "ab" * 15])
@pytest.mark.parametrize("where", ["id_key", "before"])
def test_a_key_of_ids_that_is_none_is_refused(good_folder, key, where):
    path = good_folder / "metadata.json"
    said = json.loads(path.read_text())
    before = {"runs": ["ab" * 8], "id_keys": [key], "commands": 0}
    path.write_text(json.dumps({**said, where: key if where == "id_key" else before}))
    with pytest.raises(BadFileError, match="id_key"):
        metadata.read(good_folder)


@pytest.fixture
def good_folder(tmp_path):
    return run_folders.good(tmp_path)

"""What a person at a shell gets: words completed, mistyped ones named, and JSON where data is."""

from __future__ import annotations

import click
import pytest
from click.testing import CliRunner

from harness.cli import main

# Scripts for a shell, other programs' own words, and files: none is data of ours.
NO_DATA = {"completion", "exec", "machine", "init"}


def commands(group: click.Group, path: tuple[str, ...] = ()):
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))
        else:
            yield (*path, name), command


ALL = dict(commands(main))


@pytest.mark.parametrize("path", [path for path in ALL if path[0] not in NO_DATA], ids=" ".join)
def test_what_prints_data_prints_json(path):
    assert any("--json" in one.opts for one in ALL[path].params)


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        (("rum",), "did you mean 'run'?"),
        (("fault", "cit"), "did you mean 'cut'?"),
        (("fault", "cut", "halfs"), "Did you mean 'halves'?"),
        (("run", "demoo"), "did you mean 'demo'?"),
        (("up", "cluster-01"), "did you mean 'cluster-10'?"),
    ],
)
def test_a_mistyped_word_is_named(words, meant):
    assert meant in CliRunner().invoke(main, list(words)).stderr


def completed(words: str, place: int) -> list[str]:
    asked = {"COMP_WORDS": words, "COMP_CWORD": str(place), "_HARNESS_COMPLETE": "bash_complete"}
    said = CliRunner().invoke(main, env=asked, prog_name="harness").stdout
    return [line.split(",")[1] for line in said.split()]


def test_a_shell_completes_names(tmp_path, monkeypatch):
    """Of nodes and faults only a cluster that is up can tell: none is offered, and no error."""
    monkeypatch.setenv("HARNESS_STATE", str(tmp_path))
    assert completed("harness run faults", 2) == ["faults-tour"]
    assert completed("harness up cluster-1000", 2) == ["cluster-1000"]
    assert "cluster-10" in completed("harness up cluster", 2)
    assert completed("harness fault cut maj", 3) == ["majority-ring"]
    assert completed("harness logs node", 2) == []


def test_no_cluster_is_a_list_without_one(tmp_path, monkeypatch):
    monkeypatch.setenv("HARNESS_STATE", str(tmp_path))
    found = CliRunner().invoke(main, ["clusters"])
    assert (found.exit_code, found.stdout.splitlines()[-1]) == (0, "0 clusters")

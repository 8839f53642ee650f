"""Gates are read from files, and what cannot be played is refused with its reason."""

from __future__ import annotations

import pytest
from kit import ROOT

from harness.errors import BadFileError
from harness.scenario import gate

ONE = '[[criterion]]\nname = "a"\n'


def read(tmp_path, text):
    file = tmp_path / "mine.toml"
    file.write_text(text)
    return gate.read(file)


@pytest.mark.parametrize("file", sorted((ROOT / "gates").glob("*.toml")), ids=lambda one: one.stem)
def test_shipped_gates_are_good(file):
    found = gate.read(file)
    assert found.name == file.stem
    assert gate.is_gate(file)
    assert all(one.run_s(600.0) > 0 for one in found.criteria if one.gate is None)


def test_a_criterion_has_its_defaults(tmp_path):
    (one,) = read(tmp_path, f'{ONE}scenario = "demo"\ntakes = "2m"\nrepeats = 3\n').criteria
    assert (one.name, one.scenario.name, one.repeats) == ("a", "demo.toml", 3)
    assert (one.run_s(None), one.run_s(60.0)) == (120.0, 120.0)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "at least one [[criterion]]"),
        (ONE, "expected one of scenario, soak, gate, command; found none"),
        (f'{ONE}scenario = "demo"\ncommand = ["x"]\nrun = "x"\n', "found scenario and command"),
        (f'{ONE}scenario = "demmo"\n', "did you mean"),
        (f'{ONE}command = ["make"]\n', "command and run go together"),
        (f'{ONE}command = ["make"]\nrun = "../x"\n', "the name of a folder"),
        (f'{ONE}scenario = "demo"\nrepeats = 0\n', "repeats: expected 1 to 1000"),
        (f'{ONE}scenario = "demo"\ntakes = "soon"\n', "takes: expected a time such as 8h"),
        (f'{ONE}scenario = "demo"\ntakes = "0s"\n', "expected a time above 0"),
        (f'{ONE}gate = "project"\nrepeats = 2\n', "a gate answers as a whole and once"),
        (f'{ONE}scenario = "demo"\n{ONE}scenario = "serf"\n', "'a' stands twice"),
        (f'{ONE}scenario = "demo"\nseed = 1\n', "seed: unknown key"),
        (f'{ONE}gate = "mine.toml"\n', "the gate asks for itself"),
    ],
)
def test_what_cannot_be_played_is_refused(tmp_path, text, why):
    with pytest.raises(BadFileError, match=r"mine\.toml") as refused:
        read(tmp_path, text)
    assert why in str(refused.value)


def test_a_soak_takes_its_share_of_the_whole(tmp_path):
    (one,) = read(tmp_path, f'{ONE}soak = "soak-10"\ntakes = "2h"\nshare = 0.5\n').criteria
    assert (one.run_s(None), one.run_s(600.0)) == (7200.0, 300.0)
    with pytest.raises(BadFileError, match="share: expected a part"):
        read(tmp_path, f'{ONE}soak = "soak-10"\nshare = 1.0\n')


def test_gates_that_ask_for_each_other_are_refused(tmp_path):
    (tmp_path / "other.toml").write_text(f'{ONE}gate = "mine.toml"\n')
    with pytest.raises(BadFileError, match="asks for itself"):
        read(tmp_path, f'{ONE}gate = "other.toml"\n')

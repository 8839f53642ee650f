"""Lanes hold every test once. Beside the quiet ones run a night and what yields at most, beside
those that are alone nothing, and what yields starts no clusters.
"""

from __future__ import annotations

import importlib.util
import sys
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
LAYERS = ("unit", "simulations", "machine", "processes", "root", "docker", "browser")


@pytest.fixture(scope="module")
def lanes():
    """The script as a module; a dataclass looks its own up by name."""
    spec = importlib.util.spec_from_file_location("lanes_of_tests", ROOT / "scripts" / "test.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    try:
        spec.loader.exec_module(module)
        yield module
    finally:
        del sys.modules[spec.name]


def files(command: list[str]) -> set[Path]:
    """The files of tests that a command of pytest names, without those that it ignores."""
    found: set[Path] = set()
    ignored = [ROOT / word.removeprefix("--ignore=") for word in command if "--ignore=" in word]
    for word in command:
        path = ROOT / word
        if word.startswith("tests/"):
            assert path.exists(), word
            found |= {path} if path.is_file() else set(path.rglob("test_*.py"))
    return {file for file in found if not any(file.is_relative_to(one) for one in ignored)}


def layers_of(lanes, name):
    """The lanes but the night and those of some tests of files that other lanes hold."""
    others = ("quiet", "alone", "night")
    return [lane for each in lanes.ROUNDS[name] for key, lane in each.items() if key not in others]


def marked(mark):
    """The files of tests that bear a mark."""
    every = {file for layer in LAYERS for file in (ROOT / "tests" / layer).rglob("test_*.py")}
    found = {one for one in every - {Path(__file__)} if f"pytest.mark.{mark}" in one.read_text()}
    assert found
    return found


@pytest.mark.parametrize("name", ["all", "ci"])
def test_every_test_is_in_one_lane(lanes, name):
    held = Counter(file for lane in layers_of(lanes, name) for file in files(lane))
    every = {file for layer in LAYERS for file in (ROOT / "tests" / layer).rglob("test_*.py")}
    assert held == Counter(every | {ROOT / "tests" / "test_architecture.py"})
    *_, quiet, alone = lanes.ROUNDS[name]
    assert marked("quiet") <= files(quiet["quiet"])
    assert marked("alone") <= files(alone["alone"])
    rest = f"{lanes.QUIET[1]} and not {lanes.ALONE[1]}"
    started = [lane for lane in layers_of(lanes, name) if marked("quiet") & files(lane)]
    assert all(f"not {rest}" in lane for lane in started)


def test_beside_the_quiet_ones_there_is_nothing_or_a_night_and_what_yields(lanes):
    *_, quiet, alone = lanes.ROUNDS["all"]
    assert (list(quiet), list(alone)) == (["quiet"], ["alone"])
    first, quiet, alone = lanes.ROUNDS["ci"]
    beside = {name for name, lane in quiet.items() if lane[: len(lanes.YIELDING)] != lanes.YIELDING}
    assert beside == {"night", "quiet"}
    assert list(alone) == ["alone"]
    assert files(quiet["night"]) == {ROOT / "tests" / "night" / "test_night.py"}
    assert [*lanes.YIELDING, *lanes.LINT] in first.values()


@pytest.mark.parametrize("name", ["all", "ci"])
def test_what_yields_starts_at_once_and_starts_no_clusters(lanes, name):
    yielded = []
    for each in lanes.ROUNDS[name]:
        yielding = [one for one in each.values() if one[: len(lanes.YIELDING)] == lanes.YIELDING]
        assert yielding == list(each.values())[: len(yielding)]
        yielded += yielding
    assert yielded
    clusters = {ROOT / "tests" / layer for layer in ("root", "docker", "browser", "processes")}
    assert not [file for one in yielded for file in files(one) if clusters & {*file.parents}]


def test_ci_is_what_ci_runs():
    assert "\nmake ci\n" in (ROOT / ".ci" / "run").read_text()
    assert "scripts/test.py ci" in (ROOT / "Makefile").read_text()


SAY = "import sys, time; time.sleep(float(sys.argv[1])); print('1 passed in 1.00s')"


def says(seconds: float, *, yields: bool = False) -> list[str]:
    return [*(["chrt", "--idle", "0"] if yields else []), sys.executable, "-c", SAY, str(seconds)]


def test_a_round_waits_for_all_that_yields_too(lanes, capsys):
    code = lanes.main([{"computing": says(3, yields=True), "cluster": says(0)}, {"quiet": says(0)}])
    said = capsys.readouterr().out
    order = ["lanes: computing", "cluster: ok", "computing: ok", "lanes: quiet", "quiet: ok"]
    places = [said.index(word) for word in order]
    assert places == sorted(places), said
    assert code == 0
    assert "3 passed in" in said


def test_so_many_are_side_by_side_and_the_next_starts_when_one_ends(lanes, capsys, monkeypatch):
    monkeypatch.setattr(lanes, "AT_ONCE", 2)
    round_ = {"yields": says(2, yields=True), "long": says(2), "a": says(0), "b": says(0)}
    assert lanes.main([round_]) == 0
    said = capsys.readouterr().out
    places = [said.index(word) for word in ("a: ok", "b: ok", "long: ok")]
    assert places == sorted(places), said
    monkeypatch.setattr(lanes, "AT_ONCE", 1)
    assert lanes.main([{"long": says(2), "a": says(0)}]) == 0
    said = capsys.readouterr().out
    assert said.index("long: ok") < said.index("a: ok"), said


def test_the_exit_code_is_the_worst_and_the_rest_is_played(lanes, capsys):
    code = lanes.main([{"bad": [sys.executable, "-c", "exit(3)"]}, {"good": says(0)}])
    said = capsys.readouterr().out
    assert code == 3
    assert "lanes that failed: bad" in said
    assert "good: ok" in said

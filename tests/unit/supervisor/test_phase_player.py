"""The phase player: phases begin in their turn, and one ends early that a condition ends."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import cast

import pytest

from harness.errors import UsageError
from harness.history.folder import RunFolder
from harness.scenario.timeline import PlannedPhase
from harness.supervisor.phase_player import PhasePlayer
from tests.kit.desk import wait_for

PHASES = {"a": 0.0, "b": 0.1}  # name → when it begins


def test_snapshot_fails(tmp_path: Path) -> None:
    """A snapshot between two phases that breaks off is told of, and the second phase is played."""
    phases = [PlannedPhase(name=name, begin_s=at, end_s=at + 0.1) for name, at in PHASES.items()]
    folder, told = RunFolder(tmp_path, "run"), cast("list[BaseException]", [])

    def snapshot(phase: str | None) -> None:
        if phase == "a":
            raise OSError("No space left on device")

    began: list[str] = []
    player = PhasePlayer(phases, time.monotonic_ns(), folder, snapshot, told.append, began.append)
    wait_for(lambda: bool(began) and player.phase is None)
    player.stop()
    folder.discard()
    assert (began, [str(error) for error in told]) == (["a", "b"], ["No space left on device"])


def test_a_phase_begins_before_the_one_before_it_is_looked_at(tmp_path: Path) -> None:
    """However long the snapshot takes, it is not in the way of the moment that is told."""
    phases = [PlannedPhase(name=name, begin_s=at, end_s=at + 0.1) for name, at in PHASES.items()]
    folder, taken = RunFolder(tmp_path, "run"), cast("dict[str | None, int]", {})

    def snapshot(phase: str | None) -> None:
        taken[phase] = time.monotonic_ns()

    player = PhasePlayer(phases, time.monotonic_ns(), folder, snapshot, pytest.fail)
    wait_for(lambda: "b" in taken)
    player.stop()
    lines = (folder.path / "events.jsonl").read_text().splitlines()
    [told] = [one for one in map(json.loads, lines) if one.get("phase") == "b"]
    assert told["at_ns"] < taken["a"]
    folder.discard()


def test_a_phase_that_its_condition_ended(tmp_path: Path) -> None:
    """What follows it comes as much earlier, and is told as due then; only such a phase ends so."""
    phases = [
        PlannedPhase(name="a", begin_s=0.0, end_s=0.05),
        PlannedPhase(name="b", begin_s=0.05, end_s=600.0, until="it holds"),
        PlannedPhase(name="c", begin_s=600.0, end_s=600.1),
    ]
    folder, began = RunFolder(tmp_path, "run"), cast("list[str]", [])
    t0_ns = time.monotonic_ns()
    player = PhasePlayer(phases, t0_ns, folder, lambda _: None, pytest.fail, began.append)
    wait_for(lambda: began == ["a", "b"])
    for name in ("a", "z"):
        with pytest.raises(UsageError, match="that a condition ends"):
            player.end_phase(name, time.monotonic_ns())
    with pytest.raises(UsageError, match="has not begun by then"):
        player.end_phase("b", t0_ns + 10_000_000)
    at_ns = time.monotonic_ns() + 50_000_000
    due_ns, early_ns = player.end_phase("b", at_ns)
    assert (due_ns, due_ns - early_ns) == (t0_ns + 600 * 10**9, at_ns)
    with pytest.raises(UsageError, match="has ended"):
        player.end_phase("b", at_ns)
    wait_for(lambda: began == ["a", "b", "c"] and player.phase is None)
    player.stop()
    lines = (folder.path / "events.jsonl").read_text().splitlines()
    events = [json.loads(line) for line in lines]
    [told] = [one for one in events if one.get("phase") == "c"]
    assert told["planned_ns"] == at_ns <= told["at_ns"]
    [over] = [one for one in events if one["event"] == "phases-over"]
    assert over["at_ns"] >= at_ns + 99_000_000
    assert not player.is_cut
    folder.discard()


@pytest.mark.parametrize(("end_s", "is_cut"), [(600.0, True), (None, False)])
def test_a_run_is_cut_where_it_had_an_end(
    tmp_path: Path, end_s: float | None, is_cut: bool
) -> None:
    phases = [PlannedPhase(name="a", begin_s=0.0, end_s=end_s)]
    folder, began = RunFolder(tmp_path, "run"), cast("list[str]", [])
    player = PhasePlayer(
        phases, time.monotonic_ns(), folder, lambda _: None, pytest.fail, began.append
    )
    wait_for(lambda: began == ["a"])
    player.stop()
    assert player.is_cut is is_cut
    folder.discard()

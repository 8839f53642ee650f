"""The search against an oracle whose truth is known: what it keeps, loses and says, over seeds."""

from __future__ import annotations

import errno
import json
import random
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from kit.cases import case, row, stream

from harness.errors import InterruptedByUserError, StorageError, UsageError
from harness.experiments.delta_debugging import SpentError
from harness.experiments.failure import Failure
from harness.experiments.laboratory import Bounds
from harness.experiments.sequential_test import FAILURES_WANTED, Outcome
from harness.experiments.shrink import _require_possible, search
from harness.experiments.shrunk import Shrunk
from harness.scenario import files
from harness.scenario.until import READY

FAST = ("fast", "chaos")
GUILTY = {"f4", "f9"}


def planted():
    """Twelve faults on twelve nodes, of which two together break a promise."""
    faults = [
        {"name": f"f{number}", "where": "all", "delay": f"{number}ms"} for number in range(1, 13)
    ]
    return case(
        [
            {"name": "before", "duration_s": 2, "stream": [stream()]},
            {"name": "chaos", "duration_s": 2, "stream": [stream()], "fault": faults},
        ],
        rows=[row("chaos")],
    )


def is_guilty(one):
    return names(one) >= GUILTY


def names(one):
    return {fault["name"] for _, _, fault in one.documents().faults()}


class Oracle:
    """A laboratory whose runs are drawn by lot.

    `rate`: of what is guilty, the share of runs that fail; `noise`: of all else; `silence`: the
    share of all runs that say nothing. `runs_most`: how many runs there may be.
    """

    def __init__(self, seed, rate=1.0, noise=0.0, silence=0.0, runs_most=10**6):
        self.lot = random.Random(seed)
        self.rate, self.noise, self.silence = rate, noise, silence
        self.runs_most, self.kept_free = runs_most, 0
        self.runs, self.seconds = 0, 0.0
        self.failed, self.played, self.own, self.decisions = {}, Counter(), 0, []

    def play(self, one, file=None):
        if self.runs >= self.runs_most - self.kept_free:
            raise SpentError
        self.runs += 1
        self.played[one] += 1
        self.own += file is not None
        if self.lot.random() < self.silence:
            return Outcome.UNRESOLVED
        if self.lot.random() >= (self.rate if is_guilty(one) else self.noise):
            return Outcome.PASSES
        self.failed.setdefault(one, set()).add(FAST)
        return Outcome.FAILS

    def keep(self, _, runs):
        self.kept_free = runs

    def decided(self, what, _, candidate, decision):
        self.decisions.append((what, candidate, decision))

    def told(self, _):
        pass

    def refusal(self, _):
        return None


def shrunk(tmp_path, oracle, jobs=1):
    found = Shrunk(
        run=tmp_path,
        failure=Failure(findings=frozenset({FAST})),
        original=planted(),
        folder=tmp_path,
    )
    with ThreadPoolExecutor(jobs) as executor:
        search(found, oracle, executor, jobs)
    return found


def test_what_always_fails_is_found_and_verified(tmp_path):
    oracle = Oracle(1)
    found = shrunk(tmp_path, oracle)
    assert names(found.best) == GUILTY
    assert found.is_minimal
    assert found.is_verified
    assert found.exit_code == 0
    assert (found.last.fails, found.last.passes) == (3, 0)
    assert oracle.own == 3
    assert len(found.best.documents().nodes()) == 2
    assert oracle.runs <= 40
    written = files.read_scenario(tmp_path / "smallest.toml")
    assert [fault.name for phase in written.phases for fault in phase.faults] == ["f4", "f9"]


def test_what_fails_in_one_run_of_three_is_found_over_many_seeds(tmp_path):
    """What is verified holds the two that are needed, each time; and nothing else nearly always,
    although each search makes some 50 tests.
    """
    sizes, runs = Counter(), []
    for seed in range(30):
        oracle = Oracle(seed, rate=1 / 3)
        found = shrunk(tmp_path, oracle)
        assert is_guilty(found.best)
        sizes[found.is_verified, len(names(found.best))] += 1
        runs.append(oracle.runs)
    assert sizes[True, 2] >= 27
    assert sum(runs) <= 200 * len(runs)


def test_a_wrong_step_is_taken_back_and_the_search_goes_on(tmp_path):
    """What is innocent fails in 3 % of its runs, so that some of the many candidates are taken for
    failing: the result's own file shows it.
    """
    wrong = runs = 0
    for seed in range(30):
        oracle = Oracle(seed, rate=0.9, noise=0.03)
        found = shrunk(tmp_path, oracle)
        wrong += any(
            decision.outcome is Outcome.FAILS and not is_guilty(candidate)
            for what, candidate, decision in oracle.decisions
            if what != "its own file"
        )
        assert found.is_verified
        assert names(found.best) == GUILTY
        runs += oracle.runs
    assert wrong >= 5
    assert runs <= 30 * 60


def test_runs_that_say_nothing_lose_nothing(tmp_path):
    """With one run of five that says nothing some steps stay undecided, which is told."""
    minimal = 0
    for seed in range(20):
        found = shrunk(tmp_path, Oracle(seed, silence=0.2))
        assert is_guilty(found.best)
        minimal += found.is_minimal
        if found.is_minimal:
            assert names(found.best) == GUILTY
        else:
            assert "a smaller one may fail too: not all was decided" in found.sentence()
    assert 0 < minimal < 20


def test_a_part_whose_removal_says_nothing_is_not_called_needed(tmp_path):
    """Without the innocent f5 no run says anything: it stays, and the result is not minimal."""
    oracle = Oracle(1)

    def play(one, file=None, own=oracle.play):
        return own(one, file) if "f5" in names(one) else Outcome.UNRESOLVED

    oracle.play = play
    found = shrunk(tmp_path, oracle)
    assert names(found.best) == {*GUILTY, "f5"}
    assert found.is_verified
    assert not found.is_minimal
    assert "# without this: unresolved (2 said nothing)" in (tmp_path / "smallest.toml").read_text()


def beyond(found):
    """What the smallest one's file says was tried beyond it."""
    lines = found.written("x")["x.toml"].split("\n\n")[0].splitlines()
    title = "# Tried beyond that:"
    return lines[lines.index(title) + 1 :] if title in lines else []


def test_what_is_beyond_the_smallest_is_neither_it_nor_larger(tmp_path):
    """A number whose next value said nothing at first fails there later, as the runs are used up:
    that value is the smallest one's own now, and nobody knows what is beyond it.
    """
    told = set()
    for runs_most in range(40, 60):
        oracle = Oracle(1, runs_most=runs_most)

        def play(one, file=None, own=oracle.play, oracle=oracle):
            said, phase = own(one, file), one.documents().phases[-1]
            if phase["duration_s"] < 2 and oracle.runs < 40:
                return Outcome.UNRESOLVED
            delays = {fault["name"]: fault["delay"] for fault in phase.get("fault", ())}
            return Outcome.PASSES if delays.get("f4") in ("1ms", "2ms") else said

        oracle.play = play
        told.update(beyond(shrunk(tmp_path, oracle)))
    assert told == {"#   fault f4: delay 2ms, was 2.8ms: passes (0 of 2 runs failed)"}


@pytest.mark.parametrize("runs_most", [FAILURES_WANTED, 10, 16, 20, 26, 32])
def test_where_the_runs_are_used_up_the_best_so_far_is_verified(tmp_path, runs_most):
    oracle = Oracle(1, runs_most=runs_most)
    found = shrunk(tmp_path, oracle)
    assert oracle.runs <= runs_most
    assert not found.is_minimal
    if runs_most > FAILURES_WANTED:
        assert found.is_verified
        assert len(found.best.documents().phases) == 1
        assert "a smaller one may fail too" in found.sentence()
    else:
        assert not found.is_verified
        assert found.exit_code == 2


def test_bounds_in_which_nothing_can_be_found_are_refused():
    """A phase that a condition ends may be shorter than the scenario says."""
    phase = {"name": "healed", "kind": "converge", "until": READY, "at_most_s": 40}
    with pytest.raises(UsageError, match=r"at least 400 s: the run lasts up to 40 s \(and some 8"):
        _require_possible(case([phase]), Bounds(for_s=100), None)


def test_an_original_that_does_not_fail_again_is_told(tmp_path):
    found = shrunk(tmp_path, Oracle(1, rate=0.0))
    assert "the original failed in 0 of 15 runs: there is nothing to go by" in found.sentence()
    found = shrunk(tmp_path, Oracle(1, silence=1.0))
    assert "0 of 0 runs (5 more said nothing)" in found.sentence()
    assert found.exit_code == 2


def test_ctrl_c_leaves_the_best_so_far(tmp_path):
    oracle = Oracle(1)

    def play(one, file=None, own=oracle.play):
        if oracle.runs == 20:
            raise InterruptedByUserError("interrupted")
        return own(one, file)

    oracle.play = play
    found = Shrunk(
        run=tmp_path,
        failure=Failure(findings=frozenset({FAST})),
        original=planted(),
        folder=tmp_path,
    )
    with ThreadPoolExecutor(1) as executor, pytest.raises(InterruptedByUserError):
        search(found, oracle, executor, 1)
    assert GUILTY <= names(found.best) < names(planted())
    written = files.read_scenario(tmp_path / "smallest.toml")
    assert {fault.name for phase in written.phases for fault in phase.faults} == names(found.best)
    assert not json.loads((tmp_path / "shrink.json").read_text())["verified"]


def test_a_full_disk_leaves_files_that_belong_together(tmp_path, monkeypatch):
    """Of a scenario, its topology and its budget no one is newer than the others."""
    oracle = Oracle(1)
    found = shrunk(tmp_path, oracle)
    before = {file.name: file.read_text() for file in tmp_path.iterdir()}
    found.search.found.append(planted())
    real = Path.write_text

    def full(path, text):
        if "topology" in path.name:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(path, text)

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(StorageError, match="No space left"):
        found.write()
    assert {file.name: file.read_text() for file in tmp_path.iterdir()} == before


def test_what_was_not_seen_to_fail_is_not_called_failing(tmp_path):
    """Its files say what was searched for, what failed once, and what is known to fail."""
    found = shrunk(tmp_path, Oracle(1, rate=0.0))
    assert found.written("x")["x.toml"].startswith("# Searched for: fast")
    found = shrunk(tmp_path, Oracle(1))
    found.failed = {FAST}
    assert found.written("x")["x.toml"].startswith("# Fails: fast")
    found.last = None
    assert found.written("x")["x.toml"].startswith("# Failed: fast")


def test_a_result_that_fails_by_one_of_two_findings_says_which(tmp_path):
    oracle = Oracle(1)
    both = frozenset({FAST, ("lost", "")})
    found = Shrunk(
        run=tmp_path, failure=Failure(findings=both), original=planted(), folder=tmp_path
    )
    with ThreadPoolExecutor(2) as executor:
        search(found, oracle, executor, 2)
        found.failed = oracle.failed[found.best]
    header = found.written("x")["x.toml"]
    assert "# Fails: fast (phase chaos)\n" in header
    assert "# Failed in the original, and was not seen to in this: lost\n" in header
    assert found.facts()["failed"] == [{"name": "fast", "phase": "chaos"}]

"""A run that is followed: its folder grows, cut at any byte, and each look tells the truth so far.

`HARNESS_GROWTHS` sets how many runs grow.
"""

from __future__ import annotations

import os
import shutil
import time
import tomllib
from dataclasses import replace
from random import Random

import numpy as np
import pyarrow as pa
import pytest
from kit import run_folders
from kit.growth import Growth
from kit.histories import SECOND, fault, history, operation, stored
from kit.run_folders import END_NS, T0

from harness import checks as all_checks
from harness.checks import live as checks
from harness.checks import register
from harness.checks.verdict import Answer, Cause
from harness.experiments import follow, judge
from harness.experiments.follow import Follower
from harness.history import journal, live, manifest, reader
from harness.history.events import RunEnded
from harness.history.growing import Growing
from harness.operations import Operation, Outcome
from harness.operations.records import RecordKind
from harness.scenario import files as scenario_files

SEEDS = range(int(os.environ.get("HARNESS_GROWTHS", "4")))
BUDGET = scenario_files.budget_from(tomllib.loads(run_folders.BUDGET), "budget.toml", "budget")
LATE_NS = 3 * SECOND


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    return run_folders.good(tmp_path_factory.mktemp("runs"))


@pytest.fixture(scope="module")
def late(good, tmp_path_factory):
    """The same run, but that every fifth broadcast reaches node-2 three seconds late."""
    path = tmp_path_factory.mktemp("late") / "run"
    shutil.copytree(good, path)
    file = path / "journal" / "node-2.bin"
    data = file.read_bytes()
    found = np.frombuffer(data, journal.RECORD, -1, journal.HEADER_BYTES).copy()
    found["at_ns"][np.flatnonzero(found["kind"] == RecordKind.RECEIVED)[::5]] += LATE_NS
    found = found[np.argsort(found["at_ns"], kind="stable")]
    file.write_bytes(data[: journal.HEADER_BYTES] + found.tobytes())
    manifest.write(path)
    return path


def moments(seed: int) -> list[int]:
    chance, now_ns, found = Random(seed), T0 - SECOND, []
    while now_ns < END_NS + SECOND:
        now_ns += round(chance.uniform(0.2, 2.0) * SECOND)
        found.append(now_ns)
    return found


def answers(judged) -> dict[tuple[str, str], Answer]:
    return {(one.name, one.phase): one.answer for one in judged.verdict.findings}


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("run", ["good", "late"])
def test_no_look_accuses_of_what_may_still_come_true(request, run, seed, tmp_path):
    finished = request.getfixturevalue(run)
    growth, last = Growth(finished, tmp_path, seed), judge.judge(finished, write=False)
    assert Answer.FAIL not in answers(last).values()
    follower, seen = Follower(tmp_path), []
    for now_ns in moments(seed):
        growth.grow(now_ns)
        if look := follower.look():
            seen.append(look)
            failed = [one for one in look.judged.verdict.findings if one.answer is Answer.FAIL]
            assert not failed, (look.at_s, failed)
            broken = [one for one in look.judged.verdict.findings if one.cause in BROKEN]
            assert not broken, (look.at_s, broken)
    assert [one.at_s for one in seen] == sorted(one.at_s for one in seen)
    # As soon as a phase is over and all of it has come true, its rows have their last answer.
    now = answers(seen[-1].judged)
    assert {key for key in now if now[key] is not answers(last)[key]} <= {
        ("beside", "load"),  # iperf3 tells at the end
    } | {key for key in now if key[1] == "settle"}
    growth.finish()
    assert follower.is_closed()
    assert follower.final().judged.verdict == last.verdict


BROKEN = (Cause.CHECKER_BROKE,)


@pytest.mark.parametrize("seed", SEEDS)
def test_whatever_files_are_ahead_of_others(late, seed, tmp_path):
    growth, follower = Growth(late, tmp_path, seed), Follower(tmp_path)
    for _ in range(8):
        growth.scatter()
        if look := follower.look():
            assert Answer.FAIL not in answers(look.judged).values(), look.judged.verdict
            assert not [one for one in look.judged.verdict.findings if one.cause in BROKEN]


def same(one: live.Look, other: live.Look) -> bool:
    tables = ("operations", "samples", "host")
    values = ("events", "gaps", "proofs", "histograms", "gauges", "told", "phases", "plan", "links")
    return (
        one.at_ns == other.at_ns
        and np.array_equal(one.history.journal, other.history.journal)
        and all(getattr(one.history, x).equals(getattr(other.history, x)) for x in tables)
        and all(getattr(one.history, x) == getattr(other.history, x) for x in values)
    )


@pytest.mark.parametrize("seed", SEEDS)
def test_reading_on_finds_what_reading_anew_finds(good, seed, tmp_path):
    growth = Growth(good, tmp_path, seed)
    facts, files, looks = reader.metadata(tmp_path), Growing(tmp_path), 0
    for now_ns in moments(seed):
        growth.grow(now_ns)
        seen, anew = live.look(files, facts), live.look(Growing(tmp_path), facts)
        assert (seen is None) == (anew is None)
        if seen is not None:
            looks += 1
            assert same(seen, anew)
    assert looks > 5
    size = sum(path.stat().st_size for path in tmp_path.rglob("*") if path.suffix != ".json")
    assert files.read_bytes < 2 * size  # what is not whole yet is read again


def test_what_a_kill_tore_is_a_gap_of_that_node_at_once(good, tmp_path):
    growth = Growth(good, tmp_path, 1)
    growth.grow(T0 + 8 * SECOND)
    with (tmp_path / "journal" / "node-1.bin").open("ab") as file:
        file.write(b"\xff" * 77)
    facts = reader.metadata(tmp_path)
    seen = live.look(Growing(tmp_path), facts)
    assert {gap.of for gap in seen.history.gaps} == {("node-1",)}


def test_a_cut_makes_delivery_unknown_before_anything_times_out(good, tmp_path):
    """Operations that are due and of which nothing is heard count with their age."""
    growth = Growth(good, tmp_path, 1)
    growth.grow(T0 + 8 * SECOND)
    files = sorted((tmp_path / "load").iterdir())
    sizes = [file.stat().st_size for file in files]
    growth.grow(T0 + 14 * SECOND)
    for file, size in zip(files, sizes, strict=True):
        os.truncate(file, size)
    look = Follower(tmp_path).look()
    by_name = {one.name: one for one in look.judged.verdict.findings}
    assert look.in_flight > 50
    for name in ("delivered", "latency"):
        assert by_name[name].answer is Answer.UNKNOWN
    assert by_name["latency"].cause in (Cause.UNDER_WAY, Cause.GAP)


def test_a_run_that_nobody_writes_any_more_is_judged_as_it_is(good, tmp_path):
    growth = Growth(good, tmp_path, 1)
    growth.grow(T0 + 9 * SECOND)
    for path in tmp_path.rglob("*"):
        os.utime(path, (1, 1))
    [only] = follow.follow(tmp_path)
    assert only.is_final
    assert "nobody closed it" in only.problem
    assert only.judged.verdict == judge.judge(tmp_path, write=False).verdict
    assert only.judged.exit_code == 2


def test_a_wall_clock_that_is_set_makes_no_run_silent(good, tmp_path, monkeypatch):
    """Nor does one that was ahead keep a run that nobody writes from being seen as such."""
    growth = Growth(good, tmp_path, 1)
    growth.grow(T0 + 8 * SECOND)
    now_s = [0.0, 0.0]  # by the wall clock and by the monotonic one, from now on
    real = time.time(), time.monotonic()
    monkeypatch.setattr(follow.time, "time", lambda: real[0] + now_s[0])
    monkeypatch.setattr(follow.time, "monotonic", lambda: real[1] + now_s[1])
    follower = Follower(tmp_path)
    assert follower.silence() == ""
    now_s[:] = 3600.0, 1.0
    assert follower.silence() == ""
    now_s[:] = -3600.0, follow.SILENT_S + 2
    assert "nobody closed it" in follower.silence()
    for path in tmp_path.rglob("*"):
        os.utime(path, (real[0] + 3600, real[0] + 3600))
    now_s[:] = 0.0, 0.0
    follower = Follower(tmp_path)
    assert follower.silence() == ""
    now_s[:] = 20.0, 20.0
    assert "nobody closed it" in follower.silence()


def test_a_finished_run_is_one_look(good):
    [only] = follow.follow(good)
    assert only.is_final
    assert only.problem == ""
    assert only.as_json()["verdict"] == judge.judge(good).as_json()
    assert only.as_json() | {"verdict": None} == {
        "at_s": 22.0,
        "is_final": True,
        "in_flight": 0,
        "verdict": None,
    }


@pytest.mark.parametrize(
    ("in_flight", "bound", "answer"),
    [(90, 97.0, Answer.UNKNOWN), (0, 97.0, Answer.PASS), (90, 99.9, Answer.FAIL)],
)
def test_a_miss_counts_only_if_what_is_in_flight_cannot_mend_it(
    good, tmp_path, in_flight, bound, answer
):
    """One message failed; the last ones of the phase so far are still under way."""
    Growth(good, tmp_path, 1).grow(T0 + 13 * SECOND)
    seen = live.look(Growing(tmp_path), reader.metadata(tmp_path))
    done, outcome, due, kind = (
        seen.history.column(name).copy()
        for name in ("done_ns", "outcome", "intended_ns", "operation")
    )
    mine = np.flatnonzero(kind == Operation.PRIVATE_MESSAGE)
    mine = mine[np.argsort(due[mine])]
    outcome[mine[0]] = Outcome.FAILED
    done[mine[len(mine) - in_flight :]] = seen.at_ns + SECOND
    table = seen.history.operations
    for name, values in (("done_ns", done), ("outcome", outcome)):
        table = table.set_column(table.schema.get_field_index(name), name, pa.array(values))
    row = next(row for row in BUDGET.rows if row.name == "delivered")
    row = replace(row, comparison=">=", bound=bound)
    made = checks.judge(replace(seen, history=replace(seen.history, operations=table)), [row])
    assert made.in_flight >= in_flight
    assert made.verdict.findings[0].answer is answer, made.verdict.findings[0]


def test_a_journal_that_lags_accuses_nobody(good, tmp_path):
    """The first messages were slow; the others were acknowledged at once, and their receivers'
    records are written a few seconds later.
    """
    Growth(good, tmp_path, 1).grow(T0 + 13 * SECOND)
    seen = live.look(Growing(tmp_path), reader.metadata(tmp_path))
    table, told = seen.history.operations, seen.history.journal.copy()
    due, kind, done = (
        seen.history.column(name).copy() for name in ("intended_ns", "operation", "done_ns")
    )
    mine = np.flatnonzero(kind == Operation.PRIVATE_MESSAGE)
    mine = mine[np.argsort(due[mine])]
    ids = np.array([one.as_py() for one in table.column("id")], "V16")
    is_delivery = told["kind"] == RecordKind.DELIVERED
    slow, unread = (is_delivery & np.isin(told["id"], ids[some]) for some in (mine[:10], mine[10:]))
    told["at_ns"][slow] += SECOND // 10
    done[mine[:10]] += SECOND // 10
    table = table.set_column(table.schema.get_field_index("done_ns"), "done_ns", pa.array(done))
    row = next(row for row in BUDGET.rows if row.name == "latency")
    row = replace(row, statistic="p50", bound=50.0, unit="ms")
    for journalled, answer in ((told[~unread], Answer.UNKNOWN), (told, Answer.PASS)):
        now = replace(seen.history, operations=table, journal=journalled)
        made = checks.judge(replace(seen, history=now), [row])
        assert made.verdict.findings[0].answer is answer, made.verdict.findings[0]


def test_what_comes_after_the_last_fault_is_judged_at_the_end():
    """Until then another fault may come, before which nothing is asked of what was read."""
    put, get = Operation.DHT_PUT, Operation.DHT_GET
    operations = [
        operation(1, put, target=-1),
        operation(8000, get, target=-1, outcome=int(Outcome.FAILED)),
    ]
    found = history(
        operations,
        values=stored((1, 7, None), (8000, 7, None)),
        events=(fault("set", 1.5), fault("clear", 2), RunEnded()),
        checks=("register", "linearizability"),
        kept=frozenset(),  # no journal has to tell that a put was stored
    )
    whole = {one.name: one for one in all_checks.judge(found, []).findings}
    assert whole[register.KEPT].answer is Answer.FAIL
    seen = live.Look(history=found, t0_ns=SECOND, at_ns=10**12, later=(), has_ended=False)
    so_far = {one.name: one for one in checks.judge(seen, []).verdict.findings}
    assert so_far[register.KEPT].cause is Cause.UNDER_WAY
    assert "another fault may come (so far FAIL)" in so_far[register.KEPT].sentence
    nothing = so_far["linearizability: something to check"]
    assert nothing.sentence == f"so far: {whole[nothing.name].sentence}"

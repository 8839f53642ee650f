"""Shrinking a failure: the smallest scenario that still fails, found by real runs.

Its folder, ``runs/<scenario>-shrink/<time>/``, has `smallest.toml` with its topology and budget
beside it (the smallest that failed so far, at any moment), `trials.jsonl` with a line for each run
and each candidate that was decided, `shrink.json`, and below `tries/` the files of each run.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from harness.control import state
from harness.control.progress import Progress, nobody
from harness.errors import (
    HarnessError,
    InterruptedByUserError,
    NameTakenError,
    StorageError,
    UsageError,
)
from harness.experiments import beforehand, foreign, judge, recorded_case, reductions, replay
from harness.experiments import case as cases
from harness.experiments.case import Case
from harness.experiments.delta_debugging import Search, SpentError, Trials
from harness.experiments.failure import Failure
from harness.experiments.laboratory import OVERHEAD_S, Bounds, Laboratory
from harness.experiments.sequential_test import (
    FAILURES_WANTED,
    Decision,
    Estimate,
    Outcome,
    SequentialTest,
    estimate,
)
from harness.experiments.shrunk import SMALLEST, Shrunk
from harness.history.folder import new_folder

UNRESOLVED_AT_END = 4  # runs of the smallest one's own file that may say nothing
DOUBT = 4  # times the runs that it takes to verify the smallest: without a smaller one, it is done


def shrink(
    run: Path,
    finding: str | None = None,
    *,
    cluster: str | None = None,
    runs: Path = Path("runs"),
    for_s: float = 900.0,
    tries: int | None = None,
    jobs: int = 1,
    out: Path | None = None,
    progress: Progress = nobody,
    told: Callable[[str], None] = lambda _: None,
) -> Shrunk:
    """Search for the smallest scenario in which a finding of a run is FAIL again; return what is
    known of it.

    `run`: its folder, or the ``latest`` in a folder of runs, or a bundle. `finding`: its name;
    None: any that failed. `for_s` and `tries`: how long all runs together may take, and how many
    there may be. `out`: where the smallest scenario is written too. `told` hears a sentence about
    each candidate. Ctrl-C ends with what is known. Raises UsageError, BadFileError, NameTakenError,
    UnavailableError and StorageError before anything starts.
    """
    clusters = _clusters(cluster, jobs)
    with replay.opened(run) as played:
        foreign.require_none(played)
        verdict = judge.judge(played.folder, write=False).verdict
        failure = Failure.of(verdict, finding, str(played.source))
        original = recorded_case.case_of(played, failure.names)
    if (why := Laboratory.refusal(original)) is not None:
        raise UsageError(f"{played.source}: it cannot be played again as a scenario: {why}")
    bounds = Bounds(for_s=for_s, runs=tries)
    _require_possible(original, bounds, out)
    settings = {"runtime_name": played.runtime, "workers": played.workers}
    beforehand.require(
        [played.timeline], cluster=clusters[0], runtime_name=played.runtime, runs=runs
    )
    folder = new_folder(runs, f"{played.scenario.name[:25]}-shrink")
    found = Shrunk(run=played.source, failure=failure, original=original, folder=folder)
    lab = Laboratory(folder, failure, bounds, clusters, settings, progress, told)
    with ThreadPoolExecutor(jobs) as executor:
        try:
            search(found, lab, executor, jobs)
        except (KeyboardInterrupt, InterruptedByUserError):
            found.is_interrupted = True
        except HarnessError as error:
            if found.search is None or found.file is None:
                raise
            said = f"{error}; the smallest that failed so far: {found.file}"
            raise type(error)(said) from error
        finally:
            lab.stop()
            with suppress(StorageError):  # of a full disk, which has ended the search
                _write(found, lab)
    if out is not None and found.test is not None:
        found.write_as(out)
    return found


def search(found: Shrunk, lab: Laboratory, executor: ThreadPoolExecutor, jobs: int) -> None:
    """Estimate how often the original fails, make it smaller, and play the result's own file.

    Where that does not fail, a test of a candidate has erred: the search goes on from the smallest
    one before it.
    """
    size = found.original.documents().size()
    lab.told(f"the original is played until it failed {FAILURES_WANTED} times: {size}")
    try:
        found.estimated = estimate(lambda: lab.play(found.original))
    except SpentError:
        return
    if not found.estimated.p1:
        return
    found.test = SequentialTest(p1=found.estimated.p1)
    lab.told(f"the original failed in {found.estimated}")
    at_end, least = found.test.stricter(), found.test.runs_to_verify
    idle = 0  # runs since something smaller was found

    def kept(case: Case) -> None:
        nonlocal idle
        found.last, idle = None, 0
        lab.keep(case, least)
        _write(found, lab)

    def decided(what: str, candidate: Case, decision: Decision) -> None:
        nonlocal idle
        lab.decided(what, found.best, candidate, decision)
        idle += decision.runs
        if idle > DOUBT * least and found.last is None:
            _verify(found, lab, at_end)
            if found.last is not None and found.last.outcome is Outcome.PASSES:
                raise _WrongError

    trials = Trials(
        lab.play, found.test, refusal=lab.refusal, executor=executor, jobs=jobs, told=decided
    )
    found.search = Search(found.original, trials, kept)
    kept(found.best)
    is_over = False
    while not is_over:
        with suppress(_WrongError):
            found.search.run(reductions.passes(found.failure.phases))
        is_over = True
        while _verify(found, lab, at_end) is Outcome.PASSES and found.best != found.original:
            assert found.last is not None  # it says PASSES
            found.search.retract(found.last)
            kept(found.best)
            is_over = False


class _WrongError(Exception):
    """The smallest one does not fail by its own file: nothing smaller is searched."""


def _verify(found: Shrunk, lab: Laboratory, test: SequentialTest) -> Outcome | None:
    """Play the smallest one by its own file, until a test decides or no run is left; return what it
    says, None where there was no run. It is not played again where it was.
    """
    if found.last is not None:
        return found.last.outcome
    lab.keep(found.best, 0)
    _write(found, lab)
    file, counts = found.folder / f"{SMALLEST}{cases.FILE}", dict.fromkeys(Outcome, 0)

    def play() -> Outcome:
        outcome = lab.play(found.best, file)
        counts[outcome] += 1
        return outcome

    try:
        found.last = test.decide(play, UNRESOLVED_AT_END)
    except SpentError:
        fails, passes, unresolved = counts.values()
        if not fails + passes + unresolved:
            return None
        found.last = Decision(
            outcome=Outcome.UNRESOLVED, fails=fails, passes=passes, unresolved=unresolved
        )
    lab.keep(found.best, 0)  # of the runs of its own file the last one is enough
    lab.decided("its own file", found.best, found.best, found.last)
    return found.last.outcome


def _write(found: Shrunk, lab: Laboratory) -> None:
    """Write what is known now. Raises StorageError."""
    found.failed = frozenset(lab.failed.get(found.best, ()))
    found.runs, found.seconds = lab.runs, lab.seconds
    found.write()


def _require_possible(original: Case, bounds: Bounds, out: Path | None) -> None:
    """Raise UsageError for bounds in which nothing can be found, and a file that cannot be."""
    seconds = original.documents().seconds
    if out is not None and (out.suffix != cases.FILE or not out.absolute().parent.is_dir()):
        raise UsageError(f"--out: expected a .toml file in a folder that is there, found {out}")
    always = Estimate(fails=FAILURES_WANTED, passes=0, unresolved=0)
    at_end = SequentialTest(p1=always.p1).runs_to_verify
    least = FAILURES_WANTED + 1 + at_end
    why = f"the original is played {FAILURES_WANTED} times first, the result up to {at_end} at last"
    if bounds.runs is not None and bounds.runs < least:
        raise UsageError(f"--tries: expected at least {least}: {why}; found {bounds.runs}")
    if bounds.for_s < least * seconds:
        raise UsageError(
            f"--for: expected at least {least * seconds:,.0f} s: the run lasts up to {seconds:g} s "
            f"(and some {OVERHEAD_S:g} to start); {why}; found {bounds.for_s:g} s"
        )


def _clusters(cluster: str | None, jobs: int) -> list[str]:
    """The names of the clusters, one for each job. Raises NameTakenError."""
    base = state.cluster_name(cluster)[:20].rstrip("-")
    names = [f"{base}-s{number}" for number in range(1, jobs + 1)]
    for name in names:
        if state.is_alive(name):
            raise NameTakenError(
                f"a cluster named {name!r} is up, which another `harness shrink` may be using: "
                "choose another name (HARNESS_CLUSTER, --cluster)"
            )
    return names

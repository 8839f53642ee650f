"""A run as Locust's master sees it: asks the supervisor for a run folder and t0, tells the workers,
drains, judges.
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from time import monotonic_ns
from typing import Any

import gevent
from gevent.event import Event

from harness.control.client import Client
from harness.errors import HarnessError, UnavailableError, UsageError
from harness.kernel import priority
from harness.load import request, tally
from harness.load.plan import RunPlan, Target
from harness.load.request import RunRequest
from harness.load.tally import Tally
from harness.operations import Outcome
from harness.operations.operation import SPREADING_NS
from harness.scenario import budget, files

START_IN_S = 1.0  # from `begin` to t0: the workers have the plan by then
START_WITH_GETS_IN_S = 3.0  # … and have put the first keys
STOP_IN_NS = 50_000_000  # a stop is told before it happens, so that all workers stop at one moment
END_PHASE_IN_NS = 300_000_000  # likewise the end of a phase whose condition held
AHEAD_NS = 5_000_000_000  # so long before its phase a watcher is started
REPORT_SLACK_NS = 20_000_000_000  # for which a worker that closes its record may be silent
LAST_WORD_NS = 2_000_000_000  # from a worker's end until its last message has come
OF_A_WORKER = ("worker", "blocked", "late_answers", "cpu_ns", "doubts")
JUDGE = "HARNESS_JUDGE"

log = logging.getLogger(__name__)


class Master:
    """Leads runs, one after another."""

    def __init__(
        self,
        cluster: str | None,
        *,
        send: Callable[[str, Any], None],
        missing: Callable[[], set[str]],
        leave: Callable[[], None],
    ) -> None:
        """`send` tells all workers; `missing`: of a run's workers, those that are gone; `leave`
        ends the run, and Locust where nobody is at its page, soon.
        """
        with Client.connect(cluster) as client:
            self.cluster = client.cluster
            self._supervisor_pid = int(client.status()["pid"])
        self._send, self._missing, self._leave = send, missing, leave
        self._watchers: list[Any] = []
        self._reports: dict[str, Mapping[str, Any]] = {}
        self._heard_ns = 0  # when a worker had its last word
        self._drained: set[str] = set()
        self._gone_ns: dict[str, int] = {}  # worker that ended, undrained → since when
        self._news = Event()
        self._asked_ns, self._run_time_s, self._stopped = 0, 0.0, False
        self.is_over = False  # the newest run's load: its last answers come, and its verdict
        self.plan: RunPlan | None = None  # from its start until it was judged
        self.broken: HarnessError | None = None  # what broke the newest run

    def start(self, given: Any, user_classes: list[Any], workers: list[str]) -> None:
        """Begin a run with these options and classes. Raises HarnessError; then nothing runs."""
        if self.plan is not None:
            raise UsageError("the run before goes on, or is being judged: wait for its end")
        self._reports, self._drained, self.broken = {}, set(), None
        self._asked_ns, self._stopped, self.is_over = monotonic_ns(), False, False
        self._run_time_s = float(given.run_time or 0)
        # A connection a call: Locust may kill a start half-way.
        with Client.connect(self.cluster) as client:
            status = client.status()
            asked = request.made(
                given, user_classes, status, lambda: client.call("fault-list")["backends"]
            )
        self._supervisor_pid = int(status["pid"])
        run, late_ns, started = self._begin(asked, workers)
        nodes = sorted(status["nodes"], key=lambda node: int(node["index"]))
        self.plan = RunPlan(
            run=run,
            t0_ns=started["t0_ns"],
            adapter=status["adapter"],
            seed=asked.seed,
            phases=asked.phases,
            nodes=tuple(
                Target(
                    name=node["name"],
                    control=node["control"],
                    wire_id=bytes.fromhex(node["wire_id"]),
                )
                for node in nodes
            ),
            workers=tuple(workers),
            late_ns=late_ns,
            id_key=bytes.fromhex(started["id_key"]),
        )
        log.info("run folder: %s", self.plan.run)
        self._send("p2p-begin", self.plan.to_wire())
        self._watch(self._await_supervisor)
        self._watch(self._await_workers)
        if self.plan.end_ns is not None:
            self._watch(self._await_end)
        for phase in self.plan.phases:
            if phase.until is not None:
                self._watch(partial(self._await_condition, phase.name))

    def _begin(self, asked: RunRequest, workers: list[str]) -> tuple[str, int, Mapping[str, Any]]:
        """Begin the run, if nobody has, and start its clock: its folder, how late its budget lets
        an operation be sent, and what the supervisor says of the start.
        """
        start_in_s = START_WITH_GETS_IN_S if asked.has_gets else START_IN_S
        with Client.connect(self.cluster) as client:
            run = asked.run or client.begin(**asked.begin)["run"]
            late_ns = _late_ns(Path(run))
            facts = asked.facts(workers, late_ns)
            started = client.start(run=run, load=facts, start_in_s=start_in_s)
        return run, late_ns, started

    def heard(self, worker: str, report: Mapping[str, Any]) -> None:
        """A worker's numbers so far."""
        self._reports[worker], self._heard_ns = report, monotonic_ns()

    def heard_drained(self, worker: str, report: Mapping[str, Any]) -> None:
        """A worker closed its record."""
        self._reports[worker] = report
        self._drained.add(worker)
        self._news.set()

    def tallies(self) -> dict[str, Tally]:
        """What all workers counted so far, by operation. What one that died had in flight when the
        run was over is unknown: nobody waits for it.
        """
        found = tally.merged(self._reports.values())
        for each in found.values() if self._stopped else ():
            each.outcomes[Outcome.UNKNOWN] += each.in_flight
            each.forget_in_flight()
        return found

    def stop(self) -> None:
        """Stop the load everywhere, wait until all records are closed, close the run at the
        supervisor.
        """
        plan = self.plan
        if plan is None or self._stopped:
            return
        at_ns = self._stop_ns(plan)
        self.is_over = True
        wait_s = 0.0 if isinstance(self.broken, UnavailableError) else plan.timeout_s
        self._send("p2p-drain", {"at_ns": at_ns, "wait_s": wait_s})
        answers_ns = max(at_ns, monotonic_ns()) + round(wait_s * 1e9)
        # One that records what it never sent may take long, and goes on telling how far it is.
        while (
            not self._undrained() <= self._lost()
            and monotonic_ns() < max(answers_ns, self._heard_ns) + REPORT_SLACK_NS
        ):
            self._news.clear()
            self._news.wait(0.2)
        for watcher in self._watchers:
            if watcher is not gevent.getcurrent():
                watcher.kill()
        self._watchers = []
        if self._undrained() and self.broken is None:
            self.broken = HarnessError(
                f"{len(self._undrained())} of {len(plan.workers)} load workers did not close "
                f"their record of {plan.run}"
            )
        if self.broken is None:
            gevent.sleep(max(0, self._arrived_ns(plan, at_ns) - monotonic_ns()) / 1e9)
        if not isinstance(self.broken, UnavailableError):
            try:
                with Client.connect(self.cluster) as client:
                    client.end(run=plan.run, at_ns=self._over_ns(at_ns), load=self._summary())
            except HarnessError as error:
                self.broken = self.broken or error
        self._stopped = True
        if self.broken is not None:
            # Locust itself stops when its last worker dies, and would then wait for ever
            self._leave()

    def judge(self, *, even_broken: bool = False) -> int | None:
        """Print the verdict of the run that was stopped, or what broke it; its exit code, None
        where no run was begun. `even_broken`: also the verdict of what there is of a broken one.
        """
        plan = self.plan
        if plan is None:
            return None
        try:
            if self.broken is not None:
                print(f"locust: {self.broken}", file=sys.stderr, flush=True)
                if even_broken:
                    self._judged(plan)
                return self.broken.exit_code
            if os.environ.get(JUDGE) == "never":  # `harness run` judges, when the cluster is down
                return 0
            return self._judged(plan)
        finally:
            self.plan = None

    def _judged(self, plan: RunPlan) -> int:
        """Have the run judged, print the verdict, and return the exit code."""
        # The judge is a process of its own: it must see plain Python, not one that gevent has
        # patched. The load is over, and nothing waits for it.
        judged = subprocess.run(
            [sys.executable, "-m", "harness", "judge", plan.run],
            stdout=subprocess.PIPE,
            check=False,
            text=True,
            preexec_fn=priority.be_ordinary,
        )
        print(judged.stdout, end="", flush=True)
        return judged.returncode if judged.returncode >= 0 else HarnessError.exit_code

    def _stop_ns(self, plan: RunPlan) -> int:
        now_ns = monotonic_ns()
        if plan.end_ns is not None:
            return min(now_ns + STOP_IN_NS, plan.end_ns)
        # Locust's run time began when the run was asked for; the load gets all of it, from t0. On a
        # busy host its clock may have started well before ours; Ctrl-C in the last second gets the
        # rest as well.
        early_s = min(1.0, self._run_time_s / 4)
        if (
            self._run_time_s
            and now_ns - self._asked_ns >= (self._run_time_s - early_s) * 1e9
            and self.broken is None
        ):
            return max(now_ns, plan.t0_ns + round(self._run_time_s * 1e9))
        return now_ns + STOP_IN_NS

    def _arrived_ns(self, plan: RunPlan, at_ns: int) -> int:
        """When all that was sent before a stop has had its time to arrive, which journals have to
        tell of: what its sender calls done is not with everybody yet.
        """
        since_ns = at_ns - SPREADING_NS
        sent = (
            stream.operation.spec
            for phase, (begin_ns, end_ns) in zip(plan.phases, plan.bounds_ns(), strict=True)
            if begin_ns < at_ns and (end_ns is None or end_ns > since_ns)
            for stream in phase.streams
        )
        return at_ns + SPREADING_NS if any(one.arrives_later for one in sent) else at_ns

    def _undrained(self) -> set[str]:
        assert self.plan is not None
        return set(self.plan.workers) - self._drained

    def _lost(self) -> set[str]:
        """The workers that ended and did not close their record: their last word may come late."""
        now_ns = monotonic_ns()
        gone = self._missing() & self._undrained()
        self._gone_ns = {one: self._gone_ns.get(one, now_ns) for one in gone}
        return {one for one, since_ns in self._gone_ns.items() if now_ns - since_ns > LAST_WORD_NS}

    def _over_ns(self, at_ns: int) -> int:
        """When the load as a whole was over: a worker that Ctrl-C reached stopped by itself."""
        stopped = (report.get("stopped_ns", at_ns) for report in self._reports.values())
        return min((at_ns, *stopped))

    def _summary(self) -> dict[str, Any]:
        """What the run's metadata say of the load when it is over. `failures` make the record
        incomplete: a worker that is gone took its share with it.
        """
        return {
            "failures": [] if self.broken is None else [str(self.broken)],
            "operations": {word: tallied.facts() for word, tallied in self.tallies().items()},
            "workers": [
                {key: report[key] for key in OF_A_WORKER} for report in self._reports.values()
            ],
        }

    def _watch(self, function: Callable[[], None]) -> None:
        greenlet = gevent.spawn(function)
        greenlet.link_exception(
            lambda ended: self.fail(HarnessError(f"the load's master broke: {ended.exception!r}"))
        )
        self._watchers.append(greenlet)

    def fail(self, error: HarnessError) -> None:
        """End the run with this error. The first one counts."""
        if self.broken is None:
            self.broken = error
            self._leave()

    def _await_supervisor(self) -> None:
        gone = UnavailableError(
            f"the supervisor of cluster {self.cluster!r} (pid {self._supervisor_pid}) is gone; "
            "the load was stopped: "
            f"`harness doctor` removes what it left"
        )
        try:
            descriptor = os.pidfd_open(self._supervisor_pid)
        except ProcessLookupError:
            self.fail(gone)
            return
        watcher = gevent.get_hub().loop.io(descriptor, 1)
        try:
            gevent.get_hub().wait(watcher)
        finally:
            watcher.stop()
            watcher.close()
            os.close(descriptor)
        self.fail(gone)

    def _await_workers(self) -> None:
        assert self.plan is not None
        while not self._lost():
            gevent.sleep(0.5)
        self.fail(HarnessError("a load worker of this run is gone: its share was not sent"))

    def _await_end(self) -> None:
        assert self.plan is not None
        assert self.plan.end_ns is not None
        while (left_ns := self.plan.end_ns - monotonic_ns()) > 0:
            gevent.sleep(min(left_ns / 1e9, 1.0))
        self._leave()

    def _await_condition(self, phase: str) -> None:
        """End a phase when its condition holds, which another process looks for."""
        assert self.plan is not None
        number = [one.name for one in self.plan.phases].index(phase)
        while (left_ns := self.plan.bounds_ns()[number][0] - AHEAD_NS - monotonic_ns()) > 0:
            gevent.sleep(min(left_ns / 1e9, 0.5))
        begin_ns, end_ns = self.plan.bounds_ns()[number]
        assert end_ns is not None
        command = [sys.executable, "-m", "harness.load.watcher", self.plan.run, phase]
        watched = subprocess.run(  # it ends with this greenlet
            [*command, str(begin_ns), str(end_ns)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            check=False,
            preexec_fn=priority.be_ordinary,
        )
        at_ns = monotonic_ns() + END_PHASE_IN_NS
        if not watched.stdout or at_ns >= end_ns:
            return
        self._send("p2p-end-phase", {"phase": phase, "at_ns": at_ns})
        self.plan = self.plan.ended(phase, at_ns)
        with Client.connect(self.cluster) as client:
            client.end_phase(run=self.plan.run, phase=phase, at_ns=at_ns)


def _late_ns(run: Path) -> int:
    """How late the budget of a run lets an operation be sent."""
    file = run / "budget.toml"
    return budget.late_ns(files.read_budget(file).rows if file.is_file() else ())

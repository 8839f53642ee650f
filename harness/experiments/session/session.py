"""A session: a cluster that a Python program started, or found, and what it does with it.

up.py makes it. A load is recorded and judged by the same code as a
scenario's (run.py), and a verdict by that of a suite (suite.py).
"""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self, Unpack

from harness.checks import rows as budget_rows
from harness.checks.convergence import NAME as CONVERGED
from harness.checks.verdict import Answer, Finding
from harness.choices import one_of
from harness.control.client import Client
from harness.control.launcher import Hold
from harness.control.progress import Progress, nobody
from harness.errors import HarnessError, InterruptedByUserError, NotReachedError, UsageError
from harness.experiments import judge, run
from harness.experiments.judge import Judged
from harness.experiments.session import holds, loads, waits
from harness.experiments.session.faults import Fault, Network, PlannedWords, Words, read, told_of
from harness.experiments.session.folder import SessionFolder
from harness.experiments.session.loads import Load
from harness.experiments.session.twins import twin
from harness.experiments.session.waits import Reached
from harness.history import metadata
from harness.operations import own
from harness.scenario import files, shipped
from harness.scenario.scenario import Phase, Scenario
from harness.topology.topology import Topology

NAME = "session"


class Session:
    """A cluster in the hands of a Python program: `with harness.up(...) as cluster:`.

    It ends with its `with`, with `close`, or with this process, however that ends.
    """

    def __init__(
        self,
        cluster: str,
        topology: Topology,
        hold: Hold | None,
        *,
        runs: Path,
        name: str = NAME,
        workers: int = 1,
        seed: int = 1,
    ) -> None:
        """`hold`: what ends the cluster; None: it is somebody else's, and goes on.

        Made by `harness.up` and `harness.attach`.
        """
        self.name = cluster
        self.topology = topology
        self.network = Network(cluster, self.fault)
        self._hold, self._pid = hold, os.getpid()
        self._runs, self._workers, self._seed = runs, workers, seed
        self._folder = SessionFolder(runs, name)
        self._faults: list[Fault] = []  # that were set here
        self._told: list[tuple[str, int]] = []  # of which a record tells: see told_of
        self._one = threading.Lock()  # held while a part is recorded
        self._is_closed = False
        self.judged: Judged | None = None  # the last verdict
        status = self.status()
        self._began_with = _lives(status)
        self._own = tuple(map(own.from_json, status.get("own", ())))  # operations of its system's
        if hold is not None:
            holds.opened(self)

    @property
    def nodes(self) -> list[str]:
        """The names of its nodes, in the topology's order."""
        return [node.name for node in self.topology.nodes]

    @property
    def folder(self) -> Path | None:
        """The folder of its run folders and verdicts; None where nothing was recorded yet."""
        return self._folder.path

    @property
    def report(self) -> Path | None:
        """The page of the last verdict; without one, of the last load or wait; None without any."""
        return self._folder.report

    @property
    def runs(self) -> Mapping[str, Path]:
        """The run folder of each load and wait, by its name."""
        return self._folder.parts

    def status(self) -> dict[str, Any]:
        """Return what `harness status --json` prints."""
        with self._client() as client:
            return client.status()

    def logs(self, node: str, lines: int = 50) -> str:
        """Return the last lines of a node's log."""
        self._require_node(node)
        with self._client() as client:
            return str(client.call("logs", {"node": node, "lines": lines}))

    def fault(self, **words: Unpack[Words]) -> Fault:
        """Set a fault now, in the words of docs/faults.md: `cluster.fault(cut="halves")`.

        `with` takes it back at its end. It is proven by what is loaded or waited for while it
        stands; one without that makes the verdict UNKNOWN. Raises UsageError before anything
        changes, and HarnessError where it did not come into force as it was asked.
        """
        self._require_open()
        said = {key: value for key, value in words.items() if value is not None}
        made = Fault(self.name, said, read(said))
        self._faults.append(made)
        return made

    def load(
        self,
        operations: str | Mapping[str, float],
        *,
        seconds: float,
        rate_per_s: float | None = None,
        phase: str = "load",
        faults: Sequence[PlannedWords] = (),
        progress: Progress = nobody,
        **stream: Any,
    ) -> Load:
        """Send load for some seconds, and return once the last answer has come.

        `operations`: one, at `rate_per_s`, or several, each with its rate:
        `{"private_message": 200, "broadcast": 5}`. `phase` is how rows of a budget name it.
        `faults` come and go while it is sent, each at its `at_s`. `stream`: the other keys of a
        scenario's stream (`payload_bytes`, `target`, `sources`, `arrivals`, `timeout_ms`, `count`).
        Raises UsageError before anything is sent, and HarnessError where nothing was.
        """
        planned = loads.phase(
            operations,
            name=phase,
            seconds=seconds,
            rate_per_s=rate_per_s,
            faults=tuple(map(dict, faults)),
            own=self._own,
            **stream,
        )
        name, folder = self._recorded("load", planned, progress)
        sent = loads.sent_of(metadata.read(folder))
        if not any(one.total for one in sent.values()):
            why = f"nothing was sent in {seconds:g} s: {folder} says why"
            raise HarnessError(f"load {name}: {why}")
        return Load(name=name, phase=phase, folder=folder, sent=sent)

    def wait_for(
        self,
        what: str,
        *,
        seconds: float,
        at_least: float | None = None,
        below_ms: float | None = None,
        rate_per_s: float | None = None,
        phase: str = "wait",
        progress: Progress = nobody,
    ) -> Reached:
        """Wait until something holds for a second; the answer says after how many seconds it did.

        `what`: `nodes.ready`, `broadcast.coverage`, a share such as `private_message.delivered`
        (`at_least`, from 0 to 1), or a time such as `private_message.end_to_end` (`below_ms`, its
        p95). To see it, operations are sent at `rate_per_s`, and recorded. Raises UsageError, and
        NotReachedError where it did not hold within `seconds`, or nobody can tell whether it did.
        """
        planned = waits.phase(
            what,
            name=phase,
            seconds=seconds,
            at_least=at_least,
            below_ms=below_ms,
            rate_per_s=rate_per_s,
            own=self._own,
        )
        name, folder = self._recorded("wait", planned, progress)
        found = _converged(judge.judge(folder, write=False))
        if found.answer is not Answer.PASS:
            unknown = f" (UNKNOWN, {found.cause})" if found.cause is not None else ""
            raise NotReachedError(
                f"{what}: {found.promised}: {found.measured}: {found.sentence}{unknown}; {folder}"
            )
        after_s = float(found.measured.removeprefix("held after ").removesuffix(" s"))
        return Reached(name=name, phase=phase, folder=folder, after_s=after_s)

    load_async = twin(load)
    wait_for_async = twin(wait_for)

    def verdict(self, budget: str | Path | None = None) -> Judged:
        """Judge all that was recorded until now; ask the answer for `passed` and `why`.

        `budget`: a file, or the name of a shipped one; a row is held against each load and wait
        that has its phase and sends what it is about. None: only what every run is held to. The
        same comes of `harness judge` of its `run`. Raises UsageError where nothing was recorded,
        and BadFileError.
        """
        self._require_open()
        if self._folder.is_empty:
            raise UsageError("verdict: nothing was recorded: load, or wait for something, first")
        if not self._folder.parts:
            raise UsageError("verdict: no load and no wait was recorded: each of them broke")
        path = None if budget is None else shipped.find(str(budget), "budgets")
        if path is not None:
            budget_rows.validate_for(files.read_budget(path).rows, own.metrics(self._own))
        unproven = {
            f"fault {one.name}": f"fault {one.name!r} stood while nothing was recorded: nobody "
            "proved it; expected a load or a wait beside it"
            for one in self._faults
            if not one.is_told(self._told)
        }
        self.judged = self._folder.judge(path, unproven)
        return self.judged

    def close(self) -> None:
        """End the cluster and wait until nothing of it is left; of somebody else's, take back the
        faults that were set here.
        """
        if self._is_closed or os.getpid() != self._pid:
            return
        self._is_closed = True
        self._folder.close()
        holds.closed(self)
        if self._hold is not None:
            self._hold.close()
            return
        for one in reversed(self._faults):
            with suppress(HarnessError):  # its cluster may be gone
                one.clear()

    def keep(self) -> None:
        """Let the cluster stay when this session, and this process, end."""
        self._require_open()
        if self._hold is not None:
            self._hold.keep()
            holds.closed(self)
            self._hold = None

    def leave(self) -> None:
        """Have nothing more to do with the cluster: this process was forked from its owner."""
        if self._hold is not None and self._hold.channel is not None:
            self._hold.channel.close()

    def lent(self, *, runs: Path, name: str) -> Session:
        """Return a session of its own on this cluster, with its own record, which leaves it up."""
        self._require_open()
        return Session(
            self.name,
            self.topology,
            None,
            runs=runs,
            name=name,
            workers=self._workers,
            seed=self._seed,
        )

    def is_as_it_was(self) -> bool:
        """Whether each node runs as the process that it was as this session began, and no fault is
        in force.
        """
        with suppress(HarnessError):
            status = self.status()
            return not status["faults"] and _lives(status) == self._began_with
        return False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        """Say which cluster it is."""
        return f"<cluster {self.name!r}: {len(self.nodes)} nodes>"

    def _client(self) -> Client:
        self._require_open()
        return Client.connect(self.name)

    def _require_open(self) -> None:
        if os.getpid() != self._pid:
            raise UsageError(
                f"cluster {self.name!r} is held by process {self._pid}, which forked this one; "
                f"expected harness.attach({self.name!r})"
            )
        if self._is_closed:
            raise UsageError(f"cluster {self.name!r} was ended by this program: nothing is up")

    def _require_node(self, node: str) -> None:
        if node not in self.nodes:
            raise UsageError(f"node: {one_of(node, self.nodes)}")

    def _recorded(self, kind: str, planned: Phase, progress: Progress) -> tuple[str, Path]:
        """Play a phase by itself; return its name, and its run folder, which was judged."""
        self._require_open()
        if not self._one.acquire(blocking=False):
            raise UsageError(
                f"{kind}: a load, or a wait, is under way: expected one at a time; one load sends "
                'several operations: {"private_message": 200, "broadcast": 5}'
            )
        try:
            scenario = Scenario(name=kind, topology=self.topology, phases=(planned,))
            loads.play(scenario, Path())  # what is wrong with it is said before anything is made
            folder = self._folder.make()
            name = self._folder.next_name(kind)
            scenario = replace(scenario, name=name, seed=self._seed + len(self._folder.parts))
            try:
                asked = loads.play(scenario, folder)
                played = run.record(
                    *(asked, self.name, folder, self._workers, progress),
                    began=lambda at: self._folder.began(name, at),
                )
                judge.judge(played)
            except BaseException as error:
                self._folder.broke(name, f"{type(error).__name__}: {error}")
                if isinstance(error, InterruptedByUserError):
                    raise KeyboardInterrupt(str(error)) from error
                raise
            self._folder.ended(name)
            self._told += told_of(played)
        finally:
            self._one.release()
        return name, played


def _lives(status: Mapping[str, Any]) -> dict[str, tuple[int | None, str]]:
    """Tell what each node runs as."""
    return {one["name"]: (one["pid"], one["condition"]) for one in status["nodes"]}


def _converged(judged: Judged) -> Finding:
    """Find what the judge says of the condition that was waited for."""
    return next(one for one in judged.verdict.findings if one.name == CONVERGED)

"""The desk is what the tabs look at: the cluster, its faults, the run's folder while it is written.

There is one look at the supervisor at a time, and what it finds is kept for some seconds, however
many browsers ask.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from time import monotonic
from typing import Any

from gevent.lock import BoundedSemaphore

from harness.control.client import Client
from harness.errors import HarnessError
from harness.history.shown import Standing, shown
from harness.history.tail import Proofs, Samples
from harness.load.locust.starts import Starts
from harness.load.locust.tabs import quantities
from harness.load.locust.tabs.judge import LiveJudge
from harness.load.master import Master
from harness.load.tally import Tally

STATUS_S, FAULTS_S = 1.0, 2.0  # a look at the faults reads the kernel's tables
ANSWER_S = 4.0  # how long a look waits: less than the page does (LOOK_MS of tabs.js)
LEVELS = {Standing.PROVEN: "good", Standing.NOT_PROVEN: "warn", Standing.CONTRADICTED: "bad"}


class Desk:
    """What is known now. Methods raise HarnessError, one sentence, where the cluster is down."""

    def __init__(self, master: Master, starts: Starts) -> None:
        self.master, self.starts = master, starts
        self.run: Path | None = None  # the newest run of this master
        self.refusal = ""  # why the newest start came to nothing
        self.proofs, self.samples = Proofs(Path()), Samples(Path())
        self.judge = LiveJudge()
        self.links: list[tuple[str, str]] = []
        self.reset: dict[str, Tally] = {}  # what was counted when somebody reset Locust's figures
        self._looking = BoundedSemaphore()
        self._looks: dict[str, tuple[float, Any]] = {}
        self._failed: tuple[float, HarnessError] | None = None  # when the newest look did
        self._seen_s: dict[str, float] = {}  # fault → when it was first seen in force

    def begin(self, run: Path) -> None:
        """Look at another run from now on."""
        self.run, self.reset = run, {}
        self.proofs, self.samples = Proofs(run), Samples(run)
        try:
            said = json.loads((run / "topology.json").read_text())["links"]
        except (OSError, ValueError, KeyError):  # a run that another supervisor made
            said = []
        self.links = [(one, other) for one, other in said]
        self.judge.begin(run)

    def end(self) -> None:
        """The run is over: nobody judges it live any more."""
        self.judge.end()

    def ask(self, method: str, **params: Any) -> Any:
        """Have the supervisor do something; what was looked at before is out of date then."""
        try:
            with Client.connect(self.master.cluster) as client:
                return client.call(method, params)
        finally:
            self._looks.clear()
            self._failed = None

    def status(self) -> dict[str, Any]:
        """The cluster, as `harness status --json`."""
        found: dict[str, Any] = self._look("status", STATUS_S)
        return found

    def kernel(self) -> dict[str, Any]:
        """What serves each impairment, and where the kernel disagrees (`harness fault list`)."""
        found: dict[str, Any] = self._look("fault-list", FAULTS_S)
        return found

    def faults(self) -> list[dict[str, Any]]:
        """The faults in force, as `harness fault list --json`, each with `in_force`, for how long,
        and `proof`, a sentence and its level.
        """
        rows = self.kernel()["faults"]
        self.proofs.read()
        now_s = monotonic()
        self._seen_s = {row["name"]: self._seen_s.get(row["name"], now_s) for row in rows}
        found = []
        for row in rows:
            in_force_s = row.get("in_force_s", now_s - self._seen_s[row["name"]])
            proof = self._proven(row, now_s, in_force_s)
            told = "" if "in_force_s" in row else "at least "  # since we look: it may be older
            since = told + quantities.seconds(in_force_s)
            found.append({**row, "in_force": since, "proof": proof})
        return found

    def _proven(self, fault: dict[str, Any], now_s: float, in_force_s: float) -> tuple[str, str]:
        """What the newest looks at a fault showed since it came, and how good that is."""
        if self.master.plan is None:
            return "not proven: nobody looks at it without a run", "warn"
        since_ns = (now_s - in_force_s - FAULTS_S) * 1e9
        found = shown(fault["name"], fault["does"], self.proofs.newest, since_ns, now_s)
        return found.sentence, LEVELS[found.standing]

    def _look(self, method: str, keep_s: float) -> Any:
        with self._looking:
            at_s, answer = self._looks.get(method, (0.0, None))
            if answer is None or monotonic() - at_s > keep_s:
                answer = self._asked(method)
                self._looks[method] = monotonic(), answer
            return answer

    def _asked(self, method: str) -> Any:
        """Ask the supervisor, unless it failed to answer just now: who waits behind that look would
        wait as long again.
        """
        if self._failed is not None and monotonic() - self._failed[0] < STATUS_S:
            raise self._failed[1]
        try:
            with Client.connect(self.master.cluster, timeout_s=ANSWER_S) as client:
                return client.call(method)
        except HarnessError as error:
            self._failed = monotonic(), error
            raise


def sentence_of(look: Callable[[], Any]) -> tuple[Any, str]:
    """What a look gives, or the sentence of what went wrong."""
    try:
        return look(), ""
    except HarnessError as error:
        return None, str(error)

"""The watch looks at one cluster, whether it is there or not: it asks its supervisor, and reads
what is new in the folder of its run. It writes nothing; all who ask at once get the same look.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.control.client import Client
from harness.errors import HarnessError
from harness.history.shown import Looks, shown
from harness.history.tail import Proofs
from harness.monitoring import live_verdict
from harness.monitoring.counts import Counts
from harness.monitoring.live_verdict import LiveVerdict
from harness.monitoring.seen import Seen, SeenFault

ANSWER_S = 4.0  # how long a supervisor is waited for: less than a scrape's ten seconds
KEEP_S = 0.5  # a look is given to all who ask within
AGO_S = 2.0  # a fault may have been seen in force so long before it is listed


class _Run:
    """What is read in the folder of one run."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.counts = Counts(path)
        self._proofs: Proofs | None = Proofs(path)

    def proofs(self) -> Proofs | None:
        """The looks at faults so far; None once a line of them was none."""
        try:
            if self._proofs is not None:
                self._proofs.read()
        except (ValueError, KeyError, TypeError):
            self._proofs = None
        return self._proofs


class Watch:
    """Looks at a cluster. May be asked by several threads."""

    def __init__(self, cluster: str, *, is_once: bool = False) -> None:
        """`is_once`: nobody asks a second time, so the verdict so far is waited for."""
        self._cluster, self._is_once = cluster, is_once
        self.refusal: HarnessError | None = None  # why the newest look found no supervisor
        self._lock = threading.Lock()
        self._newest: tuple[float, Seen] | None = None
        self._run: _Run | None = None
        self._is_judged = False  # whether the run is looked at by `_verdict`
        self._verdict = LiveVerdict()

    def look(self) -> Seen:
        """Look at the cluster and its run now."""
        with self._lock:
            now_s = time.monotonic()
            if self._newest is None or now_s - self._newest[0] > KEEP_S:
                seen = self._look(now_s)
                self._newest = time.monotonic(), seen  # who waited for it gets it too
            return self._newest[1]

    def close(self) -> None:
        """End what looks at a verdict."""
        self._verdict.end()

    def _look(self, begun_s: float) -> Seen:
        answer = self._asked()
        open_run = answer.get("run")
        if named := open_run or answer.get("last_run"):
            self._follow(Path(named))
        run, look = self._run, self._judged(is_open=open_run is not None)
        proofs = None if run is None else run.proofs()
        return Seen(
            cluster=answer,
            faults=_faults(answer, {} if proofs is None or open_run is None else proofs.newest),
            run=None if run is None else run.path,
            looks={} if proofs is None else dict(proofs.answers),
            counts={} if run is None else run.counts.read(),
            look=look,
            took_s=time.monotonic() - begun_s,
        )

    def _asked(self) -> dict[str, Any]:
        try:
            with Client.connect(self._cluster, timeout_s=ANSWER_S) as client:
                answer: dict[str, Any] = client.call("metrics")
        except HarnessError as error:  # there is none, it ended just now, or it does not answer
            self.refusal = error
            return {}
        self.refusal = None
        return answer

    def _follow(self, run: Path) -> None:
        if self._run is None or self._run.path != run:
            self._verdict.end()
            self._run, self._is_judged = _Run(run), False

    def _judged(self, *, is_open: bool) -> dict[str, Any] | None:
        """The verdict of the run so far, or the final one that its folder holds."""
        if self._run is None:
            return None
        if not is_open:
            self._verdict.end()
            self._is_judged = False
            return live_verdict.final(self._run.path)
        if self._is_once:
            return live_verdict.once(self._run.path)
        if not self._is_judged:
            self._is_judged = True
            self._verdict.begin(self._run.path)
        return self._verdict.newest


def _faults(answer: Mapping[str, Any], newest: Looks) -> tuple[SeenFault, ...]:
    """The faults in force, and how well each is proven; without a run nobody looks at them."""
    now_s = time.monotonic()
    found = []
    for fault in answer.get("faults", ()):
        since_ns = (now_s - fault["in_force_s"] - AGO_S) * 1e9
        how = shown(fault["name"], fault["does"], newest, since_ns, now_s)
        found.append(
            SeenFault(
                name=fault["name"],
                does=fault["does"],
                in_force_s=fault["in_force_s"],
                standing=how.standing,
            )
        )
    return tuple(found)

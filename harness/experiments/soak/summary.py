"""What is kept of a window for good, once its raw values are let go: a line a minute, and what it
was judged to be. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from harness.checks.verdict import Verdict
from harness.experiments.soak.folder import VERSION
from harness.history.events import FaultChanged, over_ns
from harness.history.history import History
from harness.operations import Outcome

MINUTE_NS = 60_000_000_000


def summary(
    number: int, history: History, facts: Mapping[str, Any], verdict: Verdict
) -> dict[str, Any]:
    """Return summary.json of a window, but for what its files take."""
    t0_ns, end_ns = int(facts.get("t0_ns", 0)), over_ns(history.events)
    counts = verdict.counts()
    return {
        "version": VERSION,
        "number": number,
        "answer": str(verdict.answer),
        "counts": {str(answer): count for answer, count in counts.items() if count},
        "t0_ns": t0_ns,
        "over_ns": max(end_ns, t0_ns),
        "started": facts.get("started", ""),
        "ended": history.ended,
        "faults": faults(history),
        "minutes": minutes(history, t0_ns),
    }


def faults(history: History) -> list[str]:
    """Return the words of each fault that came, in order, each once."""
    came = (one for one in history.events if isinstance(one, FaultChanged) and one.is_set)
    return list(dict.fromkeys(one.words or one.fault for one in came))


def minutes(history: History, t0_ns: int) -> list[dict[str, Any]]:
    """Return a row for each minute and operation: how many were due, how each ended as its sender
    saw it, and how long those took that ended well, from when they were due, ms.
    """
    if not history.operations.num_rows:
        return []
    due_column, done = (history.operations.column(name) for name in ("intended_ns", "done_ns"))
    due_ns = due_column.to_numpy()
    took_ns = done.fill_null(0).to_numpy() - due_ns
    minute, kind = (due_ns - t0_ns) // MINUTE_NS, history.column("operation")
    outcome = history.column("outcome")
    found = []
    for at, of in np.unique(np.stack([minute, kind]), axis=1).T.tolist():
        mine = (minute == at) & (kind == of)
        ended = {word.name: int((outcome[mine] == word).sum()) for word in Outcome}
        took = took_ns[mine & (outcome == Outcome.OK)] / 1e6
        times = {}
        if len(took):
            p50, p99 = np.percentile(took, [50, 99], method="inverted_cdf")
            times = {"p50_ms": round(float(p50), 3), "p99_ms": round(float(p99), 3)}
        due = int(mine.sum())
        found.append(
            {"minute": at, "operation": history.kind(of).word, "due": due, **ended, **times}
        )
    return found

"""Whether the load was what the scenario asked for: as many operations as planned, sent when they
were due.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from harness.checks import metrics
from harness.checks.verdict import Answer, Cause, Finding
from harness.history.history import History
from harness.operations import Operation
from harness.scenario.budget import Row

PLANNED_TOLERANCE = 0.01  # a Poisson stream's own spread is allowed on top
UNSENT_SHARE_MAX = 0.001


def check(history: History, rows: Sequence[Row]) -> list[Finding]:
    """One finding a stream that was planned: UNKNOWN (load not delivered) where it fell short."""
    del rows
    findings = []
    for (phase_name, code), rate in history.planned_per_s.items():
        phase = history.phase(phase_name)
        name = f"load: {Operation(code).word}"
        promised = f"{rate:,g}/s"
        if phase is None:
            findings.append(_unknown(name, promised, "–", "the phase was not played", phase_name))
            continue
        chosen = metrics.in_phase(history, phase, Operation(code))
        due = int(chosen.sum())
        sent = int((history.column("sent_ns")[chosen] > 0).sum())
        planned = rate * phase.seconds
        measured = f"{sent / phase.seconds:,.1f}/s"
        if due + 3 * np.sqrt(planned) + 1 < planned * (1 - PLANNED_TOLERANCE):
            findings.append(
                _unknown(
                    name,
                    promised,
                    measured,
                    f"{due:,} operations were made, {planned:,.0f} were planned",
                    phase_name,
                )
            )
        elif due - sent > max(due * UNSENT_SHARE_MAX, 0):
            findings.append(
                _unknown(
                    name,
                    promised,
                    measured,
                    f"{due - sent:,} of {due:,} operations were never sent: the way to the nodes "
                    "was blocked",
                    phase_name,
                )
            )
        else:
            findings.append(
                Finding(
                    name=name,
                    answer=Answer.PASS,
                    promised=promised,
                    measured=measured,
                    phase=phase_name,
                    sentence=f"{sent:,} operations sent",
                )
            )
    return findings


def _unknown(name: str, promised: str, measured: str, sentence: str, phase: str) -> Finding:
    return Finding(
        name=name,
        answer=Answer.UNKNOWN,
        promised=promised,
        measured=measured,
        sentence=sentence,
        cause=Cause.LOAD_NOT_DELIVERED,
        phase=phase,
    )

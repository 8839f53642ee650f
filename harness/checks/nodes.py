"""Whether every node lived throughout the run, but for those that the harness stopped. Pure.

One that the harness started again and that was not ready by the end is as good as not there: what
it did not do until then is not held against it, so nothing is known of it.
"""

from __future__ import annotations

from signal import Signals

from harness.checks import record, silences
from harness.checks.verdict import Answer, Cause, Finding
from harness.history.events import NodeChanged, NodeEnded, NodeStarted
from harness.history.history import History

NAME = "nodes: alive throughout"
SAID = 3  # of those that ended, in the sentence
LATE_NS = 1_000_000_000  # who began to be started so shortly before the end had no time


def check(history: History) -> list[Finding]:
    """One finding for all nodes of a run; none where it had none. A node that ended by itself is
    FAIL, whatever else is in force: what it would have done nobody knows. And one for each option
    that nodes were to have, and their system does not know.
    """
    return [*_alive(history), *_options(history)]


def _options(history: History) -> list[Finding]:
    plan = record.plan(history)
    other = None if plan is None else plan.other_system
    if other is None:
        return []
    return [
        Finding(
            name=f"nodes: option {option}",
            answer=Answer.NOT_ASKED,
            promised=f"of {count:,} node{'s' * (count > 1)}",
            measured="–",
            sentence=f"{other.name} has no such option",
        )
        for option, count in other.options.items()
    ]


def _alive(history: History) -> list[Finding]:
    if not history.nodes:
        return []
    ends = [event for event in history.events if isinstance(event, NodeEnded)]
    count, dead = len(history.nodes), len({event.node for event in ends})
    if not ends and (late := _not_ready(history)):
        return [
            Finding(
                name=NAME,
                answer=Answer.UNKNOWN,
                promised=f"{count:,} of {count:,}",
                measured=f"{count - len(late):,} of {count:,}",
                sentence="; ".join(late[:SAID])
                + (f"; and {len(late) - SAID} more" if len(late) > SAID else ""),
                cause=Cause.NODE_STOPPED,
            )
        ]
    if not ends:
        stopped = {
            event.node
            for event in history.events
            if isinstance(event, NodeChanged) and event.is_down
        }
        remark = f", but for {len(stopped)} that the harness stopped" if stopped else ""
        sentence = f"no process ended by itself{remark}"
    else:
        sentences = [_sentence(history, event) for event in ends]
        more = f"; and {len(ends) - SAID} more" if len(ends) > SAID else ""
        sentence = "; ".join(sentences[:SAID]) + more
    return [
        Finding(
            name=NAME,
            answer=Answer.FAIL if ends else Answer.PASS,
            promised=f"{count:,} of {count:,}",
            measured=f"{count - dead:,} of {count:,}",
            sentence=sentence,
        )
    ]


def _not_ready(history: History) -> list[str]:
    """Say of each node that ran and was not ready when the last phase ended, since when."""
    over_ns = history.phases[-1].end_ns if history.phases else 0
    since_ns = {
        event.node: event.since_ns
        for event in history.events
        if isinstance(event, NodeStarted) and 0 < event.since_ns < over_ns < event.at_ns
    }
    for one in silences.of(history).unready:
        if one.begin_ns < over_ns < one.end_ns:
            since_ns.setdefault(history.nodes[one.node], one.begin_ns)
    return [
        f"{node} was started {(over_ns - at_ns) / 1e9:.1f} s before the end, and not ready by then"
        for node, at_ns in since_ns.items()
        if over_ns - at_ns > LATE_NS
    ]


def _sentence(history: History, event: NodeEnded) -> str:
    """Who ended, when and how: "node-3 ended 2.1 s into the run (phase load), by signal 9
    (SIGKILL)".
    """
    begin_ns = history.phases[0].begin_ns if history.phases else event.at_ns
    phase = next(
        (one.name for one in history.phases if one.begin_ns <= event.at_ns < one.end_ns), None
    )
    where = f"phase {phase}" if phase else "in no phase"
    at_s = (event.at_ns - begin_ns) / 1e9
    when = f"{at_s:.1f} s into the run ({where})" if at_s >= 0 else f"{-at_s:.1f} s before the load"
    return f"{event.node} ended {when}, {_how(event)}{_left(event)}"


def _left(event: NodeEnded) -> str:
    """What it left: ", and left 2 processes (nginx: worker, …) behind, which were ended"."""
    if not event.left:
        return ""
    count, more = len(event.left), ", …" if len(event.left) > 1 else ""
    processes = f"{count} process{'es' if count > 1 else ''} ({event.left[0]}{more})"
    return f", and left {processes} behind, which the harness ended"


def _how(event: NodeEnded) -> str:
    if event.signal is not None:
        return f"by signal {event.signal} ({_signal(event.signal)})"
    if event.code is None:
        return "how is not known"
    by = f", as a signal {event.code - 128} ({_signal(event.code - 128)}) gives"
    return f"with exit code {event.code}{by if event.code > 128 else ''}"


def _signal(number: int) -> str:
    return Signals(number).name if number in set(Signals) else "unknown"

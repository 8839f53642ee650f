"""The load generator, second by second: in which ones it, or the host below it, stood in the way.
Pure.

This says when and why, and judges nothing by itself: a row leaves out each operation that was sent
late (lateness.py), and each time that was taken while the host was another's (host.py).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

import numpy as np

from harness.checks import gateway, host, lateness, taken
from harness.checks.verdict import Answer, Finding
from harness.history.history import History
from harness.topology.quantities import number

SECOND_NS = 1_000_000_000
FULL_CORE = 0.9  # of one core: a load worker has one thread, and sends late from here on
SHOWN = 3


def check(history: History) -> list[Finding]:
    """One finding where seconds of a run are in doubt: which ones, and why; and one of the headroom
    where the machine was calibrated.
    """
    if not history.phases or not history.operations.num_rows:
        return []
    return [*_in_doubt(history), *_headroom(history)]


def _headroom(history: History) -> list[Finding]:
    """How much of what a load worker can send the busiest phase asked of each."""
    plan, can_per_s = history.plan, history.can_send_per_s
    if plan is None or not plan.workers or not can_per_s:
        return []
    asked: dict[str, float] = defaultdict(float)
    for stream in plan.streams:
        asked[stream["phase"]] += stream["asked_per_s"] / plan.workers
    most = max(asked.values(), default=0.0)
    return [
        Finding(
            name="load generator: headroom",
            answer=Answer.MEASURED,
            promised="–",
            measured=f"{most / can_per_s:.0%} used",
            sentence=(
                f"{most:,.0f} operations a second were asked of a load worker at most; calibrated "
                f"on this machine, one sends {can_per_s:,.0f} messages a second in time"
            ),
        )
    ]


def _in_doubt(history: History) -> list[Finding]:
    begin_ns, end_ns = history.phases[0].begin_ns, history.phases[-1].end_ns
    seconds = -(-(end_ns - begin_ns) // SECOND_NS)
    found = marked(history, begin_ns, seconds)
    if not found:
        return []
    said = [f"second {second + 1}: {', '.join(found[second])}" for second in sorted(found)[:SHOWN]]
    more = [f"and {len(found) - SHOWN:,} more"] if len(found) > SHOWN else []
    return [
        Finding(
            name="load generator, second by second",
            answer=Answer.MEASURED,
            promised="–",
            measured=f"{len(found):,} of {seconds:,} s in doubt",
            sentence="; ".join([*said, *more, "rows leave out what was sent late"]),
        )
    ]


def marked(history: History, begin_ns: int, seconds: int) -> dict[int, list[str]]:
    """Return the seconds since `begin_ns` that are in doubt, each with its reasons."""
    found: dict[int, list[str]] = defaultdict(list)
    for second, why in (
        *_late(history, begin_ns),
        *_noted(history, begin_ns),
        *_held(history, begin_ns),
        *_taken(history, begin_ns),
        *_dropped(history, begin_ns),
    ):
        if 0 <= second < seconds:
            found[second].append(why)
    for second, reasons in found.items():
        at_ns = begin_ns + second * SECOND_NS
        waited = host.pressure(history, at_ns, at_ns + SECOND_NS)
        if waited is not None:
            reasons.append(f"tasks waited for a core {waited:.0%} of it")
    return dict(found)


def _late(history: History, begin_ns: int) -> list[tuple[int, str]]:
    """The seconds in which operations were due that the generator sent late, or never."""
    late_ns = lateness.allowed_ns(history)
    mine = np.zeros(history.operations.num_rows, np.bool_)
    for phase in history.phases:
        mine |= lateness.excused(history, phase, late_ns).behind
    if not mine.any():
        return []
    intended, sent = history.column("intended_ns"), history.column("sent_ns")
    at = (intended - begin_ns) // SECOND_NS
    seconds, whose = np.unique(at[mine], return_inverse=True)
    due = np.bincount(np.clip(at, -1, seconds[-1] + 1) + 1)[1:]
    lag_ns = np.zeros(len(seconds), np.int64)
    np.maximum.at(lag_ns, whose, sent[mine] - intended[mine])
    counts = (np.bincount(whose, of) for of in (sent[mine] == 0, sent[mine] > 0))
    found = []
    for second, most_ns, never, late in zip(seconds.tolist(), lag_ns, *counts, strict=True):
        of = f"of {due[second]:,}"
        said = [f"{never:,.0f} {of} operations never sent"] if never else []
        if late:
            what = of if never else f"{of} operations"
            said.append(f"{late:,.0f} {what} sent late (by up to {number(most_ns / 1e6)} ms)")
        found.append((second, ", ".join(said)))
    return found


def _noted(history: History, begin_ns: int) -> Iterator[tuple[int, str]]:
    """What load workers noted of themselves."""
    for one in history.doubts:
        whose = f"load worker {one.worker + 1}"
        said = []
        if one.stalled_ns > lateness.allowed_ns(history):
            said.append(f"{whose} stood still for {number(one.stalled_ns / 1e6)} ms")
        if one.blocked:
            said.append(f"nodes did not take {one.blocked:,} sends of {whose} at once")
        if one.cores >= FULL_CORE:
            said.append(f"{whose} used {one.cores:.0%} of a core")
        seconds = _seconds(one.begin_ns - begin_ns, one.end_ns - begin_ns)
        within = f" within {len(seconds)} s" if len(seconds) > 1 else ""
        yield from ((second, why + within) for second in seconds for why in said)


def _seconds(from_ns: int, to_ns: int) -> range:
    """As many seconds as a stretch is long, at least one, and those that it has the most of: a
    worker's are not ours.
    """
    count = max((to_ns - from_ns + SECOND_NS // 2) // SECOND_NS, 1)
    first = ((from_ns + to_ns - (count - 1) * SECOND_NS) // 2) // SECOND_NS
    return range(first, first + count)


def _held(history: History, begin_ns: int) -> list[tuple[int, str]]:
    """The seconds in which the gateway stood still."""
    return [
        (
            int((since_ns - begin_ns) // SECOND_NS),
            f"the gateway stood still for {number((until_ns - since_ns) / 1e6)} ms",
        )
        for since_ns, until_ns in gateway.stalls(history)
    ]


def _dropped(history: History, begin_ns: int) -> list[tuple[int, str]]:
    """The seconds in which the host's kernel dropped packets, and nobody knows whose."""
    at_ns = history.host.column("at_ns").to_numpy()
    told = history.host.column("packets_dropped").to_pylist()
    found = []
    for from_ns, to_ns, before, now in zip(at_ns, at_ns[1:], told, told[1:], strict=False):
        if before is not None and now is not None and now > before:
            why = f"this host's kernel dropped {now - before:,} packets, anybody's"
            found.append((int(((from_ns + to_ns) // 2 - begin_ns) // SECOND_NS), why))
    return found


def _taken(history: History, begin_ns: int) -> list[tuple[int, str]]:
    """The seconds in which the host's cores were given to others, or kept from us."""
    return [
        (
            ((one.begin_ns + one.end_ns) // 2 - begin_ns) // SECOND_NS,
            one.briefly,
        )
        for one in taken.taken(history)
    ]

"""A DHT as a register: what is read was written, and is not lost, and does not grow old. Pure.

- No get brings a value that nobody put under its key: of another key, of a put that was said to
  have failed, or of one that was sent after the get had ended.
- No get brings an older value after a newer one: of a put that had ended before another one began,
  which in turn was acknowledged before the get was sent. While puts are under way either value may
  be read, in any order (a regular register; linearizability.py asks for more).
- SETTLED_NS after the last change of a fault or of a node, no get finds nothing under a key of
  which a put had been acknowledged. Keys that nobody reads then are not judged, nor is any where a
  fault stood to the end, or a node was kept from running.

The record tells of each get its key, and of each value its first 16 bytes, which are the id of the
put.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Collection, Iterable, Iterator
from itertools import accumulate

from harness.checks import registers, silences, starvation
from harness.checks.fault_times import changes_of
from harness.checks.registers import Get, Put, Register, Registers
from harness.checks.silences import FOR_EVER_NS
from harness.checks.verdict import Answer, Cause, Finding
from harness.history.events import FaultChanged, NodeChanged, NodeEnded, NodeStarted
from harness.history.history import History
from harness.operations import Outcome

WRITTEN = "register: no value that nobody wrote"
FRESH = "register: no older value after a newer one"
KEPT = "register: each acknowledged key can be read after the last fault"
ASKED = frozenset({"register", "register-by-side"})  # the checks that tell of WRITTEN too
SETTLED_NS = 5_000_000_000  # after a change of a fault or a node the DHT may look for its values


def check_values(history: History) -> list[Finding]:
    """The finding that no value was read that nobody wrote, to which every run is held. Where the
    record does not tell each value there is none but of a wrong one. A put that was said to have
    failed may have happened. A run that asks for more than this is told by what it asks for.
    """
    if ASKED & {*history.checks}:
        return []
    found = written(registers.of(history), believes=False)
    return [one for one in found if one.answer is not Answer.UNKNOWN]


def check(history: History) -> list[Finding]:
    """A finding of each promise of which this run shows something."""
    found = registers.of(history)
    return [*written(found), *fresh(found, FRESH), *kept(history, found)]


def _told(found: Registers) -> Iterator[tuple[Register, Get]]:
    """The gets whose value the record tells."""
    for register in found.read.values():
        for get in register.gets:
            if get.is_told:
                yield register, get


def written(found: Registers, *, believes: bool = True) -> list[Finding]:
    """The finding that no value was read that nobody wrote. `believes`: nor one of a put that was
    said to have failed.
    """
    wrong, count = list[str](), 0
    for register, get in _told(found):
        count += 1
        why = unwritten(found, register, get, believes=believes)
        if why is not None:
            wrong.append(f"a get of the key {shown(register.key)} brought {why}")
    return _finding(WRITTEN, count, wrong, "each value read was put under its key", found)


def unwritten(
    found: Registers, register: Register, get: Get, *, believes: bool = True
) -> str | None:
    """What is wrong with the value of a get; None where somebody wrote it. `believes`: see
    `written`.
    """
    assert get.value is not None
    put = register.puts.get(get.value)
    if put is None:
        elsewhere = found.keys.get(get.value, register.key) != register.key
        return "a value of another key" if elsewhere else "a value that nobody put"
    if put.outcome is Outcome.FAILED and believes:
        return "the value of a put that was said to have failed"
    if put.begin_ns > get.end_ns:
        return "a value that was put after it had ended"
    return None


def fresh(
    found: Registers, name: str, owed: Callable[[Put, int], bool] | None = None
) -> list[Finding]:
    """The finding of this name: no older value after a newer one. `owed` says whether a put may be
    newer for a node, and so for what that node reads or wrote; None: for every node.
    """
    wrong, count, is_at_stake = list[str](), 0, False
    for register in found.read.values():
        ended = _Ended(register.puts.values())
        is_at_stake |= len(ended) > 1
        for get in register.gets if len(ended) > 1 else ():
            put = register.puts.get(get.value or b"")
            if put is None or not get.is_told:
                continue
            newer = ended.for_(get, put, owed).latest(get.begin_ns)
            if newer is None:
                continue
            count += 1
            if put.end_ns < newer.begin_ns:
                age_s = (get.begin_ns - newer.end_ns) / 1e9
                wrong.append(
                    f"a get of the key {shown(register.key)} brought a value that another one, "
                    f"put later, had replaced {age_s:.3f} s before it was sent"
                )
    kept = "no value read had been replaced before"
    return _finding(name, count, wrong, kept, found) if is_at_stake else []


class _Ended:
    """The acknowledged puts of a key, by when they ended."""

    def __init__(self, puts: Iterable[Put]) -> None:
        self._puts = sorted(
            (put for put in puts if put.is_acknowledged), key=lambda put: put.end_ns
        )
        self._ends_ns = [put.end_ns for put in self._puts]
        # Of each and those that ended before it, the one that began last.
        self._latest = list[Put](accumulate(self._puts, _later))
        self._owed: dict[tuple[int, int], _Ended] = {}

    def __len__(self) -> int:
        return len(self._puts)

    def latest(self, at_ns: int) -> Put | None:
        """Of those that had ended at a moment, the one that began last."""
        at = bisect_right(self._ends_ns, at_ns)
        return self._latest[at - 1] if at else None

    def for_(self, get: Get, put: Put, owed: Callable[[Put, int], bool] | None) -> _Ended:
        """Those that may be newer than a put for who wrote it and for who read it."""
        if owed is None:
            return self
        nodes = get.node, put.node
        if nodes not in self._owed:
            mine = [one for one in self._puts if all(owed(one, node) for node in nodes)]
            self._owed[nodes] = _Ended(mine)
        return self._owed[nodes]


def _later(one: Put, other: Put) -> Put:
    """Which of two puts began later."""
    return one if one.begin_ns >= other.begin_ns else other


def kept(history: History, found: Registers) -> list[Finding]:
    """The finding that each acknowledged key can be read after the last fault."""
    settled_ns = _settled_ns(history)
    keys, wrong, open_, since_ns = set[bytes](), list[str](), 0, FOR_EVER_NS
    over_ns = max((phase.end_ns for phase in history.phases), default=0)
    for register in found.read.values():
        from_ns = max(settled_ns, register.acknowledged_ns)
        for get in register.gets:
            if get.begin_ns < from_ns:
                continue
            keys.add(register.key)
            since_ns = min(since_ns, get.begin_ns)
            if get.outcome is Outcome.FAILED:
                wrong.append(f"a get of the key {shown(register.key)} found nothing")
            open_ += get.outcome is Outcome.UNKNOWN
    starved = starvation.between(history, since_ns, over_ns) if wrong else ""
    gap = None if starved or not wrong else starvation.untold_between(history, since_ns, over_ns)
    if gap is not None:
        return [_open(keys, f"{len(wrong):,} not", f"{wrong[0]}; {gap}", Cause.GAP)]
    if starved or (open_ and not wrong):
        lacking = f"{len(wrong):,} not" if wrong else f"{open_:,} without an answer"
        unanswered = (
            f"{open_:,} gets had no answer in time: what they would have found is not known"
        )
        if wrong:
            return [_open(keys, lacking, f"{wrong[0]}; {starved}", Cause.HOST_LIMITED)]
        return [_open(keys, lacking, unanswered, Cause.NOT_MEASURED)]
    kept = f"each get of them brought a value; {found.acknowledged:,} keys have an acknowledged put"
    return _finding(KEPT, len(keys), wrong, kept)


def _open(keys: Collection[bytes], measured: str, sentence: str, cause: Cause) -> Finding:
    """The finding where nobody knows whether each key can be read."""
    return Finding(
        name=KEPT,
        answer=Answer.UNKNOWN,
        promised=f"{len(keys):,} keys",
        measured=measured,
        sentence=sentence,
        cause=cause,
    )


def _settled_ns(history: History) -> int:
    """From when on nothing disturbs the DHT any more; FOR_EVER_NS where something does to the
    end. A node that ended by itself disturbs nothing: that is the system's own.
    """
    stands = {change.fault: change.is_set for change in changes_of(history)}
    away = (one.end_ns for one in silences.of(history).away)
    if any(stands.values()) or FOR_EVER_NS in away:
        return FOR_EVER_NS
    disturbing = FaultChanged | NodeChanged | NodeEnded | NodeStarted
    times = [event.at_ns for event in history.events if isinstance(event, disturbing)]
    return max(times) + SETTLED_NS if times else 0


def shown(key: bytes) -> str:
    """Show enough of a key to tell it from others."""
    return f"{key.hex()[:8]}…"


def _finding(
    name: str, count: int, wrong: list[str], kept: str, found: Registers | None = None
) -> list[Finding]:
    """The finding of a promise; none where there was nothing to check."""
    not_told = None if found is None else found.not_told
    if not count and not wrong and not_told is None:
        return []
    answer, measured, sentence = Answer.PASS, f"{count:,} of {count:,}", kept
    if wrong:
        answer, measured, sentence = Answer.FAIL, f"{len(wrong):,} not", wrong[0]
    elif not_told is not None:
        answer, measured, sentence = Answer.UNKNOWN, "not told", not_told
    return [
        Finding(
            name=name,
            answer=answer,
            promised=f"{count:,} of {count:,}",
            measured=measured,
            sentence=sentence,
            cause=Cause.NOT_MEASURED if answer is Answer.UNKNOWN else None,
        )
    ]

"""A plan is what a run was to do: its phases, the streams of its load, its changes of faults.

It is read from the run folder, so that the judge can hold against it what was recorded.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from harness.errors import BadFileError
from harness.history.events import Event, ends_ns
from harness.history.other_system import OtherSystem
from harness.operations import own

LATE_NS = 1_000_000  # of a folder that does not say it
SHOWN = 20  # characters of a number that is none
SECONDS_MAX = 1e9  # no run knows a time further from its beginning


class PhaseKind(StrEnum):
    """What a phase is for, which says what of it is judged (docs/scenarios.md)."""

    WARM_UP = "warm-up"  # kept in the record, and judged by no row
    STEADY = "steady"  # the baseline
    CHAOS = "chaos"  # nothing wrong may happen; what does not happen is measured
    CONVERGE = "converge"  # what does not happen is judged again

    @property
    def judges_liveness(self) -> bool:
        """Whether what every run is held to asks that operations come true in it."""
        return self not in (PhaseKind.WARM_UP, PhaseKind.CHAOS)


# What is judged of a phase, by its kind, as a part of a sentence.
JUDGED: Mapping[PhaseKind | None, str] = {
    None: "everything",
    PhaseKind.WARM_UP: "safety; no row of the budget judges it",
    PhaseKind.STEADY: "everything; it is the baseline of later phases",
    PhaseKind.CHAOS: "safety, and the rows that name it",
    PhaseKind.CONVERGE: "everything",
}


def judged_of(kind: PhaseKind | None, until: str | None) -> str:
    """Say what is judged of a phase."""
    held = " from when its condition held on; until then that" if until is not None else ""
    return JUDGED[kind] + held


@dataclass(frozen=True, slots=True, kw_only=True)
class PhasePlan:
    """When a phase was to be, CLOCK_MONOTONIC ns. `end_ns` None: until the run ended."""

    name: str
    begin_ns: int
    end_ns: int | None
    kind: PhaseKind | None = None
    until: str | None = None
    at_most_s: float | None = None  # in which `until` was to hold
    has_iperf3: bool = False  # iperf3 was to send meanwhile


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangePlan:
    """When a fault was to be set or cleared, CLOCK_MONOTONIC ns."""

    at_ns: int
    verb: str  # set, clear
    fault: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What was planned of one run.

    `streams` are those of metadata.json, whose position is their number. `workers` 0: an older
    folder, which says too little of them to replay their schedule. `id_key`: what the ids of its
    operations are made with (scenario/identifiers); of an older folder nothing. `left_out` are the
    words of the operations that somebody who picked streams by hand did not pick, and of a scenario
    those that `other_system`, which is under test instead of the one that its files name, does not
    have.
    """

    t0_ns: int
    seed: int
    phases: tuple[PhasePlan, ...]
    streams: tuple[Mapping[str, Any], ...] = ()
    workers: int = 0
    id_key: bytes = b""
    changes: tuple[ChangePlan, ...] = ()
    late_ns: int = LATE_NS  # how late the generator was to send at most
    left_out: frozenset[str] = frozenset()
    other_system: OtherSystem | None = None

    def phase(self, name: str) -> PhasePlan | None:
        """Return the phase of that name, None where none was planned."""
        return next((phase for phase in self.phases if phase.name == name), None)

    def patience_ns(self, word: str | None = None) -> int:
        """Return the longest that an operation may take, ns; of one kind where a word says which.
        0: no stream says it.
        """
        mine = [one for one in self.streams if word in (None, one.get("operation"))]
        return max((one.get("timeout_ms", 0) for one in mine), default=0) * 1_000_000


def moment_ns(t0_ns: int, seconds: float) -> int:
    """Return when it is so many seconds after another moment."""
    return t0_ns + round(seconds * 1e9)


def strange(seconds: float) -> str | None:
    """Say what is wrong with a number of seconds that no run can have; None: nothing."""
    if abs(seconds) <= SECONDS_MAX:
        return None
    return f"expected at most {SECONDS_MAX:g} s, found {str(seconds)[:SHOWN]}"


def bounds_ns(
    t0_ns: int,
    lengths_s: Iterable[tuple[str, float | None]],
    ended_ns: Mapping[str, int] | None = None,
) -> tuple[tuple[int, int | None], ...]:
    """Give phases of these names and lengths their begin and end; None: it lasts until somebody
    stops. `ended_ns`: when phases ended whose condition held; those after them follow at once.
    """
    found: list[tuple[int, int | None]] = []
    for name, duration_s in lengths_s:
        end_ns = None if duration_s is None else moment_ns(t0_ns, duration_s)
        if end_ns is not None and ended_ns and name in ended_ns:
            end_ns = max(min(end_ns, ended_ns[name]), t0_ns)
        found.append((t0_ns, end_ns))
        t0_ns = t0_ns if end_ns is None else end_ns
    return tuple(found)


def read(
    facts: Mapping[str, Any], timeline: Mapping[str, Any], happened: Iterable[Event] = ()
) -> Plan | None:
    """Read the plan from metadata.json and timeline.json; None where they say nothing of it.

    What `happened` moves it: a phase whose condition held ended then, and all that was planned
    after it came so much earlier. Raises BadFileError.
    """
    if "plan" not in facts or "t0_ns" not in facts:
        return None
    try:
        planned, load, t0_ns = facts["plan"], facts["load"], facts["t0_ns"]
        lengths_s = [(one["name"], _duration_s(one)) for one in planned]
        plain = bounds_ns(t0_ns, lengths_s)
        bounds = bounds_ns(t0_ns, lengths_s, ends_ns(happened))
        names = [fault["name"] for fault in timeline.get("faults", ())]
        for stream in load.get("streams", ()):
            own.of_stream(stream)  # of which nobody knows what it is, is no plan
        return Plan(
            t0_ns=t0_ns,
            seed=facts.get("seed", 0),
            phases=tuple(
                PhasePlan(
                    name=one["name"],
                    begin_ns=begin_ns,
                    end_ns=end_ns,
                    kind=_kind(one.get("kind")),
                    until=one.get("until"),
                    at_most_s=one.get("at_most_s"),
                    has_iperf3=bool(one.get("iperf3")),
                )
                for one, (begin_ns, end_ns) in zip(planned, bounds, strict=True)
            ),
            streams=tuple(load.get("streams", ())),
            workers=load.get("shares", 0),
            id_key=bytes.fromhex(facts.get("id_key", "")),
            late_ns=load.get("late_ns", LATE_NS),
            left_out=frozenset(load.get("left_out", ())),
            other_system=OtherSystem.from_json(load.get("other_system")),
            changes=tuple(
                ChangePlan(
                    at_ns=_moved(_change_ns(t0_ns, one["at_s"]), plain, bounds),
                    verb=one["verb"],
                    fault=names[one["fault"]],
                )
                for one in timeline.get("changes", ())
            ),
        )
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise BadFileError(f"the run's plan: {type(error).__name__}: {error}") from None


Bounds = tuple[tuple[int, int | None], ...]


def _moved(at_ns: int, plain: Bounds, bounds: Bounds) -> int:
    """Move a planned moment as much as the phase that it lies in."""
    begins = [begin_ns for begin_ns, _ in plain]
    phase = max(bisect_right(begins, at_ns) - 1, 0)
    return at_ns + bounds[phase][0] - begins[phase] if begins else at_ns


def _change_ns(t0_ns: int, at_s: float) -> int:
    if wrong := strange(at_s):
        raise ValueError(wrong)
    return moment_ns(t0_ns, at_s)


def _kind(said: str | None) -> PhaseKind | None:
    return None if said is None else PhaseKind(said)


def _duration_s(planned: Mapping[str, Any]) -> float | None:
    """How long a phase was to last; an older folder says it so."""
    if "end_s" not in planned:
        return planned.get("duration_s")
    return None if planned["end_s"] is None else planned["end_s"] - planned["begin_s"]

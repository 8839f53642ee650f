"""Events say what happened while a run was recorded, a line of events.jsonl each.

Every class is one word of the file; `read` gives the line's class back. Times are CLOCK_MONOTONIC
ns; a time of 0 becomes the moment of writing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar

from harness.errors import BadFileError
from harness.history import shape

DOWN = ("stopped", "killed", "crashed")  # conditions of a node that has no process


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that happened; a bare Event is a word of a later version, of which nothing is
    known.
    """

    word: ClassVar[str] = ""

    at_ns: int = 0

    def as_json(self) -> dict[str, Any]:
        """Return the values of a line in events.jsonl."""
        values = asdict(self)
        return {"at_ns": values.pop("at_ns"), "event": self.word, **values}


@dataclass(frozen=True, slots=True, kw_only=True)
class RunBegan(Event):
    """The clock of a run was started."""

    word: ClassVar[str] = "begin"


@dataclass(frozen=True, slots=True, kw_only=True)
class PhaseBegan(Event):
    """A phase began, as executed; `planned_ns` is when it was due."""

    word: ClassVar[str] = "phase"

    phase: str
    planned_ns: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PhaseEnded(Event):
    """The condition of a phase held: it ends at `end_ns`, a little later than this is told, and all
    that was planned after it comes so much earlier.
    """

    word: ClassVar[str] = "phase-ended"

    phase: str
    end_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PhasesOver(Event):
    """The last phase ended."""

    word: ClassVar[str] = "phases-over"


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeEnded(Event):
    """A node's process ended by itself: with an exit code, or by a signal; neither is known of
    every runtime, nor of older folders. `left` are the command lines of those of its processes that
    lived on then, and were ended.
    """

    word: ClassVar[str] = "node-ended"

    node: str
    code: int | None = None
    signal: int | None = None
    left: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeStarted(Event):
    """The harness started a node: a new process, which began to be started at `since_ns` (0: not
    known). `journals_ns`: since when its journal has all that it saw; 0: since the event itself;
    NO_JOURNAL: it runs, and could not be made to journal.
    """

    word: ClassVar[str] = "node-started"
    NO_JOURNAL: ClassVar[int] = -1

    node: str
    journals_ns: int = 0
    since_ns: int = 0

    @property
    def has_journal(self) -> bool:
        """Whether what it receives is told of again."""
        return self.journals_ns != self.NO_JOURNAL


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeReadiness(Event):
    """A node that runs is not ready, or has become so since. `awaited`: it had said nothing new for
    long; else it was not waited for, because somebody was due to change it, or its like, again.
    """

    word: ClassVar[str] = "node-readiness"

    node: str
    ready: bool
    awaited: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeChanged(Event):
    """The harness brought a node into a condition: one of DOWN, paused, or running, where it was
    paused. `since_ns`: when it began to; 0: not known.
    """

    word: ClassVar[str] = "node-condition"

    node: str
    condition: str
    since_ns: int = 0

    @property
    def is_down(self) -> bool:
        """Whether the node has no process from then on."""
        return self.condition in DOWN


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultChanged(Event):
    """A fault was set or cleared; `set_ns` is when the last part of it was done, `resolved` its
    number in faults.jsonl, which has its nodes and paths; −1: an older folder has none.
    """

    word: ClassVar[str] = "fault"

    verb: str  # set, clear
    fault: str
    words: str = ""
    does: str = ""
    paths: int = 0
    up: Mapping[str, int] = field(default_factory=dict)
    down: Mapping[str, int] = field(default_factory=dict)
    nodes: tuple[str, ...] = ()  # whose condition it is
    sides: Mapping[str, int] = field(default_factory=dict)  # of a cut: node → its side
    set_ns: int
    took_ms: float = 0.0
    resolved: int = -1

    @property
    def is_set(self) -> bool:
        """Whether the fault came; else it went."""
        return self.verb == "set"

    @property
    def begun_ns(self) -> int:
        """When the change began."""
        return self.set_ns - round(self.took_ms * 1e6)


@dataclass(frozen=True, slots=True, kw_only=True)
class Iperf3Failed(Event):
    """iperf3 beside the load failed: its row is UNKNOWN."""

    word: ClassVar[str] = "iperf3-failed"

    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandRan(Event):
    """A program was begun beside a node (`harness exec`), and may have asked it for anything."""

    word: ClassVar[str] = "command"

    node: str
    program: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayStalled(Event):
    """The gateway stood still from `since_ns` to `until_ns`; the event comes up to a second
    later.
    """

    word: ClassVar[str] = "gateway-stalled"

    since_ns: int
    until_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfileBegan(Event):
    """A profiler was started beside a part of the run, or within it (`is_inside`); from then on it
    perturbs what is measured. `number` is the profile's in its run; `why` says who asked for it.
    """

    word: ClassVar[str] = "profile-began"

    number: int
    who: str  # a node, supervisor, gateway, worker, worker-2
    tool: str
    processes: int
    why: str
    is_inside: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfileEnded(Event):
    """A profiler has ended. `file`: its stacks, below the run folder; empty: there are none, and
    `error` says why. `count` of them, in `unit`; `hottest`: function → its own share; `cpu_ns`: the
    CPU time of the profiler's own processes.
    """

    word: ClassVar[str] = "profile-ended"

    number: int
    who: str
    tool: str
    file: str = ""
    graph: str = ""
    count: int = 0
    unit: str = ""
    hottest: Mapping[str, float] = field(default_factory=dict)
    cpu_ns: int = 0
    error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunEnded(Event):
    """The run was closed; `failures` are the sentences that make its record incomplete.
    `journals_ns`: until when nodes journalled; 0: the run does not say. `unclosed`: the nodes whose
    journals may lack something, for they did not close them, or could not keep them all the time.
    """

    word: ClassVar[str] = "end"

    failures: tuple[str, ...] = ()
    journals_ns: int = 0
    unclosed: tuple[str, ...] = ()


BY_WORD: dict[str, type[Event]] = {
    one.word: one
    for one in (
        RunBegan,
        PhaseBegan,
        PhaseEnded,
        PhasesOver,
        NodeEnded,
        NodeStarted,
        NodeReadiness,
        NodeChanged,
        FaultChanged,
        Iperf3Failed,
        CommandRan,
        GatewayStalled,
        ProfileBegan,
        ProfileEnded,
        RunEnded,
    )
}


def over_ns(happened: Sequence[Event]) -> int:
    """Return when the last phase was over, as the events tell; else when they end."""
    over = [event.at_ns for event in happened if isinstance(event, PhasesOver)]
    return over[0] if over else max((event.at_ns for event in happened), default=0)


def ends_ns(happened: Iterable[Event]) -> dict[str, int]:
    """Return when phases ended whose condition held, by their names."""
    return {event.phase: event.end_ns for event in happened if isinstance(event, PhaseEnded)}


def spells(changes: Iterable[tuple[bool, int]], end_ns: int) -> list[tuple[int, int]]:
    """Return when something was there: from each coming (True) to its going, or else to the end;
    ns.
    """
    found: list[tuple[int, int]] = []
    began: int | None = None
    for comes, at_ns in changes:
        if comes and began is None:
            began = at_ns
        elif not comes and began is not None:
            found.append((began, at_ns))
            began = None
    return found if began is None else [*found, (began, end_ns)]


def read(said: Mapping[str, Any]) -> Event:
    """Return the event of a line.

    Raises BadFileError where a known word lacks its values, or one is of a wrong type.
    """
    values = dict(said)
    word = values.pop("event", "")
    known = BY_WORD.get(word) if isinstance(word, str) else None
    try:
        if known is None:
            made = Event(at_ns=values["at_ns"])
        else:
            lists = {name: tuple(one) for name, one in values.items() if isinstance(one, list)}
            made = known(**{**values, **lists})
    except (KeyError, TypeError, ValueError) as error:
        raise BadFileError(f"events.jsonl: {word}: {error}") from None
    if wrong := shape.misfit(made):
        raise BadFileError(f"events.jsonl: {word}: {wrong}")
    return made

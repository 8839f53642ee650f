"""A history is what happened in one run, as columns.

It has raw values; statistics are derived elsewhere.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Concatenate, ParamSpec, TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from harness.history.doubts import Doubt
from harness.history.events import Event
from harness.history.gaps import Gap
from harness.history.metrics import Metrics
from harness.history.plan import PhaseKind, Plan
from harness.history.proof import Proof
from harness.history.resolved import ResolvedFault
from harness.operations import Operation
from harness.operations.records import RecordKind

Nanoseconds = npt.NDArray[np.int64]
Records = npt.NDArray[np.void]

OPERATIONS = pa.schema(
    [
        ("id", pa.binary(16)),
        ("operation", pa.uint8()),
        ("source", pa.uint16()),
        ("target", pa.int32()),
        ("payload_bytes", pa.uint32()),
        ("intended_ns", pa.int64()),
        ("sent_ns", pa.int64()),
        ("done_ns", pa.int64()),
        ("outcome", pa.uint8()),
        ("hops", pa.int16()),
        ("answered_by", pa.int32()),
        ("error", pa.dictionary(pa.int32(), pa.string())),
    ]
)
# Of each operation that put a value under a key of the DHT, or read one. Keys and values by their
# first 16 bytes: a value begins with the id of the put that wrote it.
VALUES = pa.schema(
    [
        pa.field("id", pa.binary(16), nullable=False),
        pa.field("key", pa.binary(16), nullable=False),
        pa.field("value", pa.binary(16)),  # that was read; null: nothing was, or it is not told
    ]
)
SAMPLES = pa.schema(
    [
        pa.field("at_ns", pa.int64(), nullable=False),  # when this node was read
        pa.field("node", pa.uint16(), nullable=False),  # position in the topology
        pa.field("rss_bytes", pa.int64(), nullable=False),
        # Cumulative since the process started, all threads.
        pa.field("cpu_ns", pa.int64(), nullable=False),
        pa.field("fds", pa.int32(), nullable=False),
        pa.field("threads", pa.int32(), nullable=False),
        # Established TCP connections of the node's namespace.
        pa.field("connections", pa.int32(), nullable=False),
        # Traffic is cumulative, at the node's link and as the node sees it; null: no such link.
        pa.field("bytes_in", pa.int64()),
        pa.field("bytes_out", pa.int64()),
        pa.field("packets_in", pa.int64()),
        pa.field("packets_out", pa.int64()),
        # Cumulative like cpu_ns: its threads could run and waited for a core; null: not told.
        pa.field("run_delay_ns", pa.int64()),
        # Its first process, in the supervisor's PID namespace; null: not told.
        pa.field("pid", pa.int32()),
        # Taken every half a minute: what the node's directory takes of the disk, without its log,
        # and how many descriptors its first process may have; null: not looked, or not told.
        pa.field("disk_bytes", pa.int64()),
        pa.field("fds_limit", pa.int32()),
        # Cumulative like cpu_ns: read from disks, and written (to memory, for them); null: not told
        pa.field("io_bytes", pa.int64()),
        pa.field("processes", pa.int32()),  # how many it has; null: not told
        # What its processes hold that no file does, in memory or swapped out; null: not its turn
        # (of hundreds of nodes each is looked at every some seconds), or not told.
        pa.field("memory_bytes", pa.int64()),
    ]
)
# A process of the harness itself. Its sockets (of any kind) and limit are taken seldom; null: not
# looked, or not told.
OWN = pa.struct(
    [
        pa.field("name", pa.string()),
        pa.field("pid", pa.int32()),
        pa.field("rss_bytes", pa.int64()),
        pa.field("fds", pa.int32()),
        pa.field("threads", pa.int32()),
        pa.field("sockets", pa.int32()),
        pa.field("fds_limit", pa.int32()),
        pa.field("memory_bytes", pa.int64()),  # as of SAMPLES
    ]
)
HOST = pa.schema(
    [
        pa.field("at_ns", pa.int64(), nullable=False),
        # Cumulative, all CPUs, in steps of a clock tick (10 ms).
        pa.field("cpu_busy_ns", pa.int64(), nullable=False),
        # Cumulative: the hypervisor gave our time to others.
        pa.field("cpu_steal_ns", pa.int64(), nullable=False),
        # Cumulative: some task waited for a CPU; null: no PSI here.
        pa.field("psi_cpu_some_us", pa.int64()),
        pa.field("memory_available_bytes", pa.int64(), nullable=False),
        # Watched process → cumulative CPU.
        pa.field("load_cpu_ns", pa.map_(pa.string(), pa.int64()), nullable=False),
        # Cumulative: a CPU's backlog of packets was full, of whichever namespace; null: not told.
        pa.field("packets_dropped", pa.int64()),
        # Cumulative, all CPUs: the harness's control group, or one above it, had used up its quota;
        # null: not told.
        pa.field("cpu_throttled_us", pa.int64()),
        pa.field("own", pa.list_(OWN)),  # the harness's processes; null: not told
        # Cumulative: some task waited for a disk; null: no PSI here.
        pa.field("psi_io_some_us", pa.int64()),
        # Cumulative, all disks: read and written; null: no disk is told of.
        pa.field("disk_io_bytes", pa.int64()),
        # Disk → cumulative: it had something to do.
        pa.field("disks_busy_ms", pa.map_(pa.string(), pa.int64())),
        # Cumulative: what watched processes did of `disk_io_bytes`, as a node's; null: not told.
        pa.field("load_io_bytes", pa.int64()),
    ]
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PhaseWindow:
    """When a phase was in force, as planned. CLOCK_MONOTONIC ns; the end is not in it.

    `late_ns`: so much later the player began it (histograms are taken then). `left_out`: stretches
    of it, in order, that are none of what is looked at (from, to). `until`: what was to end it.
    """

    name: str
    begin_ns: int
    end_ns: int
    late_ns: int = 0
    left_out: tuple[tuple[int, int], ...] = ()
    kind: PhaseKind | None = None
    until: str | None = None

    @property
    def seconds(self) -> float:
        """How long it is, without what is left out."""
        left_out_ns = sum(end_ns - begin_ns for begin_ns, end_ns in self.left_out)
        return (self.end_ns - self.begin_ns - left_out_ns) / 1e9

    def holds(self, at_ns: Nanoseconds) -> npt.NDArray[np.bool_]:
        """Which of these times are in it."""
        found: npt.NDArray[np.bool_] = (at_ns >= self.begin_ns) & (at_ns < self.end_ns)
        if self.left_out:
            edges = np.array(self.left_out, np.int64).ravel()
            found &= np.searchsorted(edges, at_ns, "right") % 2 == 0
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Before:
    """Who else may have sent to the cluster of a run: `runs` before it, by the first 8 bytes of
    their operations' ids, with what the ends of these are made with (`id_keys`; of an older folder
    nothing), and programs that were run beside nodes, until its end.
    """

    runs: tuple[bytes, ...] = ()
    id_keys: tuple[bytes, ...] = ()
    commands: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """One run.

    `operations` has the columns of OPERATIONS, `samples` of SAMPLES, `host` of HOST; `journal` has
    the records of journal.JOURNAL.
    """

    nodes: tuple[str, ...]
    wire_ids: tuple[bytes, ...]  # index → 32 bytes
    phases: tuple[PhaseWindow, ...]
    operations: pa.Table
    samples: pa.Table
    journal: Records
    host: pa.Table  # columns of HOST
    values: pa.Table = field(default_factory=VALUES.empty_table)  # columns of VALUES
    # (phase, node, operation) → bucket → count.
    histograms: Mapping[tuple[str, int, str], Mapping[int, int]] = field(default_factory=dict)
    # (phase, operation) → asked rate.
    planned_per_s: Mapping[tuple[str, int], float] = field(default_factory=dict)
    # (phase, node, name) → at the phase's end.
    gauges: Mapping[tuple[str, int, str], float] = field(default_factory=dict)
    # Of a bench: name → values, base units.
    measurements: Mapping[str, npt.NDArray[np.float64]] = field(default_factory=dict)
    metrics: Metrics = field(default_factory=Metrics)  # that nodes told once a second
    links: frozenset[tuple[int, int]] = frozenset()  # of the topology
    ready_s: float | None = None  # from `up` until all nodes were ready
    ready_others: float | None = None  # which share of the host others took meanwhile
    # Nodes of whose processes those that came and went between two looks are in no count.
    uncounted: frozenset[str] = frozenset()
    name: str = ""  # of the scenario
    cores: int = 1
    # Operation word → why the ledger does not hold this system to it.
    exempt: Mapping[str, str] = field(default_factory=dict)
    # Operation word → promises (operations/promises.py) that the system does not make more than.
    unpromised: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    # Words of operations that a node is asked for beside each other: nobody says which was first.
    side_by_side: frozenset[str] = frozenset()
    # Words of operations of which nothing comes once the system has given them up.
    given_up: frozenset[str] = frozenset()
    kept: frozenset[int] = frozenset(RecordKind)  # kinds of records that its journals keep
    ports: tuple[int, ...] = ()  # TCP, at which nodes link; empty: not told, or not by TCP
    proofs: tuple[Proof, ...] = ()
    events: tuple[Event, ...] = ()
    before: Before | None = None  # None: an older folder does not say it
    failed_is_certain: bool = False  # what FAILED says; of an older folder it may have happened
    ended: bool = True  # False: the run was cut short
    plan: Plan | None = None  # None: an older folder does not say it
    # Where each fault was that came, by the number that events name it by.
    resolved: Mapping[int, ResolvedFault] = field(default_factory=dict)
    # (phase, node) that told of itself at the phase's end → it had counted on since the one before.
    told: Mapping[tuple[str, int], bool] = field(default_factory=dict)
    can_send_per_s: float | None = None  # by one load worker of this machine, where calibrated
    doubts: tuple[Doubt, ...] = ()  # what load workers noted of themselves
    gaps: tuple[Gap, ...] = ()  # what was not recorded, in order of time
    # Ids (V16) of operations that were due and of which it is not settled yet how they ended: of a
    # look at a run under way.
    under_way: Records = field(default_factory=lambda: np.empty(0, "V16"))
    own: tuple[Operation, ...] = ()  # operations of its system's own that its streams have
    checks: tuple[str, ...] = ()  # that its scenario asked for, by word or as module:function
    sealed: bool = True  # False: no manifest says how its files were when the run was closed
    # What `once` has derived of it; a history that is made of this one by `replace` begins anew.
    derived: dict[Hashable, Any] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def __post_init__(self) -> None:
        for records in (self.journal, self.under_way, *self.measurements.values()):
            records.setflags(write=False)  # nobody who looks at the record changes it

    def with_gaps(self, gaps: tuple[Gap, ...]) -> History:
        """Return the same record with these gaps more; what was derived of it still holds."""
        made = replace(self, gaps=(*self.gaps, *gaps))
        made.derived.update(self.derived)
        return made

    @property
    def kinds(self) -> tuple[Operation, ...]:
        """The operations that its numbers may mean: those of every system, and its system's own."""
        return (*Operation, *self.own)

    def kind(self, number: int) -> Operation:
        """Return the operation that a number means in this run. Raises ValueError."""
        mine = next((each for each in self.own if int(each) == number), None)
        return Operation(number) if mine is None else mine

    def kind_named(self, word: str) -> Operation | None:
        """Return the operation of a word; None: there is none in this run."""
        return next((each for each in self.kinds if each.word == word), None)

    def phase(self, name: str) -> PhaseWindow | None:
        """Return the window of a phase, None where it was not played."""
        return next((phase for phase in self.phases if phase.name == name), None)

    def index(self, node: str) -> int:
        """Return a node's index. Raises ValueError for a name that is not there."""
        return self.nodes.index(node)

    def column(self, name: str) -> npt.NDArray[Any]:
        """Return a column of the operations as an array."""
        return np.asarray(self.operations.column(name).to_numpy())


Of = ParamSpec("Of")
Derived = TypeVar("Derived")


def once(
    make: Callable[Concatenate[History, Of], Derived],
) -> Callable[Concatenate[History, Of], Derived]:
    """Make a function of a history derive its result once: what the first call returns is kept with
    the history, for as long as that is, and is nobody's to change.

    It may rest on the record alone, never on its gaps. Its other arguments are hashable.
    """

    @functools.wraps(make)
    def derive(history: History, /, *of: Of.args, **named: Of.kwargs) -> Derived:
        key = (make, of, *sorted(named.items()))
        if key not in history.derived:
            made = make(history, *of, **named)
            if isinstance(made, np.ndarray):
                made.setflags(write=False)
            history.derived[key] = made
        found: Derived = history.derived[key]
        return found

    return derive

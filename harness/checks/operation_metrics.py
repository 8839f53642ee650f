"""Metrics of operations: the generic ones, which the table of operations names, and those that one
operation alone has. Pure.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from harness.checks import overlay, own_metrics, records, silences
from harness.checks.metric import Chosen, Floats, Metric, PerNode, Samples
from harness.checks.own_metrics import Names
from harness.history.gaps import Part, Parts
from harness.history.history import History, PhaseWindow
from harness.operations import TABLE, Operation, Outcome
from harness.operations.operation import Taken, Witness
from harness.operations.records import RecordKind

Take = Callable[[History, PhaseWindow], Samples]


def _latency(operation: Operation) -> Take:
    ledger = operation.spec.ledger
    # Who met whom is settled among all of them, each record being of one.
    is_alone = ledger is None or ledger.witness not in (Witness.ANSWERER, Witness.PEER)

    def take(history: History, phase: PhaseWindow) -> Samples:
        took = records.took_ns(history, phase, operation)
        chosen = records.in_phase(history, phase, operation)
        return Samples(values=took, of=chosen if is_alone else None)

    return take


def _share(operation: Operation) -> Take:
    def take(history: History, phase: PhaseWindow) -> Samples:
        chosen = records.in_phase(history, phase, operation)
        is_ok = history.column("outcome")[chosen] == Outcome.OK
        return Samples(values=is_ok.astype(np.float64), of=chosen)

    return take


def _hops(operation: Operation) -> Take:
    def take(history: History, phase: PhaseWindow) -> Samples:
        chosen = records.ended_ok(history, phase, operation) & (history.column("hops") >= 0)
        return Samples(values=history.column("hops")[chosen].astype(np.float64), of=chosen)

    return take


GENERIC: dict[Taken, Callable[[Operation], Take]] = {
    Taken.LATENCY: _latency,
    Taken.SHARE: _share,
    Taken.HOPS: _hops,
}


def _first_contact(history: History, phase: PhaseWindow) -> Samples:
    """Of each source and target the message of the run that was sent first, where that was due in
    the phase; of two that never were, the first due.

    What was sent late, or to a node that the harness had stopped, may have made the contact all the
    same: the message after it is none to a new peer. What was never sent made none.
    """
    whole = records.in_phase(history, records.WHOLE_RUN, Operation.PRIVATE_MESSAGE)
    intended, sent, source, target = (
        history.column(name)[whole] for name in ("intended_ns", "sent_ns", "source", "target")
    )
    pair = source.astype(np.int64) * (len(history.nodes) + 1) + target + 1
    sent = np.where(sent == 0, silences.FOR_EVER_NS, sent)
    earliest = np.full((len(history.nodes) + 1) ** 2, silences.FOR_EVER_NS)
    np.minimum.at(earliest, pair, sent)
    early = np.flatnonzero(sent == earliest[pair])  # some of a pair, where none was sent
    order = early[np.argsort(intended[early], kind="stable")]
    _, first = np.unique(pair[order], return_index=True)
    firsts = np.zeros(len(whole), np.bool_)
    firsts[np.flatnonzero(whole)[order[first]]] = True
    mine = records.in_phase(history, phase, Operation.PRIVATE_MESSAGE)
    took = records.took_ns(history, phase, Operation.PRIVATE_MESSAGE)
    return Samples(values=took[firsts[mine]], of=firsts & mine)


def received(history: History, phase: PhaseWindow) -> PerNode:
    """Private messages a second that each node received, from its journal: each that was sent to
    it, once.
    """
    sent = history.column("operation") == Operation.PRIVATE_MESSAGE
    target = history.column("target")[sent]
    rows, mine = records.about(history, RecordKind.DELIVERED, sent)
    inside = phase.holds(mine.at_ns)
    has_arrived = np.zeros(len(target), np.bool_)
    has_arrived[rows[inside & (mine.node == target[rows])]] = True
    counts = np.bincount(target[has_arrived], minlength=len(history.nodes))
    return PerNode(
        series={node: np.array([count / phase.seconds]) for node, count in enumerate(counts)}
    )


def _routed(history: History, phase: PhaseWindow) -> Chosen:
    """Private messages that arrived and whose hops are known."""
    arrived = records.ended_ok(history, phase, Operation.PRIVATE_MESSAGE)
    return arrived & (history.column("hops") > 0)


def _stretch(history: History, phase: PhaseWindow) -> Samples:
    return Samples(values=overlay.stretch(history, _routed(history, phase)))


def _relayed(history: History, phase: PhaseWindow) -> Samples:
    hops = history.column("hops")[_routed(history, phase)]
    return Samples(values=(hops > 1).astype(np.float64))


def _burst_ns(history: History, phase: PhaseWindow) -> tuple[float, int]:
    """From the first send (until then it is the generator's time) to the last arrival of the
    phase's private messages, and their number; inf where one failed.
    """
    chosen = records.in_phase(history, phase, Operation.PRIVATE_MESSAGE)
    begun, sent = records.begun_ns(history, chosen), history.column("sent_ns")[chosen]
    took = records.took_ns(history, phase, Operation.PRIVATE_MESSAGE)
    if not len(took):
        return np.inf, 0
    return float((begun - sent.min() + took).max()), len(took)


def _burst(history: History, phase: PhaseWindow) -> Samples:
    took, count = _burst_ns(history, phase)
    return Samples(values=np.array([took] if count else []))


def _burst_each(history: History, phase: PhaseWindow) -> Samples:
    took, count = _burst_ns(history, phase)
    return Samples(values=np.array([took / count] if count else []))


def alike(history: History, phase: PhaseWindow) -> list[PhaseWindow]:
    """The phases named like this one up to the first "-"."""
    kind = phase.name.partition("-")[0]
    return [one for one in history.phases if one.name.partition("-")[0] == kind]


def _linearity(history: History, phase: PhaseWindow) -> Samples:
    """Over the phases named alike: of each size the median time a message; dearest ÷ cheapest,
    minus 1.
    """
    by_size: dict[int, list[float]] = {}
    for one in alike(history, phase):
        took, count = _burst_ns(history, one)
        if not count:
            return Samples(values=np.empty(0))
        by_size.setdefault(count, []).append(took / count)
    if len(by_size) < 2:
        return Samples(values=np.empty(0))
    times = np.array([np.median(values) for values in by_size.values()])
    return Samples(
        values=np.array([times.max() / times.min() - 1 if np.isfinite(times).all() else np.inf])
    )


def _spread_ns(history: History, phase: PhaseWindow) -> tuple[Floats, Chosen]:
    """How long each broadcast of the phase took to each node (a row a broadcast, a column a node),
    in ns from its intended time, infinite where that one never had it; and who was to have it.
    """
    chosen = records.in_phase(history, phase, Operation.BROADCAST)
    begun, sent = records.begun_ns(history, chosen), history.column("sent_ns")[chosen]
    heard = records.heard_ns(history, RecordKind.RECEIVED, chosen)
    took = (np.maximum(heard, sent[:, None]) - begun[:, None]).astype(np.float64)
    took[heard == records.NEVER] = np.inf
    return took, silences.of(history).due(history, chosen)


def _fanout(history: History, phase: PhaseWindow) -> Samples:
    chosen = records.in_phase(history, phase, Operation.BROADCAST)
    forwards = overlay.first_forwards(history, chosen)
    return Samples(values=forwards, of=_broadcasts(history, phase, np.arange(len(forwards))))


def propagation_ns(history: History, phase: PhaseWindow) -> Floats:
    """How long each broadcast of the phase took until the last of those that were to have it had
    it, in ns from its intended time: infinite where one never had it, nan where it was for nobody.
    """
    took, expected = _spread_ns(history, phase)
    last: Floats = np.where(expected, took, -np.inf).max(axis=1, initial=-np.inf)
    last[~expected.any(axis=1)] = np.nan
    return last


def _propagation(history: History, phase: PhaseWindow) -> Samples:
    last = propagation_ns(history, phase)
    some = ~np.isnan(last)
    return Samples(values=last[some], of=_broadcasts(history, phase, some))


def _delivery(history: History, phase: PhaseWindow) -> Samples:
    took, expected = _spread_ns(history, phase)
    return Samples(values=took[expected], of=_broadcasts(history, phase, np.nonzero(expected)[0]))


def _coverage(history: History, phase: PhaseWindow, within_ns: float = np.inf) -> Samples:
    """Of each broadcast the share of those who were to have it that had it in time."""
    took, expected = _spread_ns(history, phase)
    some = np.asarray(expected.any(axis=1))
    heard = (expected & np.isfinite(took) & (took <= within_ns))[some].sum(axis=1)
    share = heard / expected[some].sum(axis=1)
    return Samples(values=share, of=_broadcasts(history, phase, some))


def _broadcasts(
    history: History, phase: PhaseWindow, rows: Chosen | npt.NDArray[np.intp]
) -> npt.NDArray[np.intp] | None:
    """Which operations these rows of the phase's broadcasts are; None where two operations have
    one id, for then a record is of one or of the other.
    """
    if records.named(history).same is not None:
        return None
    return np.flatnonzero(records.in_phase(history, phase, Operation.BROADCAST))[rows]


def _goodput(history: History, phase: PhaseWindow) -> Samples:
    chosen = records.in_phase(history, phase, Operation.FILE_TRANSFER)
    took_s = records.took_ns(history, phase, Operation.FILE_TRANSFER) / 1e9
    size = history.column("payload_bytes")[chosen].astype(np.float64)
    return Samples(values=size / np.maximum(took_s, 1e-9), of=chosen)


OPERATIONS = frozenset({Part.OPERATIONS})
WITNESSED = OPERATIONS | {Part.JOURNAL}  # when it ended is the receiver's word
RECEIVED = frozenset({RecordKind.RECEIVED})

OWN: dict[str, Metric] = {
    "private_message.first_contact": Metric(
        kind="time",
        take=_first_contact,
        sentence="end-to-end, of the first message sent from each source to each target",
        needs=WITNESSED,
        whole_run=True,
    ),
    "private_message.received": Metric(
        kind="rate",
        take=received,
        sentence="private messages a second that a node received, from its journal",
        needs=WITNESSED,
        records=frozenset({RecordKind.DELIVERED}),
        by_node=True,
    ),
    "private_message.stretch": Metric(
        kind="number",
        take=_stretch,
        sentence="links passed ÷ links of the shortest path in the topology",
        needs=OPERATIONS | {Part.TOPOLOGY},
    ),
    "private_message.relayed": Metric(
        kind="share",
        take=_relayed,
        sentence="share of private messages that passed more than one link",
        needs=OPERATIONS,
    ),
    "private_message.burst": Metric(
        kind="time",
        take=_burst,
        sentence="from the first send until the last of all had arrived",
        needs=WITNESSED,
    ),
    "private_message.burst_each": Metric(
        kind="time",
        take=_burst_each,
        sentence="the burst's time ÷ its messages",
        needs=WITNESSED,
    ),
    "private_message.linearity": Metric(
        kind="share",
        take=_linearity,
        sentence="time a message in bursts of different sizes: dearest ÷ cheapest − 1",
        needs=WITNESSED,
        whole_run=True,
        over=alike,
    ),
    "broadcast.fanout": Metric(
        kind="number",
        take=_fanout,
        sentence="nodes that a broadcast's source itself sent it to, counted at the receivers",
        needs=WITNESSED,
        records=RECEIVED | {RecordKind.DUPLICATE},
    ),
    "broadcast.propagation": Metric(
        kind="time",
        take=_propagation,
        sentence="from the intended time until the last of all nodes had it",
        needs=WITNESSED,
        records=RECEIVED,
    ),
    "broadcast.delivery": Metric(
        kind="time",
        take=_delivery,
        sentence="from the intended time until each receiver had it, a sample a receiver",
        needs=WITNESSED,
        records=RECEIVED,
    ),
    "broadcast.coverage": Metric(
        kind="share",
        take=_coverage,
        take_within=_coverage,
        sentence="share of the other nodes whose journals show the broadcast",
        needs=WITNESSED,
        records=RECEIVED,
    ),
    "file_transfer.goodput": Metric(
        kind="byte rate",
        take=_goodput,
        sentence="file bytes a second, from the intended time; 0 where it failed",
        needs=WITNESSED,
    ),
}


# Which share of the operations came true, in their time.
CAME_TRUE = Names.of(
    (
        f"{spec.word}.{each.suffix}"
        for spec in TABLE
        for each in spec.metrics
        if each.taken is Taken.SHARE
    ),
    own_metrics.is_share,
)
# Metrics that an operation which failed makes lower, and those that it makes infinite.
SHARES = CAME_TRUE.also("broadcast.coverage", "file_transfer.goodput")
# Metrics whose values are how long each operation took, one by one.
LATENCIES = Names.of(
    (
        f"{spec.word}.{each.suffix}"
        for spec in TABLE
        for each in spec.metrics
        if each.taken is Taken.LATENCY
    ),
    own_metrics.is_time,
).also("broadcast.propagation")
TIMES = LATENCIES.also(
    "broadcast.delivery",
    "private_message.burst",
    "private_message.burst_each",
    "private_message.linearity",
)
# Metrics whose values are a size by how long an operation took.
SPEEDS = frozenset({"file_transfer.goodput"})


def _needs(operation: Operation, taken: Taken) -> Parts:
    """What a generic metric takes of the record: a time ends with the witness's own."""
    is_witnessed = operation.spec.ledger is not None and taken is Taken.LATENCY
    return WITNESSED if is_witnessed else OPERATIONS


def _of(operation: Operation) -> dict[str, Metric]:
    """All metrics of an operation, the generic ones first."""
    generic = {
        f"{operation.word}.{each.suffix}": Metric(
            kind=each.taken.value,
            take=GENERIC[each.taken](operation),
            sentence=each.sentence,
            needs=_needs(operation, each.taken),
        )
        for each in operation.spec.metrics
    }
    own = {name: each for name, each in OWN.items() if name.startswith(f"{operation.word}.")}
    return generic | own


OPERATION_METRICS: dict[str, Metric] = {
    name: metric for spec in TABLE for name, metric in _of(Operation(spec.number)).items()
}
# What is of one operation, one by one.
OF_OPERATIONS = Names.of(OPERATION_METRICS, own_metrics.is_of_each)

"""The load of one worker process: paces its share of all streams, follows every operation, records
how it ended.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterable
from pathlib import Path
from random import Random
from time import monotonic_ns, process_time_ns
from typing import Any

import gevent
import numpy as np

from harness.history.doubts import Doubt
from harness.load import pacer, tally
from harness.load.connections import Connections, Heard
from harness.load.flight import Flight, Keys
from harness.load.plan import RunPlan
from harness.load.record import Record
from harness.load.stream import GRACE_NS, NEVER_NS, TrafficStream
from harness.load.tally import Tally
from harness.operations import Operation, Outcome, Request, Response
from harness.operations.operation import Address, key_of
from harness.scenario import identifiers
from harness.scenario.schedule import EARLY_STREAM, SEEDS, Share, schedule, tick_ns
from harness.stats import Integers
from harness.systems import adapters

BATCH_MAX = 1_000  # sent at one wake; then receiving has its turn
BREATH_NS = 50_000  # the pause between two wakes of a pacer that is behind
GATHER_S = 0.05
REPORT_NS = 1_000_000_000
YIELD_S = 0.001  # between the parts of a report: the pacer has its turn
CATCH_UP_NS = 2_000_000_000  # a pacer that is behind at the end may still send this long
FULL_CORE = 0.9  # of one core
ABANDONED_AT_ONCE = 10_000  # never sent; then whatever waits has its turn
GC_THRESHOLD = 100_000  # objects in flight are no garbage; scanning them would stall the pacer

Report = Callable[[dict[str, Any], list[tuple[Operation, Integers]], list[str]], None]


class Worker:
    """Runs one worker's share of a plan, in gevent's loop of this process; `failed` is called
    with an error of the harness itself.
    """

    def __init__(
        self, plan: RunPlan, index: int, *, report: Report, failed: Callable[[BaseException], None]
    ) -> None:
        """`index`: this worker's number in the plan; `report` is called about once a second with
        what is new.
        """
        self._plan, self._index, self._report, self._failed = plan, index, report, failed
        self._adapter = adapters.named(plan.adapter)
        self._nodes = {node.wire_id: at for at, node in enumerate(plan.nodes)}
        # Keys of puts, and of what a system has of its own: neither reads what the other wrote.
        self._keys, self._own_keys = Keys(), Keys()
        self._record = Record(
            Path(plan.run), worker=index, workers=len(plan.workers), seed=plan.seed
        )
        self._tallies: dict[Operation, Tally] = {}
        self._news: list[Integers] = []
        self._lost_nodes: dict[int, tuple[int, str]] = {}  # since the last look: when, and why
        self._late = 0
        self._seeds: dict[bytes, Flight] = {}
        self._cpu_ns = process_time_ns()
        self._doubts: list[list[int]] = []  # as metadata.json has them
        self._before = (0, self._cpu_ns)  # blocked sends and CPU time, a second ago
        self._timer = pacer.Timer(self._pace)
        self._connections = Connections(
            [node.control for node in plan.nodes],
            self._adapter.codec,
            Heard(answered=self._answered, dropped=self._dropped, lost=self._lost, failed=failed),
        )
        self._streams = self._make_streams()
        # The phase of each stream.
        self._phases = [phase.name for phase in plan.phases for _ in phase.streams]
        self._closing = False
        self._keeping = gevent.Greenlet(self._keep)
        self._keeping.link_exception(lambda ended: self._failed(ended.exception))

    def start(self) -> None:
        """Begin: put keys for gets to read, then wait for t0 and send what is due."""
        gc.collect()
        gc.freeze()
        gc.set_threshold(GC_THRESHOLD, 50, 100)
        if any(_reads_puts(stream.operation) for stream in self._streams):
            self._seed()
        self._timer.set(monotonic_ns())
        self._keeping.start()

    def end_phase(self, phase: str, at_ns: int) -> None:
        """End a phase at a moment ahead, for its condition held; later ones follow it at once."""
        self._plan = self._plan.ended(phase, at_ns)
        names = [one.name for one in self._plan.phases]
        for number, moved in enumerate(self._make_streams()):
            name = self._phases[number]
            if name == phase:
                self._streams[number].stop(at_ns)
            elif names.index(name) > names.index(phase):  # nothing of it was due yet
                self._streams[number] = moved
        self._timer.set(monotonic_ns())

    def finish(self, at_ns: int, wait_s: float) -> dict[str, Any]:
        """Stop at `at_ns`, wait at most `wait_s` for answers, close the record; the final
        report.
        """
        for stream in self._streams:
            stream.stop(at_ns)
        catch_up_ns = at_ns + min(round(wait_s * 1e9), CATCH_UP_NS)
        self._wait(
            lambda: all(stream.next_due_ns == NEVER_NS for stream in self._streams), catch_up_ns
        )
        self._timer.stop()
        self._connections.ready.watch(on=True)  # nobody else receives from here on
        for stream in self._streams:
            while stream.abandon(ABANDONED_AT_ONCE):
                self._gather()
                gevent.sleep(YIELD_S)
        self._wait(
            lambda: not any(stream.in_flight for stream in self._streams),
            at_ns + round(wait_s * 1e9) + GRACE_NS,
        )
        self._connections.close("the load ended before an answer came")
        self._lose()
        self._closing = True
        self._keeping.join()
        self._timer.close()
        self._gather()
        self._record.close()
        facts = self._publish()
        gc.unfreeze()
        return facts | {"stopped_ns": at_ns}

    def _wait(self, done: Callable[[], bool], until_ns: int) -> None:
        while not done() and monotonic_ns() < until_ns:
            gevent.sleep(0.01)

    def _make_streams(self) -> list[TrafficStream]:
        plan = self._plan
        wire_ids = tuple(node.wire_id for node in plan.nodes)
        streams: list[TrafficStream] = []
        for number, (phase, (start_ns, end_ns)) in enumerate(
            zip(plan.phases, plan.bounds_ns(), strict=True)
        ):
            for position, stream in enumerate(phase.streams):
                share = Share(
                    seed=plan.seed,
                    phase=number,
                    stream=position,
                    worker=self._index,
                    workers=len(plan.workers),
                )
                streams.append(
                    TrafficStream(
                        stream,
                        schedule(stream, plan.names, share, start_ns, end_ns),
                        prefix=self._prefix(len(streams)),
                        id_key=plan.id_key,
                        wire_ids=wire_ids,
                        keys=self._own_keys if stream.operation.is_own else self._keys,
                        ended=self._ended,
                        filler=Random(plan.seed).randbytes(stream.payload_bytes),
                    )
                )
        return streams

    def _prefix(self, stream: int) -> bytes:
        return identifiers.prefix(self._plan.salt, self._index, stream)

    def _seed(self) -> None:
        chance = Random(f"{self._plan.seed} {self._index} keys")
        now_ns = monotonic_ns()
        prefix = self._prefix(EARLY_STREAM)
        for id_ in identifiers.ids(self._plan.id_key, prefix, np.arange(SEEDS)):
            value = id_ + id_  # some systems are told the first half of it, as text: the whole id
            node = chance.randrange(len(self._plan.nodes))
            flight = Flight(
                id_,
                Operation.DHT_PUT,
                node,
                -1,
                len(value),
                now_ns,
                self._plan.t0_ns,
                key=key_of(id_),
            )
            self._seeds[id_] = flight
            request = Request(id_, Operation.DHT_PUT, flight.key, value, 5_000)
            self._connections.to(node).send([request], [flight])

    def _pace(self) -> None:
        """Receive what is there, send what is due, and have the timer call again for the next."""
        try:
            ready = self._connections.ready
            ready.serve()
            now_ns = monotonic_ns()
            for stream in self._streams:
                if stream.next_due_ns <= now_ns:
                    for node, (requests, flights) in stream.take(now_ns, BATCH_MAX).items():
                        self._connections.to(node).send(requests, flights)
            first_ns = min((each.next_due_ns for each in self._streams), default=NEVER_NS)
            if first_ns == NEVER_NS:
                ready.watch(on=True)
                self._timer.stop()
                return
            waits_ns = self._tick_ns(first_ns)
            # Where a wake comes soon anyway, it receives too.
            ready.watch(on=first_ns > now_ns + waits_ns)
            self._timer.set(max(first_ns + waits_ns, monotonic_ns() + BREATH_NS))
        except Exception as error:  # of any kind: the loop would print it and call again
            self._timer.stop()
            self._failed(error)

    def _tick_ns(self, first_ns: int) -> int:
        """How long what is due first may wait for others."""
        late_ns = self._plan.late_ns
        soon = (each for each in self._streams if each.next_due_ns <= first_ns + late_ns)
        return tick_ns(sum(each.rate_per_s for each in soon), late_ns)

    def _keep(self) -> None:
        reported_ns = monotonic_ns()
        while not self._closing:
            gevent.sleep(GATHER_S)
            now_ns = monotonic_ns()
            self._connections.expire(now_ns)
            for stream in self._streams:
                stream.expire(now_ns)
            self._lose()
            self._gather()
            if now_ns - reported_ns >= REPORT_NS:
                self._doubt(reported_ns, now_ns)
                reported_ns = now_ns
                self._record.write()
                gevent.sleep(YIELD_S)
                self._publish()
        self._doubt(reported_ns, monotonic_ns())

    def _doubt(self, begin_ns: int, end_ns: int) -> None:
        """Note a second, or the last part of one, in which this worker was late, blocked, or had no
        more CPU to use.
        """
        cpu_ns, blocked = process_time_ns(), self._connections.blocked
        noted = Doubt(
            worker=self._index,
            begin_ns=begin_ns,
            end_ns=end_ns,
            stalled_ns=self._timer.late_ns,
            blocked=blocked - self._before[0],
            cpu_ns=cpu_ns - self._before[1],
        )
        self._timer.late_ns, self._before = 0, (blocked, cpu_ns)
        doubtful = noted.blocked or noted.cores >= FULL_CORE
        if doubtful or noted.stalled_ns > self._plan.late_ns:
            self._doubts.append(noted.as_row())

    def _gather(self) -> None:
        rows = self._record.gather()
        if len(rows):
            self._news.append(rows)

    def _publish(self) -> dict[str, Any]:
        news: list[tuple[Operation, Integers]] = []
        if self._news:
            news = list(tally.split(np.concatenate(self._news), self._plan.kinds))
            self._news = []
        for operation, rows in news:
            self._tallies.setdefault(operation, Tally()).add(rows)
            gevent.sleep(YIELD_S)
        for tallied in self._tallies.values():
            tallied.forget_in_flight()
        for stream in self._streams:
            tallied = self._tallies.setdefault(stream.operation, Tally())
            for due_ns in stream.due_ns():
                tallied.count_in_flight(due_ns, monotonic_ns())
                gevent.sleep(YIELD_S)
        facts = {
            "worker": self._index,
            "blocked": self._connections.blocked,
            "late_answers": self._late,
            "cpu_ns": process_time_ns() - self._cpu_ns,
            "doubts": self._doubts if self._closing else [],  # a day's worth is told once
            "operations": {
                operation.word: tallied.to_wire() for operation, tallied in self._tallies.items()
            },
        }
        self._report(facts, news, self._record.errors)
        return facts

    def _answered(self, responses: list[Response]) -> None:
        for response in responses:
            stream = self._stream_of(response.id)
            if stream is not None:
                self._late += not stream.answer(response)
            elif (flight := self._seeds.pop(response.id, None)) and response.outcome is Outcome.OK:
                assert flight.key is not None
                self._keys.add(flight.key, flight.source)
                self._record.note(flight, None)

    def _stream_of(self, id_: bytes) -> TrafficStream | None:
        number = int.from_bytes(id_[10:12], "little")
        return self._streams[number] if number < len(self._streams) else None

    def _dropped(self, flights: Iterable[Flight], why: str) -> None:
        for flight in flights:
            stream = self._stream_of(flight.id)
            if stream is not None:
                stream.drop(flight, why)

    def _lost(self, node: int, why: str) -> None:
        self._lost_nodes[node] = monotonic_ns(), why

    def _lose(self) -> None:
        """End what was sent to nodes whose connections were lost: of many nodes at once, for it
        takes a look at all that is in flight.
        """
        lost, self._lost_nodes = self._lost_nodes, {}
        for stream in self._streams if lost else ():
            stream.lose(lost)

    def _ended(
        self, flight: Flight, outcome: Outcome, response: Response | None, error: str | None
    ) -> None:
        if flight.key is not None:
            self._record.note(flight, None if response is None else response.value)
        if response is None:
            self._record.add(flight, outcome, error=error)
            return
        by = -1 if response.answered_by is None else self._nodes.get(response.answered_by, -1)
        self._record.add(
            flight,
            outcome,
            done_ns=response.done_ns,
            hops=response.hops,
            answered_by=by,
            error=error,
        )


def _reads_puts(operation: Operation) -> bool:
    """Whether it reads what puts wrote, some of which is there before the clock starts."""
    return operation.spec.to is Address.STORED_KEY and not operation.is_own

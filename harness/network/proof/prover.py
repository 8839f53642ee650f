"""Whether faults are what they are said to be: read back from the kernel, probed from inside the
nodes, counted over the run's traffic.

Believes no injector. Probes (harness/probe) are datagrams and streams between sockets that stand in
the nodes' own namespaces. Loss and rates are shown by the rule's own counters over whatever passed;
where too little passed, that is said and nothing is claimed.
"""

from __future__ import annotations

import math
import random
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from statistics import median

from harness.faults.fault import Fault, NetworkState
from harness.network.injectors.compiler import in_class
from harness.network.injectors.qdisc import Limit
from harness.network.network import Change, Network
from harness.network.proof.datagrams import Prober
from harness.network.proof.streams import stream
from harness.topology.impairment import CLEAR, Impairment, fold_two

BASELINE_PATHS = 4  # of what is always there, at each look
PATHS_MAX = 24  # of a big fault, a seeded sample
STREAMS_MAX = 3  # of them, paths with a stream fault, at each look
PROBES = 10  # to each path after a change
SETTLE_S = 0.25  # for the last probe to arrive, beside the delay itself
LOOK_EVERY_S = 2.0  # what stands is read back and probed again this often
DELAY_TOLERANCE_MS, DELAY_TOLERANCE = 5.0, 0.10
QUEUE_MS = 120.0  # a saturated rate adds its queue (50 ms at most, and one packet)
SIGNIFICANCE = 1e-3  # of a false alarm in a run, over all paths and looks together
LOOKS_MAX = 10_000
RATE_TOLERANCE = 0.05
BURST_BYTES = 200_000  # at once, at a gigabit; nothing at the rates that people ask for
PACKETS_LEAST = 30  # expected losses below this show no amount


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """One thing that was looked at. `answer`: in force, not in force, gone, not gone, amount not
    shown.
    """

    at_ns: int
    fault: str
    path: tuple[str, str] | None
    # read back, cut, flows, delay, loss, rate up|down|into, clear, toxic KIND DIRECTION, stream
    what: str
    asked: float | None  # ms, probability, bit/s, a toxic's own unit; None where it is no amount
    achieved: float | None
    n: int
    tolerance: float | None
    backend: str
    answer: str
    sentence: str = ""


def _plausible(count: int, of: int, share: float) -> bool:
    """Whether so many of so many come about by chance where each does with this probability: both
    tails of the binomial distribution.
    """
    chances = [math.comb(of, k) * share**k * (1 - share) ** (of - k) for k in range(of + 1)]
    return min(sum(chances[: count + 1]), sum(chances[count:])) > SIGNIFICANCE / LOOKS_MAX


class Prover:
    """Looks at every change while a run is recorded, again every two seconds, and writes what it
    saw. A thread of its own.
    """

    def __init__(
        self,
        network: Network,
        prober: Prober,
        seed: int,
        write: Callable[[dict[str, object]], None],
        failed: Callable[[str], None],
        idle: Callable[[], bool] = lambda: False,
        *,
        planned: bool = False,
    ) -> None:
        """`idle`: whether nothing is sent now; then what stands is read back and not probed.
        `planned`: whether faults will come.
        """
        self._network, self._prober, self._write, self._failed, self._idle = (
            network,
            prober,
            write,
            failed,
            idle,
        )
        self._planned = planned
        self._random = random.Random(f"{seed}/proof")
        self._changes: list[Change] = []
        self._history: list[Change] = []
        self._looked = False  # whether there was anything to look at in this run
        self._sent: tuple[int, dict[Limit, int]] = (
            time.monotonic_ns(),
            {},
        )  # when rates were last looked at
        self._aside = ThreadPoolExecutor(1, "streams")
        self._looking: Future[None] | None = None
        self._news, self._stop = threading.Event(), threading.Event()
        self._thread = threading.Thread(
            target=self._guarded, args=(self._run,), name="prover", daemon=True
        )
        self._thread.start()

    def changed(self, change: Change) -> None:
        """The network changed."""
        self._history.append(change)
        self._changes.append(change)
        self._news.set()

    def close(self) -> None:
        """Look once more, then stop."""
        self._stop.set()
        self._news.set()
        self._thread.join()
        self._aside.shutdown()
        self._prober.close()

    def _guarded(self, act: Callable[[], None]) -> None:
        try:
            act()
        except Exception as error:  # a proof that breaks off must not look like one that was given
            self._failed(f"proof: {type(error).__name__}: {error}")

    def _run(self) -> None:
        while not self._stop.is_set():
            self._news.wait(LOOK_EVERY_S)
            self._news.clear()
            changes, self._changes = self._changes, []
            for change in changes:
                self._prove(change)
            if not changes and (self._network.faults or self._network.baseline):
                self._look_again()
            elif not changes and self._planned and not self._looked and not self._idle():
                self._look_before()
        for change in self._changes:
            self._prove(change)
        if self._looked:
            self._look_again()

    def _prove(self, change: Change) -> None:
        """Just changed: read back, and probe paths of the fault in the state that is asked for
        now.
        """
        self._looked = True
        self._read_back(change.fault.name)
        self._probe(
            change.fault, change.fault.some(self._random, PATHS_MAX), gone=change.verb == "clear"
        )

    def _look_before(self) -> None:
        """No fault was set yet: nothing is there, and nobody else made the network bad."""
        self._looked = True
        self._read_back("before")
        names = [node.name for node in self._network.nodes]
        self._probe(
            Fault(name="before"),
            sorted({(a, b) for a, b in (self._random.sample(names, 2) for _ in range(PATHS_MAX))})
            if len(names) > 1
            else [],
        )

    def _look_again(self) -> None:
        self._looked = True
        self._read_back("all")
        self._losses()
        self._rates()
        if self._idle():
            return
        standing = (
            [
                (a.name, b.name)
                for a in self._network.nodes
                for b in self._network.nodes
                if a is not b and self._network.baseline_of((a.name, b.name)) != CLEAR
            ]
            if self._network.baseline
            else []
        )
        if standing:
            self._probe(
                Fault(name="baseline"),
                self._random.sample(standing, min(len(standing), BASELINE_PATHS)),
                again=True,
            )
        chosen = [
            (fault, path)
            for fault in list(self._network.faults.values())
            for path in fault.some(self._random, 1)
        ]
        for fault, path in chosen[:PATHS_MAX]:
            self._probe(fault, [path], again=True)

    def _read_back(self, fault: str) -> None:
        for injector, why in self._network.agrees().items():
            self._say(
                fault,
                None,
                "read back",
                backend=injector,
                answer="not in force" if why else "in force",
                sentence=why,
            )

    def _probe(
        self, fault: Fault, paths: list[tuple[str, str]], *, gone: bool = False, again: bool = False
    ) -> None:
        if not paths:
            return
        begun_ns, state = time.monotonic_ns(), self._network.now
        asked = {path: self._asked(state, path) for path in paths}
        wait_s = SETTLE_S + max(what.delay_ms + what.jitter_ms for what in asked.values()) / 1e3
        counted = self._network.counters()
        dialled = [
            path
            for path in paths
            if (asked[path].toxics or fault.impairment.toxics) and not self._closed(state, path)
        ][:STREAMS_MAX]
        if dialled and (not again or self._looking is None or self._looking.done()):
            self._looking = self._aside.submit(
                self._guarded, lambda: self._streams(fault.name, dialled, gone=gone)
            )
        arrived = self._prober.probe(paths, PROBES, wait_s, self._stop)
        for path, delays in arrived.items():
            if not self._changed_since(begun_ns, path):  # else the next look is about that
                self._judge(fault.name, path, asked[path], delays, gone=gone)
        if fault.flows and not gone:
            self._say_flows(fault, self._network.counters().get("old", 0) - counted.get("old", 0))

    def _changed_since(self, begun_ns: int, path: tuple[str, str]) -> bool:
        """Whether a change that has to do with a path came, or may have, since then. Waits for one
        that is under way.
        """
        self._network.settle()
        return any(
            change.at_ns >= begun_ns
            and (change.fault.touches(*path) or change.fault.touches(*path[::-1]))
            for change in reversed(self._history)
        )

    def _closed(self, state: NetworkState, path: tuple[str, str]) -> bool:
        """Whether no new stream can be made on a path."""
        ways = (state.of(*path), state.of(*path[::-1]))
        return any(what.blocked or what.refuses_new for what in ways)

    def _streams(self, fault: str, paths: Sequence[tuple[str, str]], *, gone: bool) -> None:
        """Dial on these paths, one after the other, beside the probes: a stream may take seconds to
        end.
        """
        for path in paths:
            begun_ns, state = time.monotonic_ns(), self._network.now
            source, target = (self._network.wires[name] for name in path)
            below = {
                "upstream": self._asked(state, path),
                "downstream": self._asked(state, path[::-1]),
            }
            seen = stream(
                (source.namespace, target.namespace),
                target.address,
                below["upstream"].toxics,
                below,
            )
            if self._changed_since(begun_ns, path):
                continue
            narrow = bool(state.up or state.down) or any(
                what.rate_bps or what.loss for what in below.values()
            )
            answers = {
                "in force": "gone",
                "not in force": "not gone",
                "amount not shown": "amount not shown" if narrow else "not gone",
            }
            healed = gone and not below["upstream"].toxics
            for one in seen:
                self._say(
                    fault,
                    path,
                    one.what,
                    asked=one.asked,
                    achieved=one.achieved,
                    tolerance=one.tolerance,
                    n=1,
                    backend="toxiproxy",
                    answer=answers[one.answer] if healed else one.answer,
                    sentence=one.sentence,
                )

    def _say_flows(self, fault: Fault, dropped: int) -> None:
        """Connections that existed are cut: what they try to send is counted where it is
        dropped.
        """
        answer = "in force" if dropped else "amount not shown"
        self._say(
            fault.name,
            None,
            "flows",
            n=dropped,
            backend="nftables",
            answer=answer,
            sentence=f"{len(fault.flows) // 2:,} connections, {dropped:,} of their packets "
            "dropped meanwhile",
        )

    def _asked(self, state: NetworkState, path: tuple[str, str]) -> Impairment:
        what = state.of(*path)
        return what if path in state.paths else fold_two(self._network.baseline_of(path), what)

    def _judge(
        self,
        fault: str,
        path: tuple[str, str],
        asked: Impairment,
        delays: list[float],
        *,
        gone: bool,
    ) -> None:
        yes, no = ("gone", "not gone") if gone else ("in force", "not in force")
        backends = self._network.backends
        if asked.blocked or asked.refuses_new:
            self._say(
                fault,
                path,
                "cut",
                n=PROBES,
                achieved=float(len(delays)),
                backend="nftables",
                answer="not in force" if delays else "in force",
                sentence=f"{len(delays)} of {PROBES} probes crossed",
            )
            return
        if not delays:
            lost = (asked.loss or 0.0) ** PROBES  # all of them by chance
            if lost < SIGNIFICANCE / LOOKS_MAX:
                self._say(
                    fault,
                    path,
                    "clear" if asked == CLEAR else "delay",
                    n=PROBES,
                    backend="nftables",
                    answer=no,
                    sentence="no probe arrived on a path that is not cut",
                )
            return
        held = [
            delay for delay in delays if not asked.reorder or delay >= asked.delay_ms / 2
        ]  # the others overtook
        if asked.reorder and not _plausible(len(delays) - len(held), len(delays), asked.reorder):
            self._say(
                fault,
                path,
                "reorder",
                asked=asked.reorder,
                achieved=1 - len(held) / len(delays),
                n=len(delays),
                backend=backends.get("reorder", ""),
                answer=no,
                sentence=f"{len(delays) - len(held)} of {len(delays)} probes overtook",
            )
            return
        if not held:
            return
        middle, tolerance = (
            median(held),
            max(DELAY_TOLERANCE_MS, DELAY_TOLERANCE * asked.delay_ms)
            + asked.jitter_ms / math.sqrt(len(held)) * 3,
        )
        narrow = asked.rate_bps is not None or self._network.state.up or self._network.state.down
        late = tolerance + (QUEUE_MS if narrow else 0.0)
        within = -tolerance <= middle - asked.delay_ms <= late
        self._say(
            fault,
            path,
            "delay" if asked.delay_ms else "clear",
            asked=asked.delay_ms,
            achieved=middle,
            n=len(held),
            tolerance=tolerance,
            backend=backends.get("delay", ""),
            answer=yes if within else no,
            sentence=""
            if within
            else f"the median of {len(held)} probes took {middle:.1f} ms, asked are "
            f"{asked.delay_ms:g} ms",
        )

    def _rates(self) -> None:
        """No rate may let more through than it is; one that came near it shows the amount."""
        (before_ns, before), sent = self._sent, self._network.sent()
        now_ns = time.monotonic_ns()
        self._sent = now_ns, sent
        for limit in sent.keys() & before.keys():
            passed, seconds = sent[limit] - before[limit], (now_ns - before_ns) / 1e9
            if passed < 0:
                continue  # it was made anew
            achieved, tolerance = (
                8 * passed / seconds,
                RATE_TOLERANCE * limit.rate_bps + 8 * BURST_BYTES / seconds,
            )
            answer = (
                "not in force"
                if achieved > limit.rate_bps + tolerance
                else "in force"
                if achieved > limit.rate_bps / 2
                else "amount not shown"
            )
            node = self._network.nodes[limit.node].name
            for name in self._limiting(limit, node):
                self._say(
                    name,
                    None,
                    f"rate {limit.which}",
                    asked=float(limit.rate_bps),
                    achieved=achieved,
                    n=passed,
                    tolerance=tolerance,
                    backend="qdisc",
                    answer=answer,
                    sentence=f"{achieved / 1e6:.3f} of {limit.rate_bps / 1e6:g} Mbit/s passed "
                    f"{limit.which} at {node}",
                )

    def _limiting(self, limit: Limit, node: str) -> list[str]:
        """Names of the faults that a rate is from."""
        if limit.which != "into":
            return [
                fault.name
                for fault in list(self._network.faults.values())
                if node in (fault.up if limit.which == "up" else fault.down)
            ]
        what = self._network.compiled.classes.get(limit.number)
        return self._behind(what, "rate_bps") if what is not None else []

    def _losses(self) -> None:
        """The classes' own counters over what passed since they were made."""
        counters = self._network.counters()
        for number, what in self._network.compiled.classes.items():
            if not what.loss:
                continue
            seen, lost = (counters.get(f"{name}{number}", 0) for name in ("in", "lost"))
            few = seen * min(what.loss, 1 - what.loss) < PACKETS_LEAST
            achieved = lost / seen if seen else 0.0
            tolerance = 6.0 * math.sqrt(
                what.loss * (1 - what.loss) / max(seen, 1)
            )  # 2·10⁻⁹ two-sided: far below 10⁻³ over LOOKS_MAX looks
            answer = (
                "amount not shown"
                if few
                else "in force"
                if abs(achieved - what.loss) <= tolerance
                else "not in force"
            )
            for name in self._behind(what, "loss"):
                self._say(
                    name,
                    None,
                    "loss",
                    asked=what.loss,
                    achieved=achieved,
                    n=seen,
                    tolerance=tolerance,
                    backend="nftables",
                    answer=answer,
                    sentence=f"{lost:,} of {seen:,} packets were lost, asked is {what.loss:.3%}",
                )

    def _behind(self, what: Impairment, word: str) -> list[str]:
        """Names of the faults that a class has its `word` from; of the baseline where it is
        none's.
        """
        state = self._network.state
        return (
            [
                fault.name
                for fault in list(self._network.faults.values())
                if getattr(fault.impairment, word)
                and any(
                    in_class(state.of(*path)) == what
                    for path in fault.some(self._random, PATHS_MAX)
                )
            ]
            or [
                fault.name
                for fault in list(self._network.faults.values())
                if getattr(fault.impairment, word)
            ]
            or ["baseline"]
        )

    def _say(
        self,
        fault: str,
        path: tuple[str, str] | None,
        what: str,
        *,
        asked: float | None = None,
        achieved: float | None = None,
        n: int = 0,
        tolerance: float | None = None,
        backend: str,
        answer: str,
        sentence: str = "",
    ) -> None:
        self._write(
            asdict(
                Proof(
                    at_ns=time.monotonic_ns(),
                    fault=fault,
                    path=path,
                    what=what,
                    asked=asked,
                    achieved=achieved,
                    n=n,
                    tolerance=tolerance,
                    backend=backend,
                    answer=answer,
                    sentence=sentence,
                )
            )
        )

"""Whether faults are what they are said to be: read back from the kernel, probed from inside the nodes, counted over the run's traffic.

Believes no injector. Probes are UDP datagrams between sockets that stand in the nodes' own namespaces, both ends in this process
and on one clock, so delay and loss are one-way and the system under test never sees them. Loss is shown by the rule's
own counters over whatever passed; where too little passed, that is said and nothing is claimed.
"""

from __future__ import annotations

import math
import random
import select
import socket
import struct
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from statistics import median

from harness.fault import CLEAR, Impairment, NetworkState, fold_two
from harness.kernel.namespaces import open_socket
from harness.network import Change, Network

PORT = 61_000                       # outside the ephemeral ports
SO_TIMESTAMPNS = 35
PROBE = struct.Struct("=IIIQ")      # sequence, source, target, sent (CLOCK_REALTIME ns, as the kernel stamps)
BASELINE_PATHS = 4                  # of what is always there, at each look
PATHS_MAX = 24                      # of a big fault, a seeded sample
PROBES = 10                         # to each path after a change
PROBE_GAP_S = 0.05                  # 20 a second
SETTLE_S = 0.25                     # for the last probe to arrive, beside the delay itself
LOOK_EVERY_S = 2.0                  # what stands is read back and probed again this often
DELAY_TOLERANCE_MS, DELAY_TOLERANCE = 5.0, 0.10
QUEUE_MS = 120.0                    # a saturated rate adds its queue (50 ms at most, and one packet)
SIGNIFICANCE = 1e-3                 # of a false alarm in a run, over all paths and looks together
LOOKS_MAX = 10_000
RATE_TOLERANCE = 0.05
BURST_BYTES = 200_000               # at once, at a gigabit; nothing at the rates that people ask for
PACKETS_LEAST = 30                  # expected losses below this show no amount


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """One thing that was looked at. `answer`: in force, not in force, gone, not gone, amount not shown."""

    at_ns: int
    fault: str
    path: tuple[str, str] | None
    what: str                       # read back, cut, delay, loss, clear
    asked: float | None             # ms, probability; None where it is no amount
    achieved: float | None
    n: int
    tolerance: float | None
    backend: str
    answer: str
    sentence: str = ""


class Prober:
    """Sends and receives probes between nodes. Sockets are made when a node is first probed."""

    def __init__(self, namespaces: Mapping[str, int], addresses: Mapping[str, str]) -> None:
        self._namespaces, self._addresses = namespaces, addresses
        self._names = list(addresses)
        self._index = {name: index for index, name in enumerate(self._names)}
        self._sockets: dict[str, socket.socket] = {}
        self._by_descriptor: dict[int, socket.socket] = {}
        self._epoll = select.epoll()
        self._sequence = 0

    def probe(self, paths: list[tuple[str, str]], count: int, wait_s: float, stop: threading.Event) -> dict[tuple[str, str], list[float]]:
        """Send `count` probes on each path; the one-way delays in ms of those that arrived, within `wait_s` of the last."""
        found: dict[tuple[str, str], list[float]] = {path: [] for path in paths}
        first = self._sequence
        for _ in range(count):
            self._sequence += 1
            for source, target in paths:
                with suppress(OSError):
                    self._socket(target)
                    data = PROBE.pack(self._sequence & 0xFFFFFFFF, self._index[source], self._index[target], time.time_ns())
                    self._socket(source).sendto(data, (self._addresses[target], PORT))
            self._receive(time.monotonic() + PROBE_GAP_S, first, found)
            if stop.is_set():
                return found
        self._receive(time.monotonic() + wait_s, first, found)
        return found

    def close(self) -> None:
        """Close the sockets."""
        for one in self._sockets.values():
            one.close()
        self._epoll.close()

    def _socket(self, node: str) -> socket.socket:
        if node not in self._sockets:
            made = open_socket(self._namespaces[node], socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
            made.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
            made.bind((self._addresses[node], PORT))
            self._sockets[node] = self._by_descriptor[made.fileno()] = made
            self._epoll.register(made.fileno(), select.EPOLLIN)
        return self._sockets[node]

    def _receive(self, until_s: float, first: int, found: dict[tuple[str, str], list[float]]) -> None:
        while (left_s := until_s - time.monotonic()) > 0:
            for descriptor, _ in self._epoll.poll(left_s):
                with suppress(BlockingIOError):
                    while True:
                        data, ancillary, _, _ = self._by_descriptor[descriptor].recvmsg(64, 64)
                        if len(data) != PROBE.size or not ancillary:
                            continue
                        seconds, nanoseconds = struct.unpack("qq", ancillary[0][2])
                        sequence, source, target, sent_ns = PROBE.unpack(data)
                        if sequence > first:
                            found[self._names[source], self._names[target]].append((seconds * 10**9 + nanoseconds - sent_ns) / 1e6)


class Prover:
    """Looks at every change while a run is recorded, again every two seconds, and writes what it saw. A thread of its own."""

    def __init__(
        self, network: Network, prober: Prober, seed: int, write: Callable[[dict[str, object]], None], failed: Callable[[str], None],
        idle: Callable[[], bool] = lambda: False,
    ) -> None:
        """`idle`: whether nothing is sent now; then what stands is read back and not probed."""
        self._network, self._prober, self._write, self._failed, self._idle = network, prober, write, failed, idle
        self._random = random.Random(f"{seed}/proof")
        self._changes: list[Change] = []
        self._looked = False                              # whether there was anything to look at in this run
        self._sent: tuple[int, dict[tuple[int, int], int]] = (time.monotonic_ns(), {})      # when rates were last looked at
        self._news, self._stop = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._guarded, name="prover", daemon=True)
        self._thread.start()

    def changed(self, change: Change) -> None:
        """The network changed."""
        self._changes.append(change)
        self._news.set()

    def close(self) -> None:
        """Look once more, then stop."""
        self._stop.set()
        self._news.set()
        self._thread.join()
        self._prober.close()

    def _guarded(self) -> None:
        try:
            self._run()
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
        for change in self._changes:
            self._prove(change)
        if self._looked:
            self._look_again()

    def _prove(self, change: Change) -> None:
        """Just changed: read back, and probe paths of the fault in the state that is asked for now."""
        self._looked = True
        self._read_back(change.fault.name)
        self._probe(change.fault.name, change.fault.some(self._random, PATHS_MAX), gone=change.verb == "clear")

    def _look_again(self) -> None:
        self._looked = True
        self._read_back("all")
        self._losses()
        self._rates()
        if self._idle():
            return
        standing = [(a.name, b.name) for a in self._network.nodes for b in self._network.nodes if a is not b and self._network.baseline_of((a.name, b.name)) != CLEAR] if self._network.baseline else []
        if standing:
            self._probe("baseline", self._random.sample(standing, min(len(standing), BASELINE_PATHS)), gone=False)
        chosen = [(fault.name, path) for fault in list(self._network.faults.values()) for path in fault.some(self._random, 1)]
        for name, path in chosen[:PATHS_MAX]:
            self._probe(name, [path], gone=False)

    def _read_back(self, fault: str) -> None:
        for injector, why in self._network.agrees().items():
            self._say(fault, None, "read back", backend=injector, answer="not in force" if why else "in force", sentence=why)

    def _probe(self, fault: str, paths: list[tuple[str, str]], *, gone: bool) -> None:
        if not paths:
            return
        state = self._network.state
        asked = {path: self._asked(state, path) for path in paths}
        wait_s = SETTLE_S + max(what.delay_ms + what.jitter_ms for what in asked.values()) / 1e3
        state_then = self._network.compiled
        arrived = self._prober.probe(paths, PROBES, wait_s, self._stop)
        if self._network.compiled is not state_then:
            return                                        # it changed meanwhile: the next look is about that
        for path, delays in arrived.items():
            self._judge(fault, path, asked[path], delays, gone=gone)

    def _asked(self, state: NetworkState, path: tuple[str, str]) -> Impairment:
        what = state.of(*path)
        return what if path in state.paths else fold_two(self._network.baseline_of(path), what)

    def _judge(self, fault: str, path: tuple[str, str], asked: Impairment, delays: list[float], *, gone: bool) -> None:
        yes, no = ("gone", "not gone") if gone else ("in force", "not in force")
        backends = self._network.backends
        if asked.toxics:
            self._say(fault, path, "toxic", n=0, backend="toxiproxy", answer="amount not shown", sentence="read back from the proxy; no stream of the probes' own")
        if asked.blocked or asked.half_open:
            self._say(fault, path, "cut", n=PROBES, achieved=float(len(delays)), backend="nftables", answer="not in force" if delays else "in force", sentence=f"{len(delays)} of {PROBES} probes crossed")
            return
        if not delays:
            lost = (asked.loss or 0.0) ** PROBES          # all of them by chance
            if lost < SIGNIFICANCE / LOOKS_MAX:
                self._say(fault, path, "clear" if asked == CLEAR else "delay", n=PROBES, backend="nftables", answer=no, sentence="no probe arrived on a path that is not cut")
            return
        middle, tolerance = median(delays), max(DELAY_TOLERANCE_MS, DELAY_TOLERANCE * asked.delay_ms) + asked.jitter_ms / math.sqrt(max(len(delays), 1)) * 3
        narrow = asked.rate_bps is not None or self._network.state.up or self._network.state.down
        late = tolerance + (QUEUE_MS if narrow else 0.0)
        within = -tolerance <= middle - asked.delay_ms <= late
        self._say(
            fault, path, "delay" if asked.delay_ms else "clear", asked=asked.delay_ms, achieved=middle, n=len(delays), tolerance=tolerance, backend=backends.get("delay", ""),
            answer=yes if within else no, sentence="" if within else f"the median of {len(delays)} probes took {middle:.1f} ms, asked are {asked.delay_ms:g} ms",
        )

    def _rates(self) -> None:
        """No class may let more through than its rate; one that came near it shows the amount."""
        (before_ns, before), sent = self._sent, self._network.sent_bytes()
        now_ns = time.monotonic_ns()
        self._sent = now_ns, sent
        for (node, number), total in sent.items():
            what = self._network.compiled.classes.get(number)
            if (node, number) not in before or what is None or what.rate_bps is None or total < before[node, number]:
                continue
            seconds = (now_ns - before_ns) / 1e9
            achieved = 8 * (total - before[node, number]) / seconds
            tolerance = RATE_TOLERANCE * what.rate_bps + 8 * BURST_BYTES / seconds
            answer = "not in force" if achieved > what.rate_bps + tolerance else "in force" if achieved > what.rate_bps / 2 else "amount not shown"
            self._say(
                f"rate into {self._network.nodes[node].name}", None, "rate", asked=float(what.rate_bps), achieved=achieved, n=total - before[node, number], tolerance=tolerance,
                backend="qdisc", answer=answer, sentence=f"{achieved / 1e6:.3f} of {what.rate_bps / 1e6:g} Mbit/s passed",
            )

    def _losses(self) -> None:
        """The classes' own counters over what passed since they were made."""
        counters = self._network.counters()
        for number, what in self._network.compiled.classes.items():
            if not what.loss:
                continue
            seen, lost = (counters.get(f"{name}{number}", 0) for name in ("in", "lost"))
            if seen * min(what.loss, 1 - what.loss) < PACKETS_LEAST:
                self._say(f"loss {what.loss:g}", None, "loss", asked=what.loss, n=seen, backend="nftables", answer="amount not shown", sentence=f"{seen} packets passed")
                continue
            deviation = math.sqrt(what.loss * (1 - what.loss) / seen)
            tolerance = 6.0 * deviation                   # 2·10⁻⁹ two-sided: far below 10⁻³ over LOOKS_MAX looks
            within = abs(lost / seen - what.loss) <= tolerance
            self._say(f"loss {what.loss:g}", None, "loss", asked=what.loss, achieved=lost / seen, n=seen, tolerance=tolerance, backend="nftables", answer="in force" if within else "not in force")

    def _say(
        self, fault: str, path: tuple[str, str] | None, what: str, *, asked: float | None = None, achieved: float | None = None, n: int = 0,
        tolerance: float | None = None, backend: str, answer: str, sentence: str = "",
    ) -> None:
        self._write(asdict(Proof(
            at_ns=time.monotonic_ns(), fault=fault, path=path, what=what, asked=asked, achieved=achieved, n=n, tolerance=tolerance, backend=backend,
            answer=answer, sentence=sentence,
        )))

"""Probing sends datagrams and dials streams on the paths of faults, and says what they met.

Both take as long as the paths' delays, so each has a thread of its own, beside the prover's.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial

from harness.errors import close_all
from harness.faults.fault import Change, Fault, NetworkState, Verb
from harness.faults.paths import DirectedPath
from harness.history.proof import BEFORE, UNTOUCHED, Proof
from harness.network.network import Network
from harness.network.proof import rates, verdicts
from harness.network.proof.datagrams import Heard, Prober
from harness.network.proof.half_open import dial
from harness.network.proof.streams import stream
from harness.network.proof.verdicts import Look, Tally
from harness.topology.impairment import Impairment, fold_two

PROBES = 10  # on a path, at each look
PROBES_MANY = 100  # where only many show what is asked
SETTLE_S = 0.25  # for the last probe to arrive, beside the delay itself
CHANGES_KEPT = 1_000  # more than come during one look
LATE_MOST_S = 5.0  # what a slow rate holds for longer is not waited for
STREAMS_MAX = 3  # paths with a stream fault, or half-open, that are dialled at each look
TURNS = 3  # in which a path is looked at, where changes of others come meanwhile
TALLIED = ("jitter_ms", "reorder", "duplicate", "corrupt", "loss")


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A path to look at, of which fault, and whether it was taken back."""

    fault: Fault
    path: DirectedPath
    gone: bool = False


class Probing:
    """Looks at paths in threads of its own. `write` takes each Proof; `guarded` runs what may fail.

    Tell it of every change before paths are looked at that it touches.
    """

    def __init__(
        self,
        network: Network,
        prober: Prober,
        write: Callable[[Proof], None],
        guarded: Callable[[Callable[[], None]], None],
    ) -> None:
        self._network, self._prober, self._write, self._guarded = network, prober, write, guarded
        self._history: deque[Change] = deque(maxlen=CHANGES_KEPT)
        # Of a fault, and what is asked on its paths → what was heard since it was set.
        self._tallies: dict[tuple[str, Impairment], Tally] = {}
        self._waiting: deque[tuple[Sequence[Target], bool]] = deque()
        self._probes = ThreadPoolExecutor(1, "probes")
        self._streams = ThreadPoolExecutor(1, "streams")
        self._probed: Future[None] | None = None
        self._dialled: Future[None] | None = None

    def changed(self, change: Change, replaced: Fault | None = None) -> None:
        """Note a change, and the fault of the same name that it replaced: what is under way when it
        comes says nothing of their paths.
        """
        self._history.append(change)
        if replaced is not None:
            self._history.append(replace(change, fault=replaced))
        if change.verb is Verb.SET:
            for key in [key for key in self._tallies if key[0] == change.fault.name]:
                del self._tallies[key]

    def look(self, targets: Sequence[Target], *, again: bool = False) -> None:
        """Look at these paths, all at once, after those that changed before; one more look at what
        stands waits for no earlier one.
        """
        if not targets or (again and self._probed is not None and not self._probed.done()):
            return
        self._waiting.append((targets, again))
        probed = self._probes.submit(self._guarded, self._probe_all)
        if again:
            self._probed = probed

    def _probe_all(self) -> None:
        """Look at all paths that wait: the look before may have taken longer than the next one
        waited.
        """
        targets: dict[tuple[str, DirectedPath, bool], Target] = {}
        is_again = True
        while self._waiting:
            some, again = self._waiting.popleft()
            targets |= {(one.fault.name, one.path, one.gone): one for one in some}
            is_again = is_again and again
        some = list(targets.values())
        if some:
            self._dial(some, again=is_again)
        for _ in range(1 if is_again else TURNS):
            if some:
                some = self._probe(some)

    def close(self) -> None:
        """Wait for what is under way, and close the sockets."""
        close_all("probing", self._probes.shutdown, self._streams.shutdown, self._prober.close)

    def asked(self, state: NetworkState, path: DirectedPath) -> Impairment:
        """Return all that is asked on a path, the baseline of its regions included."""
        what = state.of(*path)
        return what if path in state.paths else fold_two(self._network.baseline_of(path), what)

    def _probe(self, targets: Sequence[Target]) -> list[Target]:
        """Probe these paths; return those of which it says nothing, for another change came to the
        path, and none of the fault itself: nobody else looks at that one once more. What was to be
        seen before the first fault, or beside all, is no more once one has come to its path.
        """
        begun_ns, state = time.monotonic_ns(), self._network.now
        if self._network.faults:
            targets = [one for one in targets if one.fault.name != BEFORE]
        if not targets:
            return []
        asked = {one.path: self.asked(state, one.path) for one in targets}
        longest_ms = max(what.delay_ms + what.jitter_ms for what in asked.values())
        counts = {
            path: PROBES_MANY if _is_tallied(what) and not what.rate_bps else PROBES
            for path, what in asked.items()
        }
        queues_ms = {
            (source, target): rates.queue_ms(
                state.up.get(source), what.rate_bps, state.down.get(target)
            )
            for (source, target), what in asked.items()
        }
        late_s = {path: min(queue_ms / 1e3, LATE_MOST_S) for path, queue_ms in queues_ms.items()}
        heard = self._prober.probe(counts, SETTLE_S + longest_ms / 1e3, late_s)
        spoiled = []
        for one in targets:
            since = self._changes_since(begun_ns, one.path)
            if not since:
                self._say(one, asked[one.path], heard[one.path], queues_ms[one.path])
            elif one.fault.name not in (*since, BEFORE, UNTOUCHED):  # else the next look is of that
                spoiled.append(one)
        return spoiled

    def _say(self, one: Target, asked: Impairment, heard: Heard, queue_ms: float) -> None:
        backends = self._network.backends
        look = Look(at_ns=time.monotonic_ns(), fault=one.fault.name, path=one.path, gone=one.gone)
        proof = verdicts.judge_probe(
            look, asked, heard, queue_ms=queue_ms, backend=backends["delay"]
        )
        if proof is not None:
            self._write(proof)
        if one.gone or asked.blocked or asked.refuses_new or not heard.sent:
            return
        tally = self._tallies.setdefault((one.fault.name, asked), Tally())
        tally.add(asked, heard)
        for many in verdicts.judge_tally(
            look, asked, tally, narrow=queue_ms > 0, backend=backends["delay"]
        ):
            self._write(many)

    def _changes_since(self, begun_ns: int, path: DirectedPath) -> set[str]:
        """Return of which faults a change on this path came since then, or may have.

        Waits for a change that is under way.
        """
        self._network.settle()
        return {
            change.fault.name
            for change in self._history.copy()
            if change.at_ns >= begun_ns
            and (change.fault.touches(*path) or change.fault.touches(*path[::-1]))
        }

    def _dial(self, targets: Sequence[Target], *, again: bool) -> None:
        """Dial, beside the probes, on some of the paths that have or had a toxic or are half-open.

        Paths on which nothing can be dialled are left out.
        """
        state = self._network.now
        asked = {one.path: self.asked(state, one.path) for one in targets}
        if again and self._dialled is not None and not self._dialled.done():
            return
        acts: list[Callable[[], None]] = []
        for one in targets:
            ways = (state.of(*one.path), state.of(*one.path[::-1]))
            if any(what.blocked for what in ways):
                continue
            if asked[one.path].refuses_new and not one.gone:
                acts.append(partial(self._half_open, one))
            elif not any(what.refuses_new for what in ways) and (
                asked[one.path].toxics or one.fault.impairment.toxics
            ):
                acts.append(partial(self._stream, one))
        for act in acts[:STREAMS_MAX]:
            dialled = self._streams.submit(self._guarded, act)
            if again:
                self._dialled = dialled

    def _ends(self, path: DirectedPath) -> tuple[tuple[int, int], tuple[str, str]]:
        source, target = (self._network.wires[name] for name in path)
        return (source.namespace, target.namespace), (source.address, target.address)

    def _half_open(self, one: Target) -> None:
        begun_ns, state = time.monotonic_ns(), self._network.now
        there, back = self.asked(state, one.path), self.asked(state, one.path[::-1])
        if not there.refuses_new or there.blocked or back.blocked:
            return  # it changed while an earlier stream was dialled
        late_ms = sum(what.delay_ms + what.jitter_ms for what in (there, back))
        dialled = dial(*self._ends(one.path), SETTLE_S + late_ms / 1e3)
        if not self._changes_since(begun_ns, one.path):
            look = Look(at_ns=time.monotonic_ns(), fault=one.fault.name, path=one.path)
            self._write(verdicts.judge_half_open(look, dialled))

    def _stream(self, one: Target) -> None:
        """Dial a stream; it may take seconds to end."""
        begun_ns, state = time.monotonic_ns(), self._network.now
        upstream, downstream = self.asked(state, one.path), self.asked(state, one.path[::-1])
        below = {"upstream": upstream, "downstream": downstream}
        namespaces, addresses = self._ends(one.path)
        seen = stream(namespaces, addresses[1], upstream.toxics, below)
        if self._changes_since(begun_ns, one.path):
            return
        narrow = bool(state.up or state.down) or any(
            what.rate_bps or what.loss for what in below.values()
        )
        healed = one.gone and not upstream.toxics
        for each in seen:
            look = Look(
                at_ns=time.monotonic_ns(), fault=one.fault.name, path=one.path, gone=one.gone
            )
            self._write(verdicts.judge_stream(look, each, healed=healed, narrow=narrow))


def _is_tallied(what: Impairment) -> bool:
    return not what.blocked and any(getattr(what, name) for name in TALLIED)

"""Accounts hold rates, losses and cut connections against counters, from when they are set.

A rate has two counts: what its own class or device let through, and what must have crossed by the
links' own counters, whatever rules chose: a link carries what passed, however it came to pass.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable
from dataclasses import replace

from harness.history.proof import Proof, ProofAnswer
from harness.network.injectors.compiler import Compiled
from harness.network.injectors.injector import Limit, limits
from harness.network.proof import rates, verdicts
from harness.network.proof.classes import Classes
from harness.network.proof.verdicts import Look
from harness.network.reading import Reading

READINGS_KEPT = 64
HELD_S = 0.5  # beyond its delay: how long a packet may be under way in the hub
# What is judged of the many rates of one fault: the worst, else the best shown.
ORDER = (ProofAnswer.NOT_IN_FORCE, ProofAnswer.IN_FORCE, ProofAnswer.AMOUNT_NOT_SHOWN)


class Accounts:
    """Takes readings in order, from any thread; `proofs` judges what they show.

    `nodes`: names in the topology's order; `addresses`: theirs.
    """

    def __init__(self, nodes: list[str], addresses: list[str]) -> None:
        self._nodes, self._classes = nodes, Classes(nodes, addresses)
        self._position = {address: index for index, address in enumerate(addresses)}
        self._lock = threading.Lock()
        self._new: list[Reading] = []
        self._past: deque[Reading] = deque(maxlen=READINGS_KEPT)
        self._sources: tuple[Compiled | None, dict[tuple[int, int], set[int]]] = (None, {})
        self._used: dict[Limit, float] = {}  # since the last change (rates.used_after)

    def add(self, reading: Reading) -> None:
        """Note a reading."""
        with self._lock:
            self._new.append(reading)

    def proofs(self) -> list[Proof]:
        """Judge all stretches between readings in which the state stayed the same."""
        with self._lock:
            new, self._new = self._new, []
        found: dict[tuple[str, str], list[Proof]] = {}
        for after in new:
            before = self._past[-1] if self._past else None
            if before is not None and before.compiled is after.compiled:
                for name, proof in (*self._rates(before, after), *_flows(before, after)):
                    found.setdefault((name, proof.what), []).append(replace(proof, fault=name))
            else:
                self._used.clear()
            self._past.append(after)
        worst = [min(some, key=lambda one: ORDER.index(one.answer)) for some in found.values()]
        return worst + (self._losses(new[-1]) if new else [])

    def _rates(self, before: Reading, after: Reading) -> Iterable[tuple[str, Proof]]:
        # The longest in which it may have passed: no counter is read at a moment that is known.
        seconds = (after.read_ns - before.at_ns) / 1e9
        if seconds <= 0:
            return
        for limit in limits(after.compiled):
            passed = after.sent.get(limit, 0) - before.sent.get(limit, 0)
            if passed < 0:
                self._used.pop(limit, None)
                continue  # it was made anew
            self._used[limit] = rates.used_after(
                self._used.get(limit, 0.0), limit.rate_bps, passed, seconds
            )
            node = self._nodes[limit.node]
            proof = rates.judge_rate(
                Look(at_ns=after.at_ns, fault=""),
                limit.which,
                limit.rate_bps,
                passed,
                seconds,
                node,
                crossed_bytes=self._crossed(limit, before, after),
                used_bytes=self._used[limit],
            )
            for name in self._limiting(limit, node, after):
                yield name, proof

    def _crossed(self, limit: Limit, before: Reading, after: Reading) -> int:
        """Count the bytes that surely crossed where a rate is, by the counters of links; 0 where
        they say nothing.
        """
        into = self._received(before, after, limit.node)
        if limit.which == "down":
            return into
        began = self._long_before(before)
        if began is None or after.compiled.streams:
            return 0  # a proxy holds bytes as long as it likes
        if limit.which == "up":
            sources = {limit.node}
            arrived = sum(self._received(before, after, node) for node in after.links)
        else:
            sources, arrived = self._sources_of(after.compiled, limit), into
        if not sources:
            return 0
        others = (
            after.links[node].tx_bytes - began.links[node].tx_bytes
            for node in after.links.keys() & began.links.keys()
            if node not in sources
        )
        return max(0, arrived - sum(others))

    @staticmethod
    def _received(before: Reading, after: Reading, node: int) -> int:
        if node not in before.links or node not in after.links:
            return 0
        return max(0, after.links[node].rx_bytes - before.links[node].rx_bytes)

    def _long_before(self, before: Reading) -> Reading | None:
        """Return a reading since which nothing is under way any more that was sent earlier."""
        compiled = before.compiled
        held_ms = max(
            (what.delay_ms + what.jitter_ms for what in compiled.classes.values()), default=0.0
        )
        held_ms += rates.queue_ms(
            min(compiled.up.values(), default=None),
            min(
                (what.rate_bps for what in compiled.classes.values() if what.rate_bps), default=None
            ),
            min(compiled.down.values(), default=None),
        )
        until_ns = before.at_ns - round((held_ms / 1e3 + HELD_S) * 1e9)
        return next((one for one in reversed(self._past) if one.at_ns <= until_ns), None)

    def _sources_of(self, compiled: Compiled, limit: Limit) -> set[int]:
        """Return who sends on the paths of a class into a node; nobody where regions name them."""
        if self._sources[0] is not compiled:
            rated = {number for number, what in compiled.classes.items() if what.rate_bps}
            found: dict[tuple[int, int], set[int]] = {}
            for (source, target), number in compiled.paths.items():
                if number in rated and {source, target} <= self._position.keys():
                    key = (self._position[target], number)
                    found.setdefault(key, set()).add(self._position[source])
            self._sources = (compiled, found)
        regions = limit.number in compiled.regions.values()
        return set() if regions else self._sources[1].get((limit.node, limit.number), set())

    def _limiting(self, limit: Limit, node: str, reading: Reading) -> list[str]:
        """Name the faults that a rate comes from."""
        if limit.which == "into":
            return self._classes.behind(reading, limit.number, "rate_bps")
        return [
            fault.name
            for fault in reading.faults.values()
            if node in (fault.up if limit.which == "up" else fault.down)
        ]

    def _losses(self, reading: Reading) -> list[Proof]:
        """Judge the loss of each class by the class's own counters since they were made."""
        found = []
        for number, what in reading.compiled.classes.items():
            if what.loss:
                seen, lost = (reading.counters.get(f"{one}{number}", 0) for one in ("in", "lost"))
                look = Look(at_ns=reading.at_ns, fault="")
                proof = verdicts.judge_loss(look, what.loss, seen, lost)
                behind = self._classes.behind(reading, number, "loss")
                found += [replace(proof, fault=name) for name in behind]
        return found


def _flows(before: Reading, after: Reading) -> Iterable[tuple[str, Proof]]:
    """Count what connections that are cut tried to send meanwhile: those of all faults together."""
    dropped = after.counters.get("old", 0) - before.counters.get("old", 0)
    cutting = [fault for fault in after.faults.values() if fault.flows]
    for fault in cutting:
        look = Look(at_ns=after.at_ns, fault=fault.name)
        count = len(fault.flows) // 2
        yield fault.name, verdicts.judge_flows(look, count, dropped, faults=len(cutting))

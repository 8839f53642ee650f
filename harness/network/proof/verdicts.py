"""Verdicts say what a look at a fault shows: pure functions of what was asked and what was seen.

Each returns a Proof, or None where nothing can be said: too little arrived, and that may be by
chance.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from harness.faults.fault import Condition
from harness.history.proof import READ_BACK, Proof, ProofAnswer
from harness.network.proof.streams import Seen
from harness.topology.impairment import CLEAR, Impairment

PROBES = 10  # to each path after a change
DELAY_TOLERANCE_MS, DELAY_TOLERANCE = 5.0, 0.10
QUEUE_MS = 120.0  # a saturated rate adds its queue (50 ms at most, and one packet)
SIGNIFICANCE = 1e-3  # of a false alarm in a run, over all paths and looks together
LOOKS_MAX = 10_000
RATE_TOLERANCE = 0.05
BURST_BYTES = 200_000  # at once, at a gigabit; nothing at the rates that people ask for
PACKETS_LEAST = 30  # expected losses below this show no amount
DEVIATIONS = 6.0  # 2·10⁻⁹ two-sided: far below SIGNIFICANCE over LOOKS_MAX looks

IN_FORCE, NOT_IN_FORCE = ProofAnswer.IN_FORCE, ProofAnswer.NOT_IN_FORCE
GONE, NOT_GONE, NOT_SHOWN = ProofAnswer.GONE, ProofAnswer.NOT_GONE, ProofAnswer.AMOUNT_NOT_SHOWN


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """One look at a fault: when (CLOCK_MONOTONIC ns), at which path, and whether the fault was
    taken back.
    """

    at_ns: int
    fault: str
    path: tuple[str, str] | None = None
    gone: bool = False

    @property
    def answers(self) -> tuple[ProofAnswer, ProofAnswer]:
        """The answer where all is as asked, and the answer where it is not."""
        return (GONE, NOT_GONE) if self.gone else (IN_FORCE, NOT_IN_FORCE)

    def proof(self, **seen: Any) -> Proof:
        """What this look showed."""
        return Proof(at_ns=self.at_ns, fault=self.fault, path=self.path, **seen)


def judge_read_back(look: Look, injector: str, drift: str | None) -> Proof:
    """Judge an injector by what it read back.

    `drift`: why what the kernel or the injector's server has is not what was asked; None where it
    is.
    """
    return look.proof(
        what=READ_BACK,
        backend=injector,
        answer=IN_FORCE if drift is None else NOT_IN_FORCE,
        sentence=drift or "",
    )


def judge_condition(look: Look, node: str, asked: Condition, found: Condition) -> Proof:
    """Judge a node's condition. `found`: the condition that the node's process has."""
    return look.proof(
        what="condition",
        backend="proc",
        answer=look.answers[0 if asked is found else 1],
        sentence=f"{node} is {found}" + ("" if asked is found else f", asked is {asked}"),
    )


def judge_cut(look: Look, delays: Sequence[float]) -> Proof:
    """Judge a path that is cut, or on which nothing new is made. `delays`: of the probes that
    crossed.
    """
    return look.proof(
        what="cut",
        n=PROBES,
        achieved=float(len(delays)),
        backend="nftables",
        answer=NOT_IN_FORCE if delays else IN_FORCE,
        sentence=f"{len(delays)} of {PROBES} probes crossed",
    )


def judge_probe(
    look: Look, asked: Impairment, delays: Sequence[float], *, narrow: bool, backend: str
) -> Proof | None:
    """Judge one path's delay. `delays`: one-way ms of the probes that arrived of PROBES.

    `narrow`: a rate is in force somewhere on the way, whose queue comes on top. `backend`: who
    serves delays. None where the probes that arrived are too few to say anything.
    """
    if asked.blocked or asked.refuses_new:
        return judge_cut(look, delays)
    if not delays:
        return _judge_silence(look, asked)
    # With reordering, those that overtook were not delayed.
    held = [one for one in delays if not asked.reorder or one >= asked.delay_ms / 2]
    overtook = len(delays) - len(held)
    yes, no = look.answers
    if asked.reorder and not is_plausible(overtook, len(delays), asked.reorder):
        return look.proof(
            what="reorder",
            asked=asked.reorder,
            achieved=overtook / len(delays),
            n=len(delays),
            backend=backend,
            answer=no,
            sentence=f"{overtook} of {len(delays)} probes overtook",
        )
    if not held:
        return None
    middle = median(held)
    tolerance = max(DELAY_TOLERANCE_MS, DELAY_TOLERANCE * asked.delay_ms)
    tolerance += asked.jitter_ms / math.sqrt(len(held)) * 3
    within = -tolerance <= middle - asked.delay_ms <= tolerance + (QUEUE_MS if narrow else 0.0)
    said = f"the median of {len(held)} probes took {middle:.1f} ms, asked are {asked.delay_ms:g} ms"
    return look.proof(
        what="delay" if asked.delay_ms else "clear",
        asked=asked.delay_ms,
        achieved=middle,
        n=len(held),
        tolerance=tolerance,
        backend=backend,
        answer=yes if within else no,
        sentence="" if within else said,
    )


def _judge_silence(look: Look, asked: Impairment) -> Proof | None:
    """Judge a path that is not cut and on which no probe arrived.

    None where its loss may have taken them all: (loss)^PROBES is no rarer than a false alarm may
    be.
    """
    if asked.loss**PROBES >= SIGNIFICANCE / LOOKS_MAX:
        return None
    return look.proof(
        what="clear" if asked == CLEAR else "delay",
        n=PROBES,
        backend="nftables",
        answer=look.answers[1],
        sentence="no probe arrived on a path that is not cut",
    )


def judge_flows(look: Look, connections: int, dropped: int) -> Proof:
    """Judge connections that are cut: what they try to send is counted where it is dropped."""
    return look.proof(
        what="flows",
        n=dropped,
        backend="nftables",
        answer=IN_FORCE if dropped else NOT_SHOWN,
        sentence=f"{connections:,} connections, {dropped:,} of their packets dropped meanwhile",
    )


def judge_stream(look: Look, seen: Seen, *, healed: bool, narrow: bool) -> Proof:
    """Judge what one toxic did to a stream of our own. `healed`: its path has no toxic any more.

    `narrow`: a rate or a loss is on the way; then what is late does not show that the toxic stands.
    """
    answer = seen.answer
    if healed:
        late = NOT_SHOWN if narrow else NOT_GONE
        answer = {IN_FORCE: GONE, NOT_IN_FORCE: NOT_GONE, NOT_SHOWN: late}[answer]
    return look.proof(
        what=seen.what,
        asked=seen.asked,
        achieved=seen.achieved,
        tolerance=seen.tolerance,
        n=1,
        backend="toxiproxy",
        answer=answer,
        sentence=seen.sentence,
    )


def judge_rate(
    look: Look, which: str, rate_bps: int, passed_bytes: int, seconds: float, node: str
) -> Proof:
    """Judge a rate: it lets no more through than asked, and what came near it shows the amount.

    `which`: up, down, into. `passed_bytes`: what the rate's own counter gained in so many seconds.
    """
    achieved = 8 * passed_bytes / seconds
    tolerance = RATE_TOLERANCE * rate_bps + 8 * BURST_BYTES / seconds
    if achieved > rate_bps + tolerance:
        answer = NOT_IN_FORCE
    else:
        answer = IN_FORCE if achieved > rate_bps / 2 else NOT_SHOWN
    said = f"{achieved / 1e6:.3f} of {rate_bps / 1e6:g} Mbit/s passed {which} at {node}"
    return look.proof(
        what=f"rate {which}",
        asked=float(rate_bps),
        achieved=achieved,
        n=passed_bytes,
        tolerance=tolerance,
        backend="qdisc",
        answer=answer,
        sentence=said,
    )


def judge_loss(look: Look, asked: float, seen: int, lost: int) -> Proof:
    """Judge a loss by its rule's own counters: packets seen, and packets lost of them."""
    achieved = lost / seen if seen else 0.0
    tolerance = DEVIATIONS * math.sqrt(asked * (1 - asked) / max(seen, 1))
    if seen * min(asked, 1 - asked) < PACKETS_LEAST:
        answer = NOT_SHOWN
    else:
        answer = IN_FORCE if abs(achieved - asked) <= tolerance else NOT_IN_FORCE
    return look.proof(
        what="loss",
        asked=asked,
        achieved=achieved,
        n=seen,
        tolerance=tolerance,
        backend="nftables",
        answer=answer,
        sentence=f"{lost:,} of {seen:,} packets were lost, asked is {asked:.3%}",
    )


def is_plausible(count: int, of: int, share: float) -> bool:
    """Whether chance explains that `count` of `of` events happen, each with probability `share`.

    Both tails of the binomial distribution are compared with SIGNIFICANCE over LOOKS_MAX looks.
    """
    chances = [math.comb(of, k) * share**k * (1 - share) ** (of - k) for k in range(of + 1)]
    return min(sum(chances[: count + 1]), sum(chances[count:])) > SIGNIFICANCE / LOOKS_MAX

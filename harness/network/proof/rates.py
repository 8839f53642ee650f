"""Rates are judged by bytes that were counted: each lets no more through than was asked. What a
rate keeps waiting is late.
"""

from __future__ import annotations

from harness.history.proof import Proof, ProofAnswer
from harness.kernel import qdisc
from harness.network.proof.verdicts import Look

RATE_TOLERANCE, RATE_SHOWN = 0.05, 0.5  # so much of a rate has to be used to show it
# What passes at once: a burst, a packet of each queue, and what two readings are apart.
BURST_BYTES, BURST_S = 12_000, 0.1
PACKET_BYTES = 65_536  # of TCP, before it is segmented
QUEUE_MS_LEAST = 120.0  # the queue of a fast rate, on a busy host


def judge_rate(
    look: Look,
    which: str,
    rate_bps: int,
    passed_bytes: int,
    seconds: float,
    node: str,
    *,
    crossed_bytes: int = 0,
    used_bytes: float | None = None,
) -> Proof:
    """Judge a rate: it lets no more through than asked, and what came near it for longer than a
    burst explains shows the amount.

    `which`: up, down, into. `passed_bytes`: what the rate's own counter gained in so many seconds;
    `crossed_bytes`: what at least crossed there by the links' counters; `used_bytes`: `used_after`
    these seconds, where something was counted before them.
    """
    achieved = 8 * max(passed_bytes, crossed_bytes) / seconds
    burst = _burst_bytes(rate_bps)
    tolerance = RATE_TOLERANCE * rate_bps + 8 * burst / seconds
    if used_bytes is None:
        used_bytes = used_after(0.0, rate_bps, passed_bytes, seconds)
    if achieved > rate_bps + tolerance:
        answer = ProofAnswer.NOT_IN_FORCE
    else:
        shown = used_bytes > burst
        answer = ProofAnswer.IN_FORCE if shown else ProofAnswer.AMOUNT_NOT_SHOWN
    said = f"{achieved / 1e6:.3f} of {rate_bps / 1e6:g} Mbit/s passed {which} at {node}"
    return look.proof(
        what=f"rate {which}",
        asked=float(rate_bps),
        achieved=achieved,
        n=max(passed_bytes, crossed_bytes),
        tolerance=tolerance,
        backend="qdisc",
        answer=answer,
        sentence=said,
    )


def used_after(used_bytes: float, rate_bps: int, passed_bytes: int, seconds: float) -> float:
    """Return by how much more than half of a rate was used up to now, in bytes: a leaky bucket.

    It is filled by what passes, drained at half the rate, and holds two bursts. Where more than one
    burst is in it, more passed than half the rate and what passes at once where nothing limits.
    """
    used_bytes += passed_bytes - rate_bps / 8 * RATE_SHOWN * seconds
    return min(max(used_bytes, 0.0), 2 * _burst_bytes(rate_bps))


def _burst_bytes(rate_bps: int) -> float:
    return max(BURST_BYTES, rate_bps / 8 * BURST_S)


def queue_ms(up_bps: int | None, path_bps: int | None, down_bps: int | None) -> float:
    """Return how long a packet may wait for the rates on its way, in ms: its sender's, its path's
    and its receiver's; 0 where there are none.

    Each has a queue, which kernel/qdisc.py sizes, and before it one packet is sent. Those of the
    path and of the receiver are one, and the narrower rate empties it.
    """
    waiting_ms = 0.0
    if up_bps is not None:
        burst = max(qdisc.BURST_BYTES_LEAST, up_bps / 8 * qdisc.BURST_S)
        waiting_ms += 1e3 * qdisc.QUEUE_S + 8e3 * burst / up_bps
    rates = [rate for rate in (path_bps, down_bps) if rate is not None]
    if rates:
        queue = max(qdisc.QUEUE_BYTES_LEAST, min(rates) / 8 * qdisc.QUEUE_S)
        waiting_ms += 8e3 * (queue + min(queue, PACKET_BYTES)) / min(rates)
    return max(waiting_ms, QUEUE_MS_LEAST) if waiting_ms else 0.0

"""Verdicts say what a look at a fault shows: pure functions of what was asked and what was seen.

Each returns a Proof, or None where nothing can be said: too little arrived, and that may be by
chance.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from os.path import basename
from statistics import median, quantiles
from typing import Any

from harness.faults.fault import Condition
from harness.history.proof import READ_BACK, Proof, ProofAnswer
from harness.network.proof.datagrams import EXPOSED, Heard
from harness.network.proof.half_open import Dialled
from harness.network.proof.streams import Seen
from harness.topology.impairment import CLEAR, SHARE, Impairment
from harness.topology.quantities import compared, percent

DELAY_TOLERANCE_MS, DELAY_TOLERANCE = 5.0, 0.10
SIGNIFICANCE = 1e-3  # of a false alarm in a run, over all paths and looks together
LOOKS_MAX = 10_000
JITTER_TOLERANCE_MS, JITTER_SHOWN = 0.5, 0.6  # of the jitter: then nothing is told from all of it
DELAYS_KEPT = 10_000  # of one tally: their middle half is known to 6 % of the jitter
PACKETS_LEAST = 30  # expected losses below this show no amount
NEVER = 1e-6
HOST_LOSS = 0.01  # of packets, that a full backlog of a busy host may drop
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


def judge_condition(look: Look, node: str, asked: Condition, found: Condition | None) -> Proof:
    """Judge a node's condition. `found`: the condition that the node's process has; None while it
    is being changed, which shows nothing.
    """
    if found is None:
        answer, said = NOT_SHOWN, f"the condition of {node} is being changed"
    else:
        is_so = is_as_asked(asked, found)
        answer = look.answers[0 if is_so else 1]
        said = f"{node} is {asked}" if is_so else f"{node} is {found}, asked is {asked}"
    return look.proof(what="condition", backend="proc", answer=answer, sentence=said)


def is_as_asked(asked: Condition, found: Condition) -> bool:
    """Whether a node's processes are as asked: of one that is down nothing tells how it went."""
    return asked is found or (asked.is_down and found.is_down)


def judge_wiped(look: Look, node: str, written: Sequence[str]) -> Proof:
    """Judge a wiped node by what it wrote that is still in its directory."""
    more = ", …" if len(written) > 1 else ""
    said = f"has {written[0]}{more}" if written else "has only what was prepared for it"
    return look.proof(
        what="state",
        n=len(written),
        backend="files",
        answer=NOT_IN_FORCE if written else IN_FORCE,
        sentence=f"{node} {said}",
    )


def judge_command(look: Look, node: str, asked: Sequence[str], found: Sequence[str]) -> Proof:
    """Judge the program of a node that runs again by its command line: of a script it begins with
    its interpreter. What a program executes in its own place, and what it calls itself, is its own
    affair: that shows nothing.
    """
    end = found[-len(asked) :]
    is_so = bool(end) and (basename(end[0]), *end[1:]) == (basename(asked[0]), *asked[1:])
    runs = " ".join(found) or "nothing"
    return look.proof(
        what="command",
        backend="proc",
        answer=look.answers[0] if is_so else NOT_SHOWN,
        sentence=f"{node} runs {runs}" + ("" if is_so else f", asked is {' '.join(asked)}"),
    )


def judge_cut(look: Look, heard: Heard) -> Proof:
    """Judge a path on which nothing passes: silence shows it, where the probes did leave."""
    crossed = len(heard.delays) + heard.broken
    return look.proof(
        what="cut",
        n=heard.sent,
        achieved=float(crossed),
        backend="nftables",
        answer=NOT_IN_FORCE if crossed else IN_FORCE,
        sentence=f"{crossed} of {heard.sent} probes crossed",
    )


def judge_probe(
    look: Look, asked: Impairment, heard: Heard, *, queue_ms: float, backend: str
) -> Proof | None:
    """Judge whether one path lets probes through, and how late.

    `queue_ms`: how long the queues of rates on the way may hold them, which comes on top; 0 where
    there are none. `backend`: who serves delays. None where the probes that arrived are too few to
    say anything.
    """
    is_silent = asked.blocked or asked.refuses_new or asked.loss >= 1
    what = "cut" if is_silent else "delay" if asked.delay_ms else "clear"
    if not heard.sent:
        said = f"no probe could be sent: {heard.error}"
        answer = look.answers[1] if heard.refused and not is_silent else NOT_SHOWN
        return look.proof(what=what, backend="datagrams", answer=answer, sentence=said)
    if is_silent:
        return judge_cut(look, heard)
    if not heard.delays and not heard.broken:
        return _judge_silence(look, asked, heard.sent, narrow=queue_ms > 0)
    held = [one for one in heard.delays if not _overtook(asked, one)]
    if not held:
        return None
    middle = median(held)
    tolerance = max(DELAY_TOLERANCE_MS, DELAY_TOLERANCE * asked.delay_ms)
    tolerance += asked.jitter_ms / math.sqrt(len(held)) * 3
    within = -tolerance <= middle - asked.delay_ms <= tolerance + queue_ms
    said = f"the median of {len(held)} probes took {middle:.1f} ms, asked are {asked.delay_ms:g} ms"
    return look.proof(
        what=what,
        asked=asked.delay_ms,
        achieved=middle,
        n=len(held),
        tolerance=tolerance,
        backend=backend,
        answer=look.answers[0 if within else 1],
        sentence="" if within else said,
    )


def _overtook(asked: Impairment, delay_ms: float) -> bool:
    """Whether a probe was not delayed where some are to overtake."""
    return bool(asked.reorder) and delay_ms < asked.delay_ms / 2


def _judge_silence(look: Look, asked: Impairment, sent: int, *, narrow: bool) -> Proof | None:
    """Judge a path that is not cut and on which no probe arrived.

    None where its loss may have taken them all: (loss)^sent is no rarer than a false alarm may be.
    A full queue may have dropped them: that shows nothing.
    """
    if asked.loss**sent >= SIGNIFICANCE / LOOKS_MAX:
        return None
    why = ": the queue of a rate may be full" if narrow else ""
    return look.proof(
        what="clear" if asked == CLEAR else "delay",
        n=sent,
        backend="nftables",
        answer=NOT_SHOWN if narrow else look.answers[1],
        sentence=f"no probe arrived on a path that is not cut{why}",
    )


@dataclass(slots=True, kw_only=True)
class Tally:
    """What was heard on the paths of one fault, over all looks since it was set.

    `arrived`: whole, of which so many `overtook`; `held`: the delays (ms) of the last of those that
    did not.
    """

    sent: int = 0
    arrived: int = 0
    overtook: int = 0
    copies: int = 0
    broken: int = 0
    held: deque[float] = field(default_factory=lambda: deque(maxlen=DELAYS_KEPT))

    def add(self, asked: Impairment, heard: Heard) -> None:
        """Add what one look heard on one path, on which so much is asked."""
        held = [one for one in heard.delays if not _overtook(asked, one)]
        self.sent += heard.sent
        self.arrived += len(heard.delays)
        self.overtook += len(heard.delays) - len(held)
        self.copies += heard.copies
        self.broken += heard.broken
        self.held += held


def judge_tally(
    look: Look, asked: Impairment, tally: Tally, *, narrow: bool, backend: str
) -> list[Proof]:
    """Judge what only many probes show: jitter, and the shares that overtake, come twice or broken,
    or do not come.

    One proof for each that is asked; of a loss also where more are lost than asked.
    """
    arrived = tally.arrived + tally.broken
    # Of what arrives at all: a packet that is broken in its headers does not.
    broken = asked.corrupt * EXPOSED / (1 - asked.corrupt * (1 - EXPOSED))
    shares = (
        ("reorder", asked.reorder, asked.reorder, tally.overtook, tally.arrived),
        ("duplicate", asked.duplicate, asked.duplicate, tally.copies, tally.arrived),
        ("corrupt", asked.corrupt, broken, tally.broken, arrived),
    )
    found = [
        replace(judge_share(look, what, expected, count, of, backend), asked=share)
        for what, share, expected, count, of in shares
        if share
    ]
    if asked.jitter_ms:
        held = tally.held
        found.append(judge_jitter(look, asked.jitter_ms, held, narrow=narrow, backend=backend))
    # A full queue loses packets too, and a bit that flips in the headers.
    lost = 1 - (1 - asked.loss) * (1 - asked.corrupt * (1 - EXPOSED))
    loss = judge_lost(look, lost, tally.sent - arrived, tally.sent)
    if not narrow and (loss.answer is NOT_IN_FORCE or (asked.loss and loss.answer is IN_FORCE)):
        found.append(loss)
    return found


def judge_lost(look: Look, asked: float, lost: int, sent: int) -> Proof:
    """Judge a loss by probes: HOST_LOSS more than asked may be a busy host's."""
    found = lost / max(sent, 1)
    nearest = min(max(found, asked), asked + HOST_LOSS)
    proof = judge_share(look, "loss", min(nearest, 1.0), lost, sent, "datagrams")
    said = _share_said(lost, sent, "probes", asked)
    return replace(proof, asked=asked, sentence=said)


def judge_share(look: Look, what: str, asked: float, count: int, of: int, backend: str) -> Proof:
    """Judge a share by counts: it contradicts where chance does not explain them, and is shown
    where enough were expected that their interval leaves out both nothing and all.
    """
    achieved = count / of if of else 0.0
    if not is_plausible(count, of, asked):
        answer = NOT_IN_FORCE
    else:
        shown = of * min(asked, 1 - asked) >= PACKETS_LEAST or (asked == 1 and of >= PACKETS_LEAST)
        answer = IN_FORCE if shown else NOT_SHOWN
    return look.proof(
        what=what,
        asked=asked,
        achieved=achieved,
        n=of,
        tolerance=DEVIATIONS * math.sqrt(asked * (1 - asked) / max(of, 1)),
        backend=backend,
        answer=answer,
        sentence=_share_said(count, of, "probes", asked),
    )


def _share_said(count: int, of: int, what: str, asked: float) -> str:
    """Say a share that was counted: ``4.8 % of packets (5 % asked): 48 of 1,000``."""
    found = percent(count / of if of else 0.0)
    return f"{compared(found, what, SHARE.show(asked))}: {count:,} of {of:,}"


def judge_jitter(
    look: Look, asked_ms: float, delays: Sequence[float], *, narrow: bool, backend: str
) -> Proof:
    """Judge jitter by the middle half of the delays: of a uniform ± jitter it is as wide as the
    jitter, and a busy host that delays a few does not widen it.
    """
    count = len(delays)
    middle = quantiles(delays, n=4) if count > 1 else [0.0, 0.0, 0.0]
    spread = middle[2] - middle[0]
    # The width of the middle half of a uniform distribution has a deviation of jitter / √n.
    tolerance = DEVIATIONS * asked_ms / math.sqrt(max(count, 1)) + JITTER_TOLERANCE_MS
    if tolerance > asked_ms * JITTER_SHOWN:
        answer = NOT_SHOWN
    elif abs(spread - asked_ms) <= tolerance:
        answer = IN_FORCE
    else:  # a queue on the way makes it wider, and never narrower
        answer = NOT_SHOWN if narrow and spread > asked_ms else NOT_IN_FORCE
    return look.proof(
        what="jitter",
        asked=asked_ms,
        achieved=spread,
        n=count,
        tolerance=tolerance,
        backend=backend,
        answer=answer,
        sentence=f"the middle half of {count:,} probes spread over {spread:.1f} ms",
    )


def judge_half_open(look: Look, dialled: Dialled) -> Proof:
    """Judge a half-open path: nothing new is made on it, and what stands goes on."""
    if dialled.came_through is None:
        answer, said = NOT_SHOWN, f"it could not be dialled: {dialled.error}"
    elif dialled.came_through:
        answer, said = NOT_IN_FORCE, "a new connection was made"
    elif not dialled.goes_on:
        answer, said = NOT_SHOWN, "no new connection was made, and what stood did not go on either"
    else:
        answer, said = IN_FORCE, "no new connection was made, and what stood went on"
    return look.proof(what="half-open", n=1, backend="nftables", answer=answer, sentence=said)


def judge_unseen(look: Look, what: str) -> Proof:
    """Say of an impairment that it was read back, and that no look could measure it."""
    return look.proof(
        what=what, backend="prover", answer=NOT_SHOWN, sentence="no look could measure it"
    )


def judge_flows(look: Look, connections: int, dropped: int, *, faults: int = 1) -> Proof:
    """Judge connections that are cut: what they try to send is counted where it is dropped.

    `faults`: how many cut connections; what is dropped of several shows none of them.
    """
    whose = "of their packets" if faults == 1 else f"packets of {faults} faults"
    return look.proof(
        what="flows",
        n=dropped,
        backend="nftables",
        answer=IN_FORCE if dropped and faults == 1 else NOT_SHOWN,
        sentence=f"{connections:,} connections, {dropped:,} {whose} dropped meanwhile",
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


def judge_loss(look: Look, asked: float, seen: int, lost: int) -> Proof:
    """Judge a loss by its rule's own counters: packets seen, and packets lost of them."""
    proof = judge_share(look, "loss", asked, lost, seen, "nftables")
    return replace(proof, sentence=_share_said(lost, seen, "packets", asked))


def is_plausible(count: int, of: int, share: float) -> bool:
    """Whether chance explains that `count` of `of` events happen, each with probability `share`.

    By Chernoff's bound on the tail of the binomial distribution, which is never below the tail:
    it is compared with SIGNIFICANCE over LOOKS_MAX looks.
    """
    if not of:
        return True
    # What is certain may still be missed by a packet that is counted in one place and not yet in
    # the other.
    found, share = min(count / of, 1.0), min(max(share, NEVER), 1 - NEVER)
    distance = sum(
        a * math.log(a / b) for a, b in ((found, share), (1 - found, 1 - share)) if a > 0
    )
    return -of * distance > math.log(SIGNIFICANCE / LOOKS_MAX)

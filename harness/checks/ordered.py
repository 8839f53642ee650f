"""Order: what a node sends to another arrives there in the order in which it was sent. Pure.

Judged are private messages that were delivered, of each pair by the first record at the target.
What has an order is what one load worker handed to the node, one after the other, in one life of
it: of messages that went in one frame, of two workers, or of before and after a stop of the sender,
nobody said which was first.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from harness.checks import records, silences
from harness.checks.ids import Places
from harness.checks.verdict import Answer, Cause, Finding
from harness.history.history import History, Nanoseconds
from harness.operations import Operation
from harness.operations.promises import Slip, covering
from harness.operations.records import RecordKind
from harness.scenario.schedule import IDENTIFIER

NAME = "ordered: private messages of each pair, as they were sent"
BESIDE = "a node of this system is asked for several beside each other, and may take any first"


def check(history: History) -> list[Finding]:
    """One finding; none where no two messages of a pair that have an order were delivered."""
    if RecordKind.DELIVERED not in history.kept:
        return [_cannot_tell()]
    found = _delivered(history)
    if found is None:
        return []
    count, late = int(found.has_order.sum()), np.flatnonzero(found.is_overtaken)
    if not count:
        return []
    if not len(late):
        sentence = "none was delivered after one that its sender had sent later"
    else:
        place = found.places[late[0]]
        source, target = (
            history.nodes[history.column(name)[place]] for name in ("source", "target")
        )
        sent_s = (int(history.column("sent_ns")[place]) - history.phases[0].begin_ns) / 1e9
        sentence = (
            f"what {source} sent {sent_s:.3f} s into the run was at {target} after what it sent it "
            "later"
        )
    operation = Operation.PRIVATE_MESSAGE.word
    words, cause = history.unpromised.get(operation, ()), None
    answer, word = Answer.FAIL if len(late) else Answer.PASS, covering(words, Slip.OVERTAKEN)
    if len(late) and word:
        answer = Answer.MEASURED
        sentence += f"; not held to it: this system promises {word}"
    elif len(late) and operation in history.side_by_side:
        answer, cause = Answer.UNKNOWN, Cause.NOT_MEASURED
        sentence += f"; {BESIDE}"
    return [
        Finding(
            name=NAME,
            answer=answer,
            promised="–" if answer is Answer.MEASURED else f"{count:,} of {count:,}",
            measured=f"{len(late):,} overtaken" if len(late) else f"{count:,} of {count:,}",
            sentence=sentence,
            cause=cause,
        )
    ]


@dataclass(frozen=True, slots=True)
class _Delivered:
    """Delivered messages, those of one line of a sender together and in the order of sending."""

    places: Places  # in the history
    has_order: npt.NDArray[np.bool_]  # before or after another one of its line
    is_overtaken: npt.NDArray[np.bool_]  # one that was sent later was delivered first


def _delivered(history: History) -> _Delivered | None:
    chosen = records.in_phase(history, records.WHOLE_RUN, Operation.PRIVATE_MESSAGE)
    chosen &= history.column("sent_ns") > 0
    rows, heard = records.about(history, RecordKind.DELIVERED, chosen)
    places = np.flatnonzero(chosen)[rows]
    mine = heard.node == history.column("target")[places]
    # A journal is in the order of writing: of one moment, what stands first came first.
    order = np.lexsort((heard.places[mine], heard.at_ns[mine]))
    places = places[mine][order]
    places, arrived = np.unique(places, return_index=True)  # of several records the first
    if len(places) < 2:
        return None
    sent = history.column("sent_ns")[places]
    line = _lines(history, places, sent)
    order = np.lexsort((sent, line))
    return _compared(places[order], line[order], sent[order], arrived[order])


def _lines(history: History, places: Places, sent: Nanoseconds) -> npt.NDArray[np.intp]:
    """Number the lines: messages with one source, target, load worker, and life of the source."""
    source, target = (history.column(name)[places] for name in ("source", "target"))
    worker = records.identifiers(history)[places].view(IDENTIFIER)["worker"]
    lives = silences.of(history).lives(source, sent)
    columns = np.stack([source.astype(np.int64), target, worker, lives])
    return np.unique(columns, axis=1, return_inverse=True)[1].ravel()


def _compared(
    places: Places,
    line: npt.NDArray[np.intp],
    sent: Nanoseconds,
    arrived: npt.NDArray[np.intp],
) -> _Delivered:
    """Hold the order of sending against `arrived`, the order of delivery."""
    frame = np.cumsum(np.r_[0, (np.diff(line) != 0) | (np.diff(sent) != 0)])  # sent together
    begins = np.flatnonzero(np.r_[True, np.diff(frame) != 0])
    first = np.minimum.reduceat(arrived, begins)  # of each frame the first to arrive
    line_of, frames = line[begins], len(begins)
    # The first to arrive of all later frames of its line: lines from the last on, each below the
    # one before.
    depth = (line_of[-1] - line_of) * np.intp(len(arrived) + 1)
    least = np.minimum.accumulate((first - depth)[::-1])[::-1] + depth
    later = np.full(frames, len(arrived), np.intp)
    follows = line_of[1:] == line_of[:-1]
    later[:-1][follows] = least[1:][follows]
    alone = np.ones(frames, np.bool_)
    alone[:-1][follows] = False
    alone[1:][follows] = False
    return _Delivered(places, ~alone[frame], arrived > later[frame])


def _cannot_tell() -> Finding:
    return Finding(
        name=NAME,
        answer=Answer.UNKNOWN,
        promised="each",
        measured="not told",
        sentence="journals of this run have no records of private messages that were delivered",
        cause=Cause.NOT_MEASURED,
    )

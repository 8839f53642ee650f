"""Operations of a system's own: what a command file says of one, and a run folder keeps.

Each has a word, a ledger (whose record tells that it happened) and an address. Its number is of
that system alone: what a number means stands with every stream that has it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from harness.choices import one_of
from harness.errors import BadFileError
from harness.operations import OWN_FIRST, OWN_LAST, Operation
from harness.operations.operation import (
    MESSAGE,
    Address,
    Ledger,
    OperationMetric,
    OperationSpec,
    Taken,
    Witness,
)
from harness.operations.records import RecordKind

MOST = OWN_LAST - OWN_FIRST + 1
WORD = re.compile(r"[a-z](_?[a-z0-9])*")
TIME_SENTENCE = "from the intended time until its sender was told, and its witness had it"
NONE = "none"  # no ledger: only the answer counts
TIME, ANSWERED = "latency", "answered"
RETURN = "return_to_baseline"  # a metric of every operation
LETTERS_MOST = 32
# What else is named by a word and a dot, or so begins an option or a class of the load.
TAKEN = frozenset(
    {"cluster", "connections", "cpu", "disk", "fds", "gauge", "histogram", "iperf3", "membership"}
    | {"memory", "micro", "network", "node", "pacer", "project", "rate", "rss", "spawn", "stream"}
    | {"threads"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Promise:
    """A ledger that an operation of a system's own may have.

    `to`: whom it may be addressed to, the usual first; `counted`: see operation.Ledger; `share`:
    what the metric is called that is the share of those that came true.
    """

    to: tuple[Address, ...]
    witness: Witness | None = None
    record: RecordKind | None = None
    finding: str = ""
    counted: str = ""
    share: str
    sentence: str


LEDGERS: Mapping[str, Promise] = {
    "delivered": Promise(
        to=(Address.NODE,),
        witness=Witness.TARGET,
        record=RecordKind.DELIVERED,
        finding="acknowledged and delivered",
        counted="as delivered in the targets' journals",
        share="delivered",
        sentence="share that was acknowledged, which is to be in its target's journal",
    ),
    "received": Promise(
        to=(Address.NOBODY,),
        witness=Witness.EVERY_OTHER_NODE,
        record=RecordKind.RECEIVED,
        finding="in the journals of all {others} other nodes",
        counted="as received in the journals of all other nodes that ran",
        share="received",
        sentence="share that was acknowledged, which is to be in all other nodes' journals",
    ),
    "stored": Promise(
        to=(Address.NEW_KEY,),
        witness=Witness.KEEPER,
        record=RecordKind.STORED,
        finding="stored at another node",
        counted="by key, as stored in the journals of other nodes",
        share="stored",
        sentence="share that was acknowledged, which is to be in another node's journal",
    ),
    ANSWERED: Promise(
        to=(Address.STORED_KEY,),
        witness=Witness.ANSWERER,
        record=RecordKind.ANSWERED,
        finding="answered by another node",
        counted="as answered to the asker, while it waited, in the journals of the nodes named",
        share=ANSWERED,
        sentence="share that was answered, which is to be in the answering node's journal",
    ),
    NONE: Promise(
        to=(Address.NODE, Address.NOBODY, Address.NEW_KEY, Address.STORED_KEY),
        share="done",
        sentence="share that was answered as it should",
    ),
}
# What other findings say of one operation, behind its word.
SAID = ("done after it was sent", "what failed was not done", "not acknowledged, ")
SHARES = frozenset(promise.share for promise in LEDGERS.values())


def is_word(word: str) -> bool:
    """Whether an operation of a system's own may have this word."""
    known = {operation.word for operation in Operation}
    is_one = len(word) <= LETTERS_MOST and WORD.fullmatch(word)
    return bool(is_one) and word not in known | TAKEN


def made(number: int, word: str, ledger: str, to: str | None = None) -> Operation:
    """Make an operation. Raises BadFileError, beginning with the key that is wrong."""
    if not OWN_FIRST <= number <= OWN_LAST:
        raise BadFileError(f"number: expected {OWN_FIRST} to {OWN_LAST}, found {number}")
    if not is_word(word):
        raise BadFileError(
            f"{word!r} cannot be the word of an operation of one's own: expected at most "
            f"{LETTERS_MOST} of a-z, 0-9 and '_', and none that an operation or a metric of the "
            "harness has"
        )
    if ledger not in LEDGERS:
        raise BadFileError(f"ledger: {one_of(ledger, LEDGERS)}")
    promise = LEDGERS[ledger]
    address = promise.to[0].value if to is None else to
    if address not in [each.value for each in promise.to]:
        known = [each.value for each in promise.to]
        raise BadFileError(f"to: with the ledger {ledger!r}: {one_of(address, known)}")
    return Operation.of(_spec(number, word, promise, Address(address)))


def _spec(number: int, word: str, promise: Promise, to: Address) -> OperationSpec:
    ledger = None
    if promise.witness is not None and promise.record is not None:
        ledger = Ledger(
            finding=f"{word}: {promise.finding}",
            witness=promise.witness,
            record=promise.record,
            counted=promise.counted,
        )
    return OperationSpec(
        number=number,
        word=word,
        sentence=f"Operations {word}, of the system's own.",
        to=to,
        rate_per_s=0,
        payload=MESSAGE,
        ledger=ledger,
        is_given_up=promise.witness is Witness.ANSWERER,
        metrics=(
            OperationMetric(
                suffix=TIME,
                taken=Taken.LATENCY,
                sentence="from the intended time until it was done",
            ),
            OperationMetric(suffix=promise.share, taken=Taken.SHARE, sentence=promise.sentence),
        ),
    )


def untold(number: int, word: str) -> Operation:
    """Make an operation of which nothing but word and number is told."""
    sentence = "Operations of which nothing is told."
    spec = OperationSpec(
        number=number, word=word, sentence=sentence, to=Address.NOBODY, rate_per_s=0
    )
    return Operation.of(spec)


def ledger_of(operation: Operation) -> str:
    """Return the word of its ledger."""
    record = None if operation.spec.ledger is None else operation.spec.ledger.record
    return next(word for word, promise in LEDGERS.items() if promise.record is record)


def as_json(operation: Operation) -> dict[str, Any]:
    """Return what a run folder says of an operation of a system's own."""
    return {
        "number": int(operation),
        "word": operation.word,
        "ledger": ledger_of(operation),
        "to": operation.spec.to.value,
    }


def entries(operations: Iterable[Operation]) -> list[dict[str, Any]]:
    """Return what is said of those of these operations that are of a system's own, by number."""
    return [as_json(one) for one in sorted(operations) if one.is_own]


def from_json(said: Mapping[str, Any]) -> Operation:
    """Read what `as_json` said. Raises KeyError, TypeError, BadFileError for what is none."""
    return made(said["number"], said["word"], said["ledger"], said["to"])


def of_stream(said: Mapping[str, Any]) -> Operation:
    """Return the operation of a stream that metadata.json says. Raises as `from_json`."""
    word = said["operation"]
    if "own" in said:
        found = from_json(said["own"])
        if found.word != word:
            raise BadFileError(f"own: expected what {word!r} is, found what {found.word!r} is")
        return found
    known = {each.word: each for each in Operation}
    if word not in known:
        raise BadFileError(f"operation: {one_of(word, known)}")
    return known[word]


def of_streams(said: Iterable[Mapping[str, Any]]) -> tuple[Operation, ...]:
    """Return the operations of a system's own that streams have, each once, by number. Raises as
    `from_json`, and where two of them have one number or one word.
    """
    found = dict.fromkeys(of_stream(each) for each in said if "own" in each)
    for what, values in (("number", list(map(int, found))), ("word", [e.word for e in found])):
        if len(set(values)) < len(values):
            raise BadFileError(f"own: two operations have the same {what}")
    return tuple(sorted(found))


def metrics(operations: Iterable[Operation]) -> list[str]:
    """Return the metrics of those of these operations that are of a system's own."""
    return [
        f"{one.word}.{what}"
        for one in operations
        if one.is_own and one.spec.metrics
        for what in (*(each.suffix for each in one.spec.metrics), RETURN)
    ]


def word_in(name: str) -> str | None:
    """Return the word of the operation of a system's own that a finding's name is about; None where
    it is about none: ``enqueue: stored at another node``, ``load: enqueue``.
    """
    head, _, rest = name.partition(": ")
    said = [one.finding.partition("{")[0] for one in LEDGERS.values() if one.finding]
    if is_word(head) and rest.startswith((*said, *SAID)):
        return head
    return rest if head in ("load", "operations that came true") and is_word(rest) else None

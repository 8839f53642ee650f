"""What the nodes of a command file report, made into records of their journals: delivered,
received, stored, answered, connected. All drivers of a cluster share one `Reports`.
"""

from __future__ import annotations

import asyncio
import re
from collections import defaultdict, deque
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from harness.operations import Request
from harness.operations.operation import ID_BYTES, Address, Witness
from harness.operations.records import RecordKind
from harness.runtimes.runtime import Place
from harness.systems.adapter import Saw
from harness.systems.adapters import driven
from harness.systems.adapters.command_answers import keys_of, known_ids, named_in, others
from harness.systems.adapters.payloads import Payloads
from harness.systems.adapters.sent import KNOWN_MAX, Sent

BY_ID = (Witness.TARGET, Witness.EVERY_OTHER_NODE)  # whose reports name the operation itself
MEETINGS_MAX = 1 << 10  # of two nodes that nobody has asked for yet
CHANGED = "it reports another payload than was sent, behind the id of one that was"
SHARED = b""  # the source of a key that several put under

T = TypeVar("T")
Meeting = tuple[RecordKind, bytes, bytes]  # at which node, with which other


@dataclass(slots=True)
class Reports:
    """What is known of the operations that were sent: by it a line of a report is read."""

    names: Mapping[str, bytes] = field(default_factory=dict)  # name or address → wire id
    sent: Sent = field(default_factory=Sent)
    payloads: Payloads = field(default_factory=Payloads)
    values: driven.Values = field(default_factory=driven.Values)
    up: set[str] = field(default_factory=set)  # nodes that can be joined
    _sources: dict[bytes, bytes] = field(default_factory=dict)  # id of a put → who put it
    _keys: dict[bytes, bytes] = field(default_factory=dict)  # beginning of a key → who put it
    _met: dict[Meeting, deque[int]] = field(
        default_factory=lambda: defaultdict(lambda: deque(maxlen=MEETINGS_MAX))
    )
    _waiting: dict[Meeting, deque[tuple[int, asyncio.Future[int]]]] = field(
        default_factory=lambda: defaultdict(deque)
    )

    @classmethod
    def of(cls, places: Mapping[bytes, Place]) -> Reports:
        """Return that of a cluster with these places."""
        named = {place.node.name: id_ for id_, place in places.items()}
        return cls(names=named | {place.address: id_ for id_, place in places.items()})

    def remember(self, request: Request, source: bytes, payload: str = "") -> None:
        """Remember an operation that is about to be asked for; `payload`: the text of it that the
        node is given, empty where that is none.
        """
        ledger = request.operation.spec.ledger
        if ledger is not None and ledger.witness in BY_ID:
            self.sent.remember(request.id, int(ledger.record))
            if payload:
                self.payloads.remember(request.id, payload)
        if request.operation.spec.to is Address.NEW_KEY:
            key = (request.target or b"")[:ID_BYTES]
            _keep(self._sources, request.id, source)
            _keep(self._keys, key, SHARED if self._keys.get(key, source) != source else source)
        self.values.remember(request)

    def tell(
        self,
        line: str,
        own: bytes,
        patterns: Mapping[RecordKind, re.Pattern[str]],
        at_ns: int,
        saw: Saw,
    ) -> str:
        """Tell what a node's line reports; return what is doubtful in it, a sentence or nothing."""
        if not patterns:
            ids = known_ids(line, self.sent)
            for id_ in ids:  # once, however often the line says it
                saw(self.sent.kind(id_), id_, at_ns)
            return self._changed(line, ids)
        kind = next((kind for kind, pattern in patterns.items() if pattern.search(line)), None)
        if kind in (RecordKind.DELIVERED, RecordKind.RECEIVED):
            ids = known_ids(line, self.sent)
            for id_ in ids:
                saw(kind, id_, at_ns)
            return self._changed(line, ids)
        if kind is RecordKind.STORED:
            return self._stored(line, own, at_ns, saw)
        if kind is not None:
            return self._met_another(kind, line, own, at_ns, saw)
        return ""

    def _changed(self, line: str, ids: Collection[bytes]) -> str:
        """Say that a line which holds one id has another payload than was sent; of several nobody
        knows what belongs to which.
        """
        if len(ids) == 1 and any(self.payloads.differs(line, id_) for id_ in ids):
            return CHANGED
        return ""

    def _stored(self, line: str, own: bytes, at_ns: int, saw: Saw) -> str:
        named = others(line, self.names, own)
        put_by = [self._sources[id_] for id_ in known_ids(line, self._sources)]
        for key in keys_of(line, self._keys):
            source = [*put_by, *named, self._keys[key]][0]
            saw(RecordKind.STORED, key, at_ns, peer=source)
            if source == SHARED:
                return (
                    f"it stored a value under {key.hex()}…, which several nodes put values under, "
                    f"and does not say whose: expected the value too, or who put it: {line[:80]!r}"
                )
        return ""

    def _met_another(self, kind: RecordKind, line: str, own: bytes, at_ns: int, saw: Saw) -> str:
        named, everybody = others(line, self.names, own), named_in(line, self.names)
        keys = keys_of(line, self._keys) if kind is RecordKind.ANSWERED else {bytes(ID_BYTES)}
        if not everybody or not keys:
            what = "no node by name or address" if keys else "no key that somebody put"
            return (
                f"a line of its reports says {kind.name.lower()}, and names {what}: {line!r:.200}"
            )
        if not named:
            return ""  # it met itself, which shows nothing
        for key in keys:
            saw(kind, key, at_ns, peer=named[0])
        meeting = kind, own, named[0]
        waiting = self._waiting[meeting]
        while waiting:
            since_ns, told = waiting[0]
            if not told.done() and since_ns > at_ns:
                break
            waiting.popleft()
            if not told.done():
                told.set_result(at_ns)
                return ""
        self._met[meeting].append(at_ns)
        return ""

    async def meeting(self, meeting: Meeting, since_ns: int) -> int:
        """Wait until the node has told that it met the other since then; return when it did. Each
        is told of once.
        """
        met = self._met[meeting]
        while met:
            if (at_ns := met.popleft()) >= since_ns:
                return at_ns
        told: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._waiting[meeting].append((since_ns, told))
        return await told


def _keep(known: dict[bytes, T], key: bytes, value: T) -> None:
    known[key] = value
    if len(known) > KNOWN_MAX:
        del known[next(iter(known))]

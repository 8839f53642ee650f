"""The routing table: k-buckets, their replacement caches, and the neighbourhood around this node's
own position.

Rules of the paper: a bucket is kept from least to most recently seen; a contact leaves it only
after it failed to answer (§2.2); a contact that failed and has no replacement is kept, and rested
for a while (§4.1); the nodes nearest to this one are known however they fall into buckets (§2.4:
the k closest must be complete, or values are not found). While nobody at all answers, this node is
the one that is cut off, and nobody leaves.

Contacts that others only told about fill free room, so that a young table is useful. They are never
handed on, count for nothing, and give way to any node that was heard itself: made-up contacts
spread no further than one table.
"""

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from meshnode.dht.contact import Contact

REPLACEMENTS = 8  # kept for each bucket
NEIGHBOURHOOD = 16  # at least, else 2 k: nodes nearest to this one that a full bucket still admits
SILENT_NS = 60 * 10**9  # a bucket's oldest contact is pinged for a newcomer's sake only after this
REST_NS = 5 * 10**9  # after a failure, doubled with each further one
MAX_REST_NS = 30 * 10**9
MAX_FAILURES = 10  # in a row: then it is forgotten


@dataclass(slots=True)
class _Entry:
    contact: Contact
    seen_ns: int | None  # None: others told about it, it was never heard
    failures: int = 0
    rest_until_ns: int = 0


@dataclass(slots=True)
class _Bucket:
    entries: dict[bytes, _Entry] = field(default_factory=dict)  # least recently seen first
    replacements: dict[bytes, _Entry] = field(default_factory=dict)  # newest last
    ping_under_way: bool = False


class Table:
    """Contacts by the length of their distance: bucket `depth` holds those with 2^(depth-1) <=
    distance < 2^depth.
    """

    def __init__(self, own: Contact, k: int) -> None:
        self._own = own
        self._k = k
        self._neighbourhood = max(2 * k, NEIGHBOURHOOD)
        self._buckets: dict[int, _Bucket] = {}
        self._entries: dict[bytes, _Entry] = {}
        self._heard_ns = 0  # when a node was heard last, whichever

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[Contact]:
        return (
            entry.contact
            for _, bucket in sorted(self._buckets.items())
            for entry in bucket.entries.values()
        )

    def contact(self, node_id: bytes, address: str, port: int) -> Contact:
        """The node as a contact, the known one where nothing changed. Raises ValueError for an
        impossible address.
        """
        known = self._entries.get(node_id)
        if known is not None and (known.contact.address, known.contact.port) == (address, port):
            return known.contact
        return Contact(node_id, address, port)

    def heard(self, contact: Contact, now_ns: int) -> Contact | None:
        """An authentic message came from this node. Returns a contact to ping, if the newcomer
        needs its place.
        """
        if contact.id == self._own.id:
            return None
        self._heard_ns = now_ns
        known = self._entries.get(contact.id)
        depth = self._depth(contact)
        bucket = self._bucket(depth)
        if known is not None:
            known.contact, known.seen_ns, known.failures, known.rest_until_ns = (
                contact,
                now_ns,
                0,
                0,
            )
            bucket.entries[contact.id] = bucket.entries.pop(contact.id)
            return None
        bucket.replacements.pop(contact.id, None)
        entry = _Entry(contact, now_ns)
        if self._admit(depth, bucket, entry):
            return None
        self._keep_as_replacement(bucket, entry)
        return self._to_ping(bucket, now_ns)

    def told(self, contacts: Iterable[Contact]) -> None:
        """Another node told about these: they fill buckets that have room."""
        for contact in contacts:
            if contact.id in self._entries or contact.id == self._own.id:
                continue
            bucket = self._bucket(self._depth(contact))
            if len(bucket.entries) < self._k and contact.id not in bucket.replacements:
                self._insert(bucket, _Entry(contact, None))

    def failed(self, contact: Contact, asked_ns: int, now_ns: int) -> None:
        """The contact did not answer a request, which was first sent at `asked_ns`, nor its
        repetitions. Where nobody was heard since, that says nothing of the contact: it rests.
        """
        bucket = self._buckets.get(self._depth(contact))
        if bucket is None:
            return
        bucket.ping_under_way = False
        is_cut_off = self._heard_ns < asked_ns
        entry = bucket.entries.get(contact.id)
        if entry is None:
            if not is_cut_off:
                bucket.replacements.pop(contact.id, None)
            return
        entry.failures = max(entry.failures, 1) if is_cut_off else entry.failures + 1
        entry.rest_until_ns = now_ns + min(REST_NS << (entry.failures - 1), MAX_REST_NS)
        if is_cut_off:
            return
        if bucket.replacements:
            self._remove(bucket, entry)
            if len(bucket.entries) < self._k:
                self._insert(bucket, bucket.replacements.popitem()[1])
        elif entry.seen_ns is None or entry.failures >= MAX_FAILURES:
            self._remove(bucket, entry)

    def ping_answered(self, contact: Contact) -> None:
        """The ping that `heard` asked for was answered: the newcomer stays a replacement."""
        bucket = self._buckets.get(self._depth(contact))
        if bucket is not None:
            bucket.ping_under_way = False

    def worth_asking(self, told: Iterable[Contact], now_ns: int) -> tuple[Contact, ...]:
        """Of contacts that another node told about: without this node and those that rest, known
        ones as they are known.
        """
        asked = []
        for contact in told:
            entry = self._entries.get(contact.id)
            if entry is None:
                if contact.id != self._own.id:
                    asked.append(contact)
            elif entry.rest_until_ns <= now_ns:
                asked.append(entry.contact)
        return tuple(asked)

    def closest(self, target: int, count: int, now_ns: int) -> list[Contact]:
        """The `count` contacts nearest to `target` that may be asked now, nearest first.

        Where all are resting, any: a node cut off finds out at once that it is back.
        """
        rested = (
            entry.contact for entry in self._nearest_first(target) if entry.rest_until_ns <= now_ns
        )
        everyone = (entry.contact for entry in self._nearest_first(target))
        return list(itertools.islice(rested, count)) or list(itertools.islice(everyone, count))

    def closest_heard(self, target: int, count: int, asker: bytes) -> list[Contact]:
        """The `count` nearest to `target` fit to be handed to `asker`: heard themselves, not
        failing, not the asker.
        """
        nearest: list[Contact] = []
        for buckets in self._groups(target):
            fit = {
                entry.contact.position: entry.contact
                for bucket in buckets
                for entry in bucket.entries.values()
                if entry.seen_ns is not None and not entry.failures
            }
            nearest += map(fit.__getitem__, sorted(fit, key=target.__xor__))
            if len(nearest) > count:  # without the asker still as many
                break
        return [contact for contact in nearest if contact.id != asker][:count]

    def is_known_alive(self, contact: Contact, now_ns: int) -> bool:
        """Whether the contact was heard a moment ago, and has not failed since: it knows this node
        too.
        """
        entry = self._entries.get(contact.id)
        return (
            entry is not None
            and entry.seen_ns is not None
            and now_ns - entry.seen_ns < SILENT_NS
            and not entry.failures
        )

    def sparse_depths(self) -> list[int]:
        """The buckets with room, from the farthest to the one of the nearest contact."""
        occupied = [depth for depth, bucket in self._buckets.items() if bucket.entries]
        return [
            depth
            for depth in range(256, min(occupied, default=257) - 1, -1)
            if depth not in self._buckets or len(self._buckets[depth].entries) < self._k
        ]

    def _bucket(self, depth: int) -> _Bucket:
        bucket = self._buckets.get(depth)
        if bucket is None:
            bucket = self._buckets[depth] = _Bucket()
        return bucket

    def _depth(self, contact: Contact) -> int:
        return (contact.position ^ self._own.position).bit_length()

    def _nearest_first(self, target: int) -> Iterator[_Entry]:
        """All entries by distance from `target`; sorts no more buckets than are read."""
        for buckets in self._groups(target):
            entries = [entry for bucket in buckets for entry in bucket.entries.values()]
            yield from sorted(entries, key=lambda entry: entry.contact.position ^ target)

    def _groups(self, target: int) -> Iterator[list[_Bucket]]:
        """The buckets in groups, of which each is nearer to `target` than the next."""
        depth = (target ^ self._own.position).bit_length()
        if depth in self._buckets:
            yield [self._buckets[depth]]
        # these share with this node the first bit in which it differs from the target: no order
        # among them
        yield [bucket for other, bucket in self._buckets.items() if other < depth]
        for other in sorted(self._buckets):
            if other > depth:
                yield [self._buckets[other]]

    def _admit(self, depth: int, bucket: _Bucket, entry: _Entry) -> bool:
        if len(bucket.entries) >= self._k:
            told = next((other for other in bucket.entries.values() if other.seen_ns is None), None)
            if told is not None:
                self._remove(bucket, told)
            elif self._heard_nearer(depth, entry.contact) >= self._neighbourhood:
                return False
        self._insert(bucket, entry)
        if len(bucket.entries) > self._k:
            self._trim(depth, bucket)
        return True

    def _trim(self, depth: int, bucket: _Bucket) -> None:
        """A bucket above k holds neighbours only: the farthest leaves once nearer ones fill the
        neighbourhood.
        """
        farthest = max(
            bucket.entries.values(), key=lambda entry: entry.contact.position ^ self._own.position
        )
        if self._heard_nearer(depth, farthest.contact) >= self._neighbourhood:
            self._remove(bucket, farthest)
            self._keep_as_replacement(bucket, farthest)

    def _heard_nearer(self, depth: int, contact: Contact) -> int:
        """How many contacts heard themselves are nearer to this node than `contact`, which is in
        bucket `depth`.
        """
        distance = contact.position ^ self._own.position
        return sum(
            entry.seen_ns is not None
            and (other < depth or entry.contact.position ^ self._own.position < distance)
            for other, bucket in self._buckets.items()
            if other <= depth
            for entry in bucket.entries.values()
        )

    def _insert(self, bucket: _Bucket, entry: _Entry) -> None:
        bucket.entries[entry.contact.id] = self._entries[entry.contact.id] = entry

    def _remove(self, bucket: _Bucket, entry: _Entry) -> None:
        del bucket.entries[entry.contact.id], self._entries[entry.contact.id]

    @staticmethod
    def _keep_as_replacement(bucket: _Bucket, entry: _Entry) -> None:
        bucket.replacements[entry.contact.id] = entry
        if len(bucket.replacements) > REPLACEMENTS:
            del bucket.replacements[next(iter(bucket.replacements))]

    @staticmethod
    def _to_ping(bucket: _Bucket, now_ns: int) -> Contact | None:
        """The bucket's oldest contact, if it was silent for long and no other ping decides about
        this bucket already.
        """
        oldest = next(iter(bucket.entries.values()))
        if bucket.ping_under_way or oldest.seen_ns is None or now_ns - oldest.seen_ns < SILENT_NS:
            return None
        bucket.ping_under_way = True
        return oldest.contact

"""The routing table: who is admitted, who has to leave, who is handed on."""

import functools
import itertools
import random

from hypothesis import given, settings
from hypothesis import strategies as st
from kit.dht_simulation import S, contact_of
from meshnode.dht import Contact
from meshnode.dht.table import (
    MAX_FAILURES,
    MAX_REST_NS,
    NEIGHBOURHOOD,
    REPLACEMENTS,
    REST_NS,
    SILENT_NS,
    Table,
)

OWN = contact_of(0)


@functools.cache
def at_depth(depth: int, count: int) -> list[Contact]:
    """Contacts whose distance from OWN has this many bits."""
    fitting = (
        contact for index in itertools.count(1) if depth_of(contact := contact_of(index)) == depth
    )
    return list(itertools.islice(fitting, count))


def depth_of(contact: Contact) -> int:
    return (contact.position ^ OWN.position).bit_length()


def distance(contact: Contact) -> int:
    return contact.position ^ OWN.position


def full_table(k: int = 4) -> tuple[Table, list[Contact], int]:
    """A table whose neighbourhood and whose farthest bucket are full, the contacts in that bucket,
    and the time.
    """
    table = Table(OWN, k)
    now_ns = S
    for depth in range(255, 249, -1):
        for contact in at_depth(depth, 4):
            table.heard(contact, now_ns)
    far = at_depth(256, 20)
    for contact in far[:k]:
        now_ns += 1
        assert table.heard(contact, now_ns) is None
    return table, far, now_ns


def test_a_full_bucket_keeps_its_oldest_contact_while_it_answers() -> None:
    table, far, now_ns = full_table()
    assert table.heard(far[4], now_ns) is None, "heard lately: nobody is pinged"
    assert far[4] not in list(table)
    later_ns = now_ns + SILENT_NS
    assert table.heard(far[5], later_ns) == far[0], "the least recently seen is pinged"
    assert table.heard(far[6], later_ns) is None, "one ping a bucket at a time"
    table.heard(far[0], later_ns)
    table.ping_answered(far[0])
    assert set(far[:4]) <= set(table)
    assert not set(far[4:]) & set(table)
    assert table.heard(far[6], later_ns) == far[1], "far[0] has become the most recently seen"


def test_a_full_bucket_replaces_a_contact_that_is_silent() -> None:
    """The oldest is pinged, and replaced when that fails."""
    table, far, now_ns = full_table()
    later_ns = now_ns + SILENT_NS
    assert table.heard(far[4], later_ns) == far[0]
    assert table.heard(far[5], later_ns) is None
    table.failed(far[0], later_ns, later_ns)
    assert far[0] not in list(table)
    assert far[5] in list(table), "the newest of the replacements"
    assert far[4] not in list(table)


def test_a_silent_contact_without_replacement_rests() -> None:
    """It is forgotten at last."""
    table = Table(OWN, 4)
    one, other = contact_of(1), contact_of(2)
    table.heard(one, S)
    table.heard(other, S)
    table.failed(one, S, S)
    assert one in list(table)
    assert table.closest(one.position, 2, S) == [other]
    assert table.worth_asking([one, other, OWN], S) == (other,)
    assert table.closest(one.position, 2, S + REST_NS) == [one, other], "rested"
    assert table.closest_heard(one.position, 2, b"") == [other], (
        "but not handed on before it was heard again"
    )
    table.failed(other, S, S)
    assert table.closest(one.position, 1, S) == [one], "where all rest, any will do"
    for _ in range(MAX_FAILURES - 2):
        table.failed(one, S, S)
        assert table.closest(one.position, 1, S + MAX_REST_NS) == [one]
    table.failed(one, S, S)
    assert one not in list(table)
    table.heard(other, 2 * S)
    assert table.closest_heard(one.position, 2, b"") == [other], "heard again: as good as new"


def test_nobody_leaves_while_nobody_answers() -> None:
    """Who is cut off learns nothing of the others: no silence counts that began after the last word
    of anybody.
    """
    table, far, now_ns = full_table()
    assert table.heard(far[4], now_ns) is None, "a replacement"
    young = at_depth(249, 1)
    table.told(young)
    before = list(table)
    for _ in range(2 * MAX_FAILURES):
        now_ns += MAX_REST_NS
        for contact in [*before, far[4]]:
            table.failed(contact, now_ns - 1, now_ns)
    assert list(table) == before
    assert table.closest_heard(far[0].position, 9, b"") == [], "but nobody is handed on"
    table.heard(far[1], now_ns)
    for contact in (far[0], *young):
        table.failed(contact, now_ns, now_ns)
    assert far[0] not in list(table), "it alone was silent: the replacement, which was kept"
    assert far[4] in list(table)
    assert young[0] not in list(table)


def test_contacts_told_about_push_nobody_out() -> None:
    """They fill room, and are not handed on."""
    table, far, _ = full_table()
    before = list(table)
    table.told([far[4], OWN, *far[:3]])
    assert list(table) == before
    young = Table(OWN, 4)
    young.told(far[:6])
    assert set(young) == set(far[:4]), "as far as there is room"
    assert young.closest(far[0].position, 1, S) == [far[0]]
    assert young.closest_heard(far[0].position, 1, b"") == []
    young.heard(far[5], S)
    assert far[5] in list(young), "who is heard takes the place of one only told about"
    assert len(young) == 4
    young.heard(far[3], S)
    assert far[3] in young.closest_heard(far[0].position, 4, b"")
    young.failed(far[1], S, S)
    young.failed(far[2], S, S)
    assert far[2] not in list(young), "never heard and silent: gone at once"


def test_the_nearest_nodes_are_known_however_full_their_bucket() -> None:
    table = Table(OWN, 4)
    far = at_depth(256, 60)
    for contact in far:
        table.heard(contact, S)
    nearest = sorted(far, key=distance)[:NEIGHBOURHOOD]
    assert set(nearest) <= set(table)
    assert len(table) == NEIGHBOURHOOD, "and no more than these"
    for contact in at_depth(255, 60):
        table.heard(contact, S)
    nearest = sorted(at_depth(255, 60), key=distance)[:NEIGHBOURHOOD]
    assert set(nearest) <= set(table)


def test_a_flood_of_identities_finds_bounded_room() -> None:
    table = Table(OWN, 4)
    for index in range(1, 3000):
        table.heard(contact_of(index), S)
        table.told([contact_of(index + 10_000)])
    depths = {depth_of(contact) for contact in table}
    assert len(table) <= len(depths) * NEIGHBOURHOOD
    kept = sum(len(bucket.entries) + len(bucket.replacements) for bucket in table._buckets.values())
    assert kept <= len(table._buckets) * (NEIGHBOURHOOD + REPLACEMENTS)


def test_a_new_address_of_a_known_node_counts() -> None:
    table = Table(OWN, 4)
    table.heard(contact_of(1), S)
    moved = table.contact(contact_of(1).id, "198.18.9.9", 9)
    table.heard(moved, 2 * S)
    assert list(table) == [moved]
    assert table.contact(moved.id, moved.address, moved.port) is moved
    assert table.worth_asking([contact_of(1)], S) == (moved,), "what was heard beats what is told"


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 1000),
    count=st.integers(0, 200),
    wanted=st.integers(1, 40),
    k=st.integers(1, 20),
)
def test_closest_is_what_sorting_all_contacts_gives(
    seed: int, count: int, wanted: int, k: int
) -> None:
    rng = random.Random(seed)
    table = Table(OWN, k)
    for index in rng.sample(range(1, 1000), count):
        table.heard(contact_of(index), S)
    for target in (OWN.position, OWN.position ^ 1, contact_of(5).position, rng.getrandbits(256)):
        expected = sorted(table, key=lambda contact: contact.position ^ target)
        assert table.closest(target, wanted, S) == expected[:wanted]
        asker = expected[0].id if expected else b""
        assert table.closest_heard(target, wanted, asker) == expected[1 : wanted + 1]


def test_sparse_buckets_reach_to_the_nearest_contact() -> None:
    """From the farthest on."""
    table = Table(OWN, 4)
    assert table.sparse_depths() == []
    for contact in [*at_depth(256, 4), *at_depth(253, 1)]:
        table.heard(contact, S)
    assert table.sparse_depths() == [255, 254, 253], (
        "256 is full, nothing nearer than 253 is known to exist"
    )

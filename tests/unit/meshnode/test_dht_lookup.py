"""One iterative lookup: whom it asks, when it ends, how it counts hops."""

import random

from hypothesis import given, settings
from hypothesis import strategies as st
from kit.dht_simulation import contact_of
from meshnode.dht import Contact
from meshnode.dht.lookup import Lookup

TARGET = random.Random("target").getrandbits(256)
BY_DISTANCE = sorted(map(contact_of, range(1, 400)), key=lambda contact: contact.position ^ TARGET)


def test_it_ends_when_the_closest_seen_have_answered() -> None:
    lookup = Lookup(TARGET, width=2, alpha=1, start=BY_DISTANCE[5:10])
    assert not lookup.done
    assert lookup.due() == [BY_DISTANCE[5]]
    assert lookup.due() == [], "alpha are waited for"
    lookup.answered(BY_DISTANCE[5], [BY_DISTANCE[1], BY_DISTANCE[5], BY_DISTANCE[7]])
    assert lookup.due() == [BY_DISTANCE[1]]
    lookup.answered(BY_DISTANCE[1], [BY_DISTANCE[0]])
    assert not lookup.done
    assert lookup.due() == [BY_DISTANCE[0]]
    lookup.answered(BY_DISTANCE[0])
    assert lookup.done
    assert lookup.due() == []
    assert lookup.closest(2) == BY_DISTANCE[:2]
    assert lookup.closest(9) == [BY_DISTANCE[0], BY_DISTANCE[1], BY_DISTANCE[5]], (
        "only those that answered"
    )
    assert [lookup.hops_to(BY_DISTANCE[at]) for at in (7, 5, 1, 0)] == [1, 1, 2, 3]


def test_the_failed_make_room_and_the_late_are_waited_for() -> None:
    lookup = Lookup(TARGET, width=2, alpha=2, start=BY_DISTANCE[:4])
    assert lookup.due() == BY_DISTANCE[:2]
    lookup.late(BY_DISTANCE[0])
    assert lookup.due() == [BY_DISTANCE[2]], (
        "a substitute is asked while the late one is waited for"
    )
    lookup.answered(BY_DISTANCE[1])
    lookup.answered(BY_DISTANCE[2])
    assert not lookup.done, "the late one may still answer"
    lookup.failed(BY_DISTANCE[0])
    assert lookup.done
    assert lookup.closest(2) == BY_DISTANCE[1:3]


def test_all_failed_or_nobody_known_is_an_end() -> None:
    assert Lookup(TARGET, width=2, alpha=2, start=[]).done
    lookup = Lookup(TARGET, width=2, alpha=3, start=BY_DISTANCE[:2])
    for contact in lookup.due():
        lookup.failed(contact)
    assert lookup.done
    assert lookup.found == 0


def test_endless_lies_about_ever_closer_nodes_come_to_an_end() -> None:
    endless = iter(reversed(BY_DISTANCE))
    lookup = Lookup(TARGET, width=2, alpha=3, start=[next(endless), next(endless)])
    under_way = lookup.due()
    while not lookup.done:
        lookup.answered(under_way.pop(0), [next(endless), next(endless)])
        under_way += lookup.due()
    assert lookup.requests == lookup.max_requests == 80


@settings(max_examples=60, deadline=None)
@given(data=st.data(), width=st.integers(1, 8), alpha=st.integers(1, 4))
def test_a_lookup_ends_with_the_closest_that_answered(
    data: st.DataObject, width: int, alpha: int
) -> None:
    """Answers, silence and failures come in any order."""
    world = BY_DISTANCE[:60]
    lookup = Lookup(
        TARGET,
        width=width,
        alpha=alpha,
        start=data.draw(st.lists(st.sampled_from(world), max_size=5)),
    )
    under_way: list[Contact] = []
    late: list[Contact] = []
    answered: list[Contact] = []
    failed: list[Contact] = []
    while not lookup.done:
        due = lookup.due()
        assert not set(due) & {*answered, *failed, *under_way, *late}, "nobody is asked twice"
        under_way += due
        assert len(under_way) <= alpha
        assert under_way or late, "it is not done, so somebody is waited for"
        contact = data.draw(st.sampled_from(under_way + late))
        (under_way if contact in under_way else late).remove(contact)
        fate = data.draw(st.sampled_from(["answered", "late", "failed"]))
        if fate == "answered":
            lookup.answered(contact, data.draw(st.lists(st.sampled_from(world), max_size=4)))
            answered.append(contact)
        elif fate == "failed" or lookup.requests > 50:
            lookup.failed(contact)
            failed.append(contact)
        else:
            lookup.late(contact)
            late.append(contact)
    assert lookup.closest(width) == [contact for contact in world if contact in answered][:width]
    assert lookup.found == len(answered)

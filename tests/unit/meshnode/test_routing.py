"""The routing table: the best way that is up, newer news over older, and a bound on memory."""

from hypothesis import given
from hypothesis import strategies as st
from meshnode.routing import MAX_CANDIDATES, Routes

A, B, C, D = (bytes([value]) * 32 for value in range(4))
UP = {A: "link", B: "link", C: "link", D: "link"}.get


def test_the_shortest_way_of_the_same_news_is_taken() -> None:
    """Where it is down, the next."""
    routes = Routes()
    routes.learn(D, A, 3, 100)
    routes.learn(D, B, 2, 100)
    assert routes.find(D, UP) == B
    assert routes.find(D, {A: 1}.get) == A
    assert routes.find(D, {}.get) is None
    assert routes.find(C, UP) is None


def test_newer_news_replaces_older_however_short_that_was() -> None:
    routes = Routes()
    routes.learn(D, A, 1, 100)
    routes.learn(D, B, 5, 200)
    routes.learn(D, C, 1, 150)
    assert [one.next_hop for one in routes.entries[D]] == [B]


def test_a_way_that_broke_is_forgotten() -> None:
    routes = Routes()
    routes.learn(D, A, 1, 100)
    routes.learn(D, B, 2, 100)
    routes.forget(D, A)
    assert routes.find(D, UP) == B
    routes.forget(D, B)
    routes.forget(D, B)
    assert D not in routes.entries


@given(
    st.lists(
        st.tuples(
            st.binary(min_size=32, max_size=32),
            st.sampled_from([A, B, C, D]),
            st.integers(1, 9),
            st.integers(0, 5),
        ),
        max_size=60,
    )
)
def test_whatever_is_learned_the_table_is_bounded(
    news: list[tuple[bytes, bytes, int, int]],
) -> None:
    """Its candidates are sorted."""
    routes = Routes(max_entries=10)
    for destination, next_hop, hops, stamp_ns in news:
        routes.learn(destination, next_hop, hops, stamp_ns)
    assert len(routes.entries) <= 10
    for known in routes.entries.values():
        assert 1 <= len(known) <= MAX_CANDIDATES
        assert list(known) == sorted(known)
        assert len({one.next_hop for one in known}) == len(known)
        assert len({one.stamp_ns for one in known}) == 1


def test_a_filled_table_has_as_many_entries_as_asked_for() -> None:
    routes = Routes()
    routes.fill(1000, [A, B])
    assert len(routes.entries) == 1000
    assert all(routes.find(destination, UP) in {A, B} for destination in routes.entries)

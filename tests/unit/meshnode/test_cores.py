"""Small cores: histogram, timer wheel, replay cache, configuration, state, journal,
notification.
"""

import contextlib
import json
import os
import socket
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kit.nodes import read_journal
from meshnode import state
from meshnode.config import Config, ConfigError
from meshnode.histogram import Histogram, bucket_index
from meshnode.identity import Authority, Identity, IdentityError
from meshnode.journal import HEADER_BYTES, Journal, Kind
from meshnode.notify import Notifier
from meshnode.replay import ReplayCache
from meshnode.wheel import Wheel

BASE = {"version": 1, "name": "n", "address": "127.0.0.1", "port": 7000, "directory": "/d"}
LINK = {"name": "m", "id": "ab" * 32, "address": "127.0.0.2", "port": 7000}


@given(st.integers(0, 2**62))
def test_buckets_are_ordered_and_narrow(value: int) -> None:
    index = bucket_index(value)
    assert index <= bucket_index(value + 1) <= index + 1
    width = 1 << max(0, value.bit_length() - 8)
    assert width <= max(1, value / 128)


def test_a_histogram_sums_up() -> None:
    histogram = Histogram()
    for value in (3, 3, 1000):
        histogram.add(value)
    assert histogram.to_map() == {
        "unit": "ns",
        "count": 3,
        "sum": 1006,
        "max": 1000,
        "buckets": {3: 2, bucket_index(1000): 1},
    }


@given(st.lists(st.integers(0, 10_000), max_size=50), st.lists(st.integers(0, 12_000), max_size=20))
def test_the_wheel_gives_each_item_once(deadlines: list[int], times: list[int]) -> None:
    """No item comes early, and none is more than a slot late."""
    wheel: Wheel[int] = Wheel(slot_ns=100)
    for deadline in deadlines:
        wheel.add(deadline, deadline)
    given_out = []
    for now in [*sorted(times), 20_000]:
        due = wheel.expire(now)
        assert all(deadline <= now for deadline in due)
        given_out += due
        assert wheel.next_ns() is None or wheel.next_ns() > now
        assert all(deadline > now - 100 for deadline in set(deadlines) - set(given_out))
    assert sorted(given_out) == sorted(deadlines)


def test_the_replay_cache_remembers_long_enough_and_is_bounded() -> None:
    cache = ReplayCache(max_seen=10, generation_ns=100)
    cache.add(b"a", 1000)
    cache.add(b"b", 1099)
    cache.add(b"c", 1150)
    assert all(key in cache for key in (b"a", b"b", b"c"))
    cache.add(b"d", 1251)
    assert b"b" not in cache
    assert b"c" in cache
    for number in range(100):
        cache.add(bytes([number]), 1300)
    assert len(cache) <= 10


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"version": 2}, "version: expected 1, found 2"),
        ({"nmae": "x"}, "unknown key nmae; possible are version"),
        ({"name": None}, "name: missing"),
        ({"port": 0}, "port: expected 1 to 65535, found 0"),
        ({"port": "7"}, "port: expected a whole number, found '7'"),
        ({"address": "::1"}, "address: expected an IPv4 address, found '::1'"),
        (
            {"links": [{**LINK, "id": "ab"}]},
            r"links\[0\].id: expected 64 hexadecimal digits, found 'ab'",
        ),
        ({"links": [LINK, LINK]}, "links: a node id occurs twice"),
        ({"links": [7]}, r"links\[0\]: expected an object, found int"),
        ({"options": {"k": 0}}, "options.k: expected 1 to 30, found 0"),
        ({"options": {"kk": 1}}, "unknown key options.kk"),
        (
            {"options": {"planted_bug": "never-unsuspect"}},
            r"options.planted_bug: expected one of loses-after-heal, .*; found 'never-unsuspect'",
        ),
        ({"options": {"planted_bug": True}}, "options.planted_bug: expected a string, found True"),
    ],
)
def test_a_wrong_configuration_is_named(
    tmp_path: Path, change: dict[str, object], words: str
) -> None:
    path = tmp_path / "config.json"
    path.write_text(json.dumps(BASE | change))
    with pytest.raises(ConfigError, match=words):
        Config.load(path)


def test_a_right_configuration_is_read() -> None:
    config = Config.from_json(BASE | {"links": [LINK], "options": {"k": 4}})
    assert config.links[0].id == b"\xab" * 32
    assert (config.options.k, config.options.fanout) == (4, 10)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from([*BASE, "links", "options"]), inner, max_size=8)
        ),
    )
)
def test_any_json_is_a_configuration_or_a_config_error(document: object) -> None:
    with contextlib.suppress(ConfigError):
        Config.from_json(document)


def test_state_comes_back_and_a_torn_one_is_set_aside(tmp_path: Path) -> None:
    assert state.load(tmp_path) is None
    state.save(tmp_path, {"a": b"b"})
    assert state.load(tmp_path) == {"a": b"b"}
    whole = (tmp_path / state.FILE).read_bytes()
    for torn in (whole[:-1], b"", b"foreign", whole[:12] + b"\xc1"):
        (tmp_path / state.FILE).write_bytes(torn)
        with pytest.raises(state.TornState, match=r"kept as state.bin.torn"):
            state.load(tmp_path)
        assert state.load(tmp_path) is None
        assert (tmp_path / "state.bin.torn").read_bytes() == torn


def test_the_journal_has_one_header_and_forty_bytes_a_record(tmp_path: Path) -> None:
    path, node_id = tmp_path / "j", bytes(range(32))
    for number in range(2):
        journal = Journal(node_id)
        journal.add(Kind.DROPPED, bytes(16), 1)  # before begin: nowhere to
        journal.begin(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND))
        journal.add(Kind.PRIVATE_SENT, bytes(16), number, peer=b"\x01" * 32, size=2**40, hops=2**20)
        journal.end()
    assert path.stat().st_size == HEADER_BYTES + 2 * 40
    assert path.read_bytes()[16:48] == node_id
    assert [
        (record.at_ns, record.size, record.hops, record.peer) for record in read_journal(path)
    ] == [(number, 2**32 - 1, 2**16 - 1, b"\x01" * 8) for number in range(2)]


def test_notifications_wait_for_room(tmp_path: Path) -> None:
    path = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(path)
        receiver.setblocking(False)
        filler = Notifier("f", path)
        while filler.send("X=1"):
            pass
        notifier = Notifier("n", path)
        assert not notifier.send("STATUS=listening")
        assert not notifier.send("STATUS=joined", "READY=1")
        while True:
            try:
                receiver.recv(100)
            except BlockingIOError:
                break
        assert notifier.send()
        assert receiver.recv(100) == b"NODE=n\nSTATUS=listening\nSTATUS=joined\nREADY=1"
    os.unlink(path)
    with pytest.raises(FileNotFoundError):
        notifier.send("X=1")
    assert Notifier("n", "").send("X=1")


def test_identities_are_checked_when_loaded(tmp_path: Path) -> None:
    authority = Authority.load_or_create(tmp_path / "ca")
    a, b = (authority.issue(tmp_path / name, name) for name in "ab")
    assert Identity.load(tmp_path / "a").node_id == a != b
    assert Authority.load_or_create(tmp_path / "ca").issue(tmp_path / "c", "c") != a
    assert (tmp_path / "a" / "ca.pem").read_bytes() == (tmp_path / "c" / "ca.pem").read_bytes()
    assert (tmp_path / "a" / "key.pem").stat().st_mode & 0o777 == 0o600
    # The chain is whole: OpenSSL sends what is there instead of building it for every link.
    chain = (tmp_path / "a" / "cert.pem").read_bytes()
    assert chain.count(b"BEGIN CERTIFICATE") == 2
    assert chain.endswith((tmp_path / "a" / "ca.pem").read_bytes())
    (tmp_path / "a" / "cert.pem").write_bytes((tmp_path / "b" / "cert.pem").read_bytes())
    with pytest.raises(IdentityError, match="certifies another key"):
        Identity.load(tmp_path / "a")
    (tmp_path / "b" / "key.pem").write_text(
        "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----"
    )
    with pytest.raises(IdentityError, match="Ed25519 key as PKCS#8"):
        Identity.load(tmp_path / "b")
    with pytest.raises(IdentityError, match=r"key.pem: No such file"):
        Identity.load(tmp_path / "none")

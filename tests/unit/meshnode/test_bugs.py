"""Planted bugs that show in a node's journal: each does what it says, and a node without one does
not. Those that take other nodes are in tests/processes/test_bugs.py.
"""

import asyncio
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from kit.nodes import read_journal
from meshnode import bugs
from meshnode.bugs import BUGS, plant
from meshnode.config import Config, Options
from meshnode.dht import Contact
from meshnode.identity import Authority
from meshnode.journal import Kind
from meshnode.node import Node
from meshnode.wire import Message, Type

CLEAN = ""
PEER = Contact(bytes(range(32)), "127.0.0.2", 7000)


def with_node(folder: Path, bug: str, act: Callable[[Node], Any]) -> Any:
    """What `act` makes of a node that is built and not run. Of one folder it is the same node."""
    if not (folder / "ca").exists():
        Authority.load_or_create(folder / "ca").issue(folder, "n")
    config = Config(
        name="n",
        address="127.0.0.1",
        port=7000,
        directory=folder,
        options=Options(planted_bug=bug),
    )

    async def main() -> Any:
        return act(Node(config))

    return asyncio.run(main())


def delivered(node: Node, messages: int) -> int:
    """How many of so many messages the node's journal has."""
    path = node._config.directory / "journal"
    path.unlink(missing_ok=True)
    journal = node._instruments.journal
    journal.begin(os.open(path, os.O_WRONLY | os.O_CREAT))
    for number in range(messages):
        journal.add(Kind.PRIVATE_DELIVERED, number.to_bytes(16), time.monotonic_ns())
        journal.add(Kind.BROADCAST_DELIVERED, number.to_bytes(16), time.monotonic_ns())
    journal.end()
    kinds = [record.kind for record in read_journal(path)]
    assert kinds.count(Kind.BROADCAST_DELIVERED) == messages
    return kinds.count(Kind.PRIVATE_DELIVERED)


@pytest.mark.parametrize(("bug", "healed"), [(CLEAN, 2500), ("loses-after-heal", 2498)])
def test_one_in_a_thousand_is_lost_after_a_heal(tmp_path: Path, bug: str, healed: int) -> None:
    def act(node: Node) -> list[int]:
        dht, found = node._overlay.dht, []
        dht.add_contact(PEER, 1)
        found.append(delivered(node, 2500))
        dht._table.failed(PEER, 1, 2)
        found.append(delivered(node, 2500))
        dht.add_contact(PEER, 3)
        found.append(delivered(node, 2500))
        return found

    assert with_node(tmp_path, bug, act) == [2500, 2500, healed]


@pytest.mark.parametrize(("bug", "again"), [(CLEAN, 100), ("delivers-twice-after-restart", 110)])
def test_one_in_ten_comes_twice_after_a_restart(tmp_path: Path, bug: str, again: int) -> None:
    def act(node: Node) -> int:
        node._memory.load()
        found = delivered(node, 100)
        node._memory.save()
        return found

    assert [with_node(tmp_path, bug, act) for _ in range(2)] == [100, again]


class Down:
    """A link of a peer, which is gone."""

    def __init__(self, peer: int) -> None:
        self.peer_id = bytes([peer]) * 32


def after_two_left(node: Node) -> list[int]:
    """How many of 100 messages are kept at first, and after one peer, the same again, and another
    left.
    """
    found = [delivered(node, 100)]
    for part in (node._broadcasting, node._messaging, node._files):
        part.link_down = lambda _: None
    for peer in (1, 1, 2):
        node.link_down(Down(peer), was_replaced=False)
        found.append(delivered(node, 100))
    return found


@pytest.mark.parametrize(("bug", "kept"), [(CLEAN, 100), ("loses-after-two-left", 0)])
def test_all_is_lost_after_two_peers_left(tmp_path: Path, bug: str, kept: int) -> None:
    assert with_node(tmp_path, bug, after_two_left) == [100, 100, 100, kept]


def test_in_some_lives_all_is_lost_after_two_peers_left(tmp_path: Path) -> None:
    """Of 60 lives: that all, or none, would be such is less likely than one in ten thousand million
    times.
    """
    bug = "loses-after-two-left-sometimes"
    last = [with_node(tmp_path, bug, after_two_left)[-1] for _ in range(60)]
    assert set(last) == {0, 100}


@pytest.mark.parametrize(
    ("bug", "descriptors", "teeth", "pages"),
    [
        ("leaks-a-descriptor-a-minute", 60, 0, 0),
        ("saw-tooth-memory", 0, 90, 0),
        ("leaks-memory-in-saw-tooth", 0, 90, 488),
    ],
)
def test_what_leaks_in_an_hour(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    bug: str,
    descriptors: int,
    teeth: int,
    pages: int,
) -> None:
    """By the intervals at which a node that only waits is called."""
    called: list[tuple[float, Callable[[], object]]] = []
    monkeypatch.setattr(bugs, "_every", lambda _, seconds, call: called.append((seconds, call)))
    with_node(tmp_path, bug, lambda _: None)
    opened: list[str] = []
    monkeypatch.setattr(os, "open", lambda path, _: opened.append(path))
    for seconds, call in called:
        for _ in range(round(3600 / seconds)):
            call()
    assert len(opened) == descriptors
    by_interval = {seconds: round(3600 / seconds) for seconds, _ in called}
    assert (by_interval.get(1.0, 0) // bugs.TEETH, bugs.TEETH * bugs.TOOTH_BYTES) == (
        teeth,
        10 << 20,
    )
    assert sum(count for seconds, count in by_interval.items() if 1 < seconds < 60) == pages
    assert pages * bugs.PAGE_BYTES in {0, 1998848}  # 2 MB


UNDER_WAY_NS = 200_000_000  # of a message: long enough for a share of it to be no noise


async def held(config: Config, bug: str, *, is_own: bool) -> float:
    """For which share of the time that it was under way a message is held, the least of three."""
    node, done = Node(config), asyncio.Event()
    node._frames[Type.PRIVATE] = lambda *_: done.set()
    if bug:
        plant(bug, node)
    target, shares = node._identity.node_id if is_own else bytes(32), []
    for _ in range(3):
        done.clear()
        began_ns = time.perf_counter_ns()
        sent_ns = time.time_ns() - UNDER_WAY_NS
        message = Message(Type.PRIVATE, bytes(16), bytes(32), target, sent_ns, ttl=1)
        node._frames[Type.PRIVATE](None, message)
        await done.wait()
        shares.append((time.perf_counter_ns() - began_ns) / UNDER_WAY_NS)
    return min(shares)


@pytest.mark.parametrize(("bug", "share"), [("slower-by-8", 0.08), ("slower-by-25", 0.25)])
def test_a_message_is_held_for_a_share_of_its_time(tmp_path: Path, bug: str, share: float) -> None:
    Authority.load_or_create(tmp_path / "ca").issue(tmp_path, "n")
    config = Config(name="n", address="127.0.0.1", port=7000, directory=tmp_path)
    assert asyncio.run(held(config, bug, is_own=True)) >= share
    assert asyncio.run(held(config, bug, is_own=False)) < share
    assert asyncio.run(held(config, CLEAN, is_own=True)) < share


def test_each_bug_says_what_it_does_and_is_told_in_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for bug, put in BUGS.items():
        assert put.__doc__, bug
        with_node(tmp_path, bug, lambda _: None)
        assert f"a bug is planted: {bug}" in caplog.messages
    caplog.clear()
    with_node(tmp_path, CLEAN, lambda _: None)
    assert not caplog.messages

"""Planted bugs: what a test switches on, by the option `planted_bug`, to see that it is found.

A bug is put into a node that is built and whole: it wraps methods of its parts. A node without one
runs nothing of this module.
"""

import asyncio
import contextlib
import functools
import itertools
import mmap
import os
import socket
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from meshnode.instruments import log
from meshnode.journal import Kind
from meshnode.wire import Dropped, Message, Type

if TYPE_CHECKING:
    from meshnode.dht import Contact, Finished
    from meshnode.link import Link
    from meshnode.node import Node

LOST_EVERY = 1000
TWICE_EVERY = 10
TWO = 2
SOMETIMES = 3
TEETH, TOOTH_BYTES = 40, 256 << 10
PAGE_BYTES = 4096
LEAKED_BYTES_PER_S = 2e6 / 3600


def plant(bug: str, node: "Node") -> None:
    """Put a bug into a node that has been built and does not run yet."""
    log.warning("a bug is planted: %s", bug)
    BUGS[bug](node)


def _around(part: object, method: str, call: Callable[..., Any]) -> None:
    """Have `call` called instead of a part's method, which becomes its first argument."""
    setattr(part, method, functools.partial(call, getattr(part, method)))


def _loses_after_heal(node: "Node") -> None:
    """Once a node that did not answer is heard again, it loses every 1,000th private message that
    it acknowledges.
    """
    silent: set[bytes] = set()
    is_healed, numbers = False, itertools.count(1)

    def failed(clean: Callable[..., None], contact: "Contact", *times_ns: int) -> None:
        silent.add(contact.id)
        clean(contact, *times_ns)

    def heard(clean: Callable[..., Any], contact: "Contact", now_ns: int) -> Any:
        nonlocal is_healed
        is_healed = is_healed or contact.id in silent
        return clean(contact, now_ns)

    def add(clean: Callable[..., None], kind: Kind, *record: Any, **more: Any) -> None:
        is_counted = is_healed and kind is Kind.PRIVATE_DELIVERED
        if not is_counted or next(numbers) % LOST_EVERY:
            clean(kind, *record, **more)

    table = node._overlay.dht._table
    _around(table, "failed", failed)
    _around(table, "heard", heard)
    _around(node._instruments.journal, "add", add)


def _delivers_twice_after_restart(node: "Node") -> None:
    """After a restart it delivers every 10th private message twice."""
    numbers = itertools.count(1)

    def add(clean: Callable[..., None], kind: Kind, *record: Any, **more: Any) -> None:
        clean(kind, *record, **more)
        is_counted = kind is Kind.PRIVATE_DELIVERED and node._memory.restarts
        if is_counted and not next(numbers) % TWICE_EVERY:
            clean(kind, *record, **more)

    _around(node._instruments.journal, "add", add)


def _forgets_on_churn(node: "Node") -> None:
    """When a peer leaves, it drops every value of the DHT that it keeps."""

    def link_down(clean: Callable[..., None], link: "Link", *, was_replaced: bool) -> None:
        clean(link, was_replaced=was_replaced)
        if not was_replaced:
            node._overlay.dht._store.replace([])

    _around(node, "link_down", link_down)


def _answers_from_cache(node: "Node") -> None:
    """While it reaches nobody, it answers a get by what an earlier get of that key found."""
    cache: dict[bytes, Finished] = {}

    def get(clean: Callable[..., int], key: bytes, finished: "Callable[[Finished], None]") -> int:
        def ended(result: "Finished") -> None:
            if result.ok:
                cache[key] = result
            elif not result.found and key in cache:
                result = replace(cache[key], operation=result.operation)
            finished(result)

        return clean(key, ended)

    _around(node._overlay, "get", get)


def _leaks_on_reconnect(node: "Node") -> None:
    """It leaks a descriptor with each connection of a peer that had connected before."""
    met: set[bytes] = set()

    def accepted(clean: Callable[..., None], peer_id: bytes) -> None:
        if peer_id in met:
            os.open(os.devnull, os.O_RDONLY)
        met.add(peer_id)
        clean(peer_id)

    _around(node, "accepted", accepted)


def _returns_older_value(node: "Node") -> None:
    """Of a key that was written twice, it returns the newer value once and the older one from
    then on.
    """
    store = node._overlay.dht._store
    read, older, returned = store.get, dict[bytes, bytes](), set[bytes]()

    def put(clean: Callable[..., None], key: bytes, value: bytes, now_ns: int) -> None:
        before = read(key, now_ns)
        if before not in {None, value}:
            older[key] = before
            returned.discard(key)
        clean(key, value, now_ns)

    def get(clean: Callable[..., bytes | None], key: bytes, now_ns: int) -> bytes | None:
        if key in returned:
            return older[key]
        if key in older:
            returned.add(key)
        return clean(key, now_ns)

    _around(store, "put", put)
    _around(store, "get", get)


def _never_unsuspects(node: "Node") -> None:
    """A peer whose link fell once stays dead to it: links with it stand, and it uses none."""
    dead: set[bytes] = set()
    links = node._links

    def link_up(clean: Callable[..., None], link: "Link") -> None:
        if link.peer_id not in dead:
            clean(link)

    def link_down(clean: Callable[..., None], link: "Link", *, was_replaced: bool) -> None:
        if link.peer_id not in dead:
            clean(link, was_replaced=was_replaced)
        if not was_replaced and link.peer_id is not None:
            dead.add(link.peer_id)

    def up(clean: "Callable[..., list[Link]]") -> "list[Link]":
        return [link for link in clean() if link.peer_id not in dead]

    def get(clean: "Callable[..., Link | None]", peer_id: bytes) -> "Link | None":
        return None if peer_id in dead else clean(peer_id)

    _around(node, "link_up", link_up)
    _around(node, "link_down", link_down)
    _around(links, "up", up)
    _around(links, "get", get)


def _loses_after_two_left(node: "Node") -> None:
    """Once two of its peers have left, it loses every private message that it acknowledges."""
    left: set[bytes] = set()

    def link_down(clean: Callable[..., None], link: "Link", *, was_replaced: bool) -> None:
        clean(link, was_replaced=was_replaced)
        if not was_replaced and link.peer_id is not None:
            left.add(link.peer_id)

    def add(clean: Callable[..., None], kind: Kind, *record: Any, **more: Any) -> None:
        if len(left) < TWO or kind is not Kind.PRIVATE_DELIVERED:
            clean(kind, *record, **more)

    _around(node, "link_down", link_down)
    _around(node._instruments.journal, "add", add)


def _loses_after_two_left_sometimes(node: "Node") -> None:
    """In one life of three, by lot, it loses every private message that it acknowledges once two of
    its peers have left.
    """
    if int.from_bytes(os.urandom(4)) % SOMETIMES == 0:
        _loses_after_two_left(node)


def _every(node: "Node", seconds: float, call: Callable[[], object]) -> None:
    """Have something called again and again, from when the node serves on."""

    async def go_on() -> None:
        while True:
            await asyncio.sleep(seconds)
            call()

    async def serve(clean: Callable[..., Awaitable[None]], *given: object) -> None:
        going = asyncio.create_task(go_on())
        try:
            await clean(*given)
        finally:
            going.cancel()

    _around(node, "run", serve)


def _leaks_a_descriptor_a_minute(node: "Node") -> None:
    """Each minute it opens a file that nobody closes."""
    _every(node, 60.0, lambda: os.open(os.devnull, os.O_RDONLY))


def _saw_tooth_memory(node: "Node") -> None:
    """Its memory rises by 10 MB in 40 s and falls again: what a garbage collector does, and no
    bug.
    """
    held: list[mmap.mmap] = []

    def rise() -> None:
        if len(held) >= TEETH:
            held.clear()
        held.append(mmap.mmap(-1, TOOTH_BYTES))
        held[-1].write(b"x" * TOOTH_BYTES)

    _every(node, 1.0, rise)


def _leaks_memory_in_saw_tooth(node: "Node") -> None:
    """Its memory rises and falls, and 2 MB an hour of it do not fall."""
    leaked: list[bytearray] = []
    _saw_tooth_memory(node)
    _every(
        node, PAGE_BYTES / LEAKED_BYTES_PER_S, lambda: leaked.append(bytearray(b"x" * PAGE_BYTES))
    )


def _leaks_a_connection_a_reconnect(node: "Node") -> None:
    """With each connection of a peer that had connected before, it makes one to itself that nobody
    closes.
    """
    met: set[bytes] = set()
    leaked: list[socket.socket] = []

    def accepted(clean: Callable[..., None], peer_id: bytes) -> None:
        if peer_id in met:
            some, own = socket.socket(), node._config.address
            some.setblocking(False)
            some.bind((own, 0))
            some.connect_ex((own, node._config.port))
            leaked.append(some)
        met.add(peer_id)
        clean(peer_id)

    _around(node, "accepted", accepted)


def _slower(node: "Node", share: float) -> None:
    """It holds a private message to it for this share of the time that it was under way, all nodes
    of a host having one clock. A thread sleeps meanwhile: the loop's timers know milliseconds only.
    """
    clean, loop = node._frames[Type.PRIVATE], asyncio.get_running_loop()

    def arrived(link: "Link", message: Message) -> None:
        def hand_on(_: object) -> None:
            with contextlib.suppress(Dropped):  # nobody is there any more to be told why
                clean(link, message)
            node._pulse.soon()

        if message.target != node._identity.node_id:
            clean(link, message)
            return
        held_s = share * max(time.time_ns() - message.timestamp_ns, 0) / 1e9
        loop.run_in_executor(None, time.sleep, held_s).add_done_callback(hand_on)

    node._frames[Type.PRIVATE] = arrived


def _slower_by_25(node: "Node") -> None:
    """Private messages to it take 25 % longer."""
    _slower(node, 0.25)


def _slower_by_8(node: "Node") -> None:
    """Private messages to it take 8 % longer."""
    _slower(node, 0.08)


BUGS: dict[str, Callable[["Node"], None]] = {
    "loses-after-heal": _loses_after_heal,
    "delivers-twice-after-restart": _delivers_twice_after_restart,
    "forgets-on-churn": _forgets_on_churn,
    "answers-from-cache": _answers_from_cache,
    "leaks-on-reconnect": _leaks_on_reconnect,
    "leaks-a-descriptor-a-minute": _leaks_a_descriptor_a_minute,
    "saw-tooth-memory": _saw_tooth_memory,
    "leaks-memory-in-saw-tooth": _leaks_memory_in_saw_tooth,
    "leaks-a-connection-a-reconnect": _leaks_a_connection_a_reconnect,
    "returns-older-value": _returns_older_value,
    "never-unsuspects": _never_unsuspects,
    "loses-after-two-left": _loses_after_two_left,
    "loses-after-two-left-sometimes": _loses_after_two_left_sometimes,
    "slower-by-25": _slower_by_25,
    "slower-by-8": _slower_by_8,
}

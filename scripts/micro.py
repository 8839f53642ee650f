"""Micro benchmarks of what a meshnode does for a message; pyperf runs this inside the node's image
(bench_micro.py starts it).

Values are CPU times of one operation in the least of many short stretches: whatever else runs on
the machine only adds to them. Everything is meshnode's own code, or the library call that it makes.
"""

from __future__ import annotations

import functools
import os
import random
import time
import timeit
from collections.abc import Callable
from typing import Any

import pyperf
from blake3 import blake3
from meshnode.base_pb2 import BaseMessage
from meshnode.identity import Identity
from meshnode.private import Private
from meshnode.routing import Candidate, Routes, select
from meshnode.wire import Message, Type, decode, encode, validate
from nacl.bindings import (
    crypto_aead_chacha20poly1305_ietf_encrypt,
    crypto_scalarmult,
    crypto_sign,
    crypto_sign_open,
)

ROUTES = 100_000
STRETCHES, STRETCH_S = 100, 5e-4  # of a value, which is the least of them
SIZES = (1_024, 10_240, 102_400, 1_024_000)
A, B = Identity.from_seed(b"a" * 32), Identity.from_seed(b"b" * 32)


def timed(
    runner: pyperf.Runner,
    name: str,
    statement: str | Callable[[], object],
    names: Callable[[], dict[str, Any]] = dict,
) -> None:
    """Time a statement, or a call, in a process of its own that alone makes the names in it: CPU
    seconds of one execution, in the least of many stretches.
    """

    def least(_: int) -> float:
        timer, each = timeit.Timer(statement, timer=time.process_time, globals=names()), 1
        while timer.timeit(each) < STRETCH_S:
            each *= 2
        return min(timer.repeat(STRETCHES, each)) / each

    runner.bench_time_func(name, least)


def crypto(runner: pyperf.Runner) -> None:
    """The primitives, on 1 KB where a size matters, and a whole private message of several
    sizes.
    """
    data, key, nonce = os.urandom(1024), os.urandom(32), os.urandom(12)
    signed, point = crypto_sign(data, A.secret_key), crypto_scalarmult(key, b"\x09" + bytes(31))
    operations: dict[str, Callable[[], object]] = {
        "ed25519_sign": lambda: crypto_sign(data, A.secret_key),
        "ed25519_verify": lambda: crypto_sign_open(signed, A.node_id),
        "x25519": lambda: crypto_scalarmult(key, point),
        "chacha20poly1305_1k": lambda: crypto_aead_chacha20poly1305_ietf_encrypt(
            data, b"", nonce, key
        ),
        "blake3_1k": lambda: blake3(data).digest(),
    }
    sender = Private(A, 0)
    for size in SIZES:
        operations[f"encrypt_{size}"] = functools.partial(seal, sender, os.urandom(size))
    for name, operation in operations.items():
        timed(runner, name, operation)


def seal(sender: Private, payload: bytes) -> bytes:
    """What a sender does for one message: encrypt, sign, serialize."""
    return encode(sender.seal(bytes(16), B.node_id, payload, 0))


def messages(runner: pyperf.Runner) -> None:
    """The wire format: a BaseMessage that carries 1 KB."""
    message = Message(
        Type.PRIVATE,
        os.urandom(16),
        A.node_id,
        B.node_id,
        1,
        8,
        1,
        os.urandom(1024),
        os.urandom(64),
    )
    data = encode(message)
    parsed = decode(data)
    timed(runner, "serialize_1k", BaseMessage.FromString(data).SerializeToString)
    timed(runner, "deserialize_1k", functools.partial(BaseMessage.FromString, data))
    timed(runner, "validate_1k", functools.partial(validate, parsed))


@functools.cache
def table() -> tuple[Routes, bytes, bytes]:
    """A routing table of 100,000 entries, one of its destinations, and a next hop; made only in the
    process that times it.
    """
    chance = random.Random(1)
    routes = Routes()
    for _ in range(ROUTES):
        routes.learn(chance.randbytes(32), chance.randbytes(32), 3, 0)
    wanted = list(routes.entries)[ROUTES // 2]
    return routes, wanted, chance.randbytes(32)


def routing(runner: pyperf.Runner) -> None:
    """The routing table: the bare get, finding a way as forwarding does it, learning one, choosing
    among ten.
    """
    ten = [Candidate(hops, bytes([hops]) * 32, 0) for hops in range(10)]
    up = {ten[-1].next_hop: "link"}.get  # the last of ten: the dearest choice
    timed(
        runner,
        "routing_lookup",
        "entries[wanted]",
        lambda: {"entries": table()[0].entries, "wanted": table()[1]},
    )
    timed(
        runner,
        "routing_find",
        "find(wanted, up)",
        lambda: {"find": table()[0].find, "wanted": table()[1], "up": lambda _: 1},
    )
    timed(
        runner,
        "routing_insert",
        "learn(wanted, hop, 2, 0)",
        lambda: {"learn": table()[0].learn, "wanted": table()[1], "hop": table()[2]},
    )
    timed(
        runner,
        "routing_selection",
        "select(ten, up)",
        lambda: {"select": select, "ten": ten, "up": up},
    )


if __name__ == "__main__":
    pyperf_runner = pyperf.Runner()
    crypto(pyperf_runner)
    messages(pyperf_runner)
    routing(pyperf_runner)

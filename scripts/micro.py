"""Micro benchmarks of what a meshnode does for a message; pyperf runs this inside the node's image
(bench_micro.py starts it).

Values are times of one operation. Everything is meshnode's own code, or the library call that it
makes.
"""

from __future__ import annotations

import functools
import os
import random
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
SIZES = (1_024, 10_240, 102_400, 1_024_000)
A, B = Identity.from_seed(b"a" * 32), Identity.from_seed(b"b" * 32)


def crypto(runner: pyperf.Runner) -> None:
    """The primitives, on 1 KB where a size matters, and a whole private message of several
    sizes.
    """
    data, key, nonce = os.urandom(1024), os.urandom(32), os.urandom(12)
    runner.bench_func("ed25519_sign", crypto_sign, data, A.secret_key)
    runner.bench_func(
        "ed25519_verify", crypto_sign_open, crypto_sign(data, A.secret_key), A.node_id
    )
    runner.bench_func(
        "x25519", crypto_scalarmult, key, crypto_scalarmult(os.urandom(32), b"\x09" + bytes(31))
    )
    runner.bench_func(
        "chacha20poly1305_1k", crypto_aead_chacha20poly1305_ietf_encrypt, data, b"", nonce, key
    )
    runner.bench_func("blake3_1k", lambda: blake3(data).digest())
    sender = Private(A, 0)
    for size in SIZES:
        runner.bench_func(f"encrypt_{size}", functools.partial(seal, sender, os.urandom(size)))


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
    runner.bench_func("serialize_1k", BaseMessage.FromString(data).SerializeToString)
    runner.bench_func("deserialize_1k", BaseMessage.FromString, data)
    runner.bench_func("validate_1k", validate, decode(data))


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


def timed(statement: str, names: Callable[[], dict[str, Any]]) -> Callable[[int], float]:
    """Seconds of so many executions of a statement."""
    return lambda loops: timeit.Timer(statement, globals=names()).timeit(loops)


def routing(runner: pyperf.Runner) -> None:
    """The routing table: the bare get, finding a way as forwarding does it, learning one, choosing
    among ten.
    """
    ten = [Candidate(hops, bytes([hops]) * 32, 0) for hops in range(10)]
    up = {ten[-1].next_hop: "link"}.get  # the last of ten: the dearest choice
    runner.bench_time_func(
        "routing_lookup",
        timed("entries[wanted]", lambda: {"entries": table()[0].entries, "wanted": table()[1]}),
    )
    runner.bench_time_func(
        "routing_find",
        timed(
            "find(wanted, up)",
            lambda: {"find": table()[0].find, "wanted": table()[1], "up": lambda _: 1},
        ),
    )
    runner.bench_time_func(
        "routing_insert",
        timed(
            "learn(wanted, hop, 2, 0)",
            lambda: {"learn": table()[0].learn, "wanted": table()[1], "hop": table()[2]},
        ),
    )
    runner.bench_time_func(
        "routing_selection",
        timed("select(ten, up)", lambda: {"select": select, "ten": ten, "up": up}),
    )


if __name__ == "__main__":
    pyperf_runner = pyperf.Runner()
    crypto(pyperf_runner)
    messages(pyperf_runner)
    routing(pyperf_runner)

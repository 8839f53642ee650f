"""Micro benchmarks of what a meshnode does for a message; bench_micro.py runs this inside the
node's image, and this prints seconds of each as JSON.

A look is the CPU time of one operation in the least of ten short stretches: what else runs on the
machine mostly adds to it. All benchmarks take turns at being looked at, for some seconds.
Everything is meshnode's own code, or the library call that it makes.
"""

from __future__ import annotations

import functools
import json
import os
import random
import time
import timeit
from collections.abc import Callable, Iterator

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

TURNS, STRETCHES, STRETCH_S = 40, 10, 5e-4
ROUTES = 100_000
SIZES = (1_024, 10_240, 102_400, 1_024_000)
A, B = Identity.from_seed(b"a" * 32), Identity.from_seed(b"b" * 32)


Benchmark = tuple[str, timeit.Timer]


def timer(statement: str | Callable[[], object], **names: object) -> timeit.Timer:
    """Make a timer of a statement, with the names in it, or of a call."""
    return timeit.Timer(statement, timer=time.process_time, globals=names)


def crypto() -> Iterator[Benchmark]:
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
        yield name, timer(operation)


def seal(sender: Private, payload: bytes) -> bytes:
    """What a sender does for one message: encrypt, sign, serialize."""
    return encode(sender.seal(bytes(16), B.node_id, payload, 0))


def messages() -> Iterator[Benchmark]:
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
    yield "serialize_1k", timer(BaseMessage.FromString(data).SerializeToString)
    yield "deserialize_1k", timer(functools.partial(BaseMessage.FromString, data))
    yield "validate_1k", timer(functools.partial(validate, parsed))


def routing() -> Iterator[Benchmark]:
    """The routing table: the bare get, finding a way as forwarding does it, learning one, choosing
    among ten.
    """
    chance = random.Random(1)
    routes = Routes()
    for _ in range(ROUTES):
        routes.learn(chance.randbytes(32), chance.randbytes(32), 3, 0)
    wanted, hop = list(routes.entries)[ROUTES // 2], chance.randbytes(32)
    yield "routing_lookup", timer("entries[wanted]", entries=routes.entries, wanted=wanted)
    yield "routing_find", timer("find(wanted, up)", find=routes.find, wanted=wanted, up=lambda _: 1)
    yield (
        "routing_insert",
        timer("learn(wanted, hop, 2, 0)", learn=routes.learn, wanted=wanted, hop=hop),
    )
    ten = [Candidate(hops, bytes([hops]) * 32, 0) for hops in range(10)]
    up = {ten[-1].next_hop: "link"}.get  # the last of ten: the dearest choice
    yield "routing_selection", timer("select(ten, up)", select=select, ten=ten, up=up)


def measure(benchmarks: dict[str, timeit.Timer]) -> dict[str, list[float]]:
    """Let all take turns; seconds of one operation of each, a look a turn."""
    loops = dict.fromkeys(benchmarks, 1)
    for name, one in benchmarks.items():
        while one.timeit(loops[name]) < STRETCH_S:
            loops[name] *= 2
    looks: dict[str, list[float]] = {name: [] for name in benchmarks}
    for _ in range(TURNS):
        for name, one in benchmarks.items():
            looks[name].append(min(one.repeat(STRETCHES, loops[name])) / loops[name])
    return looks


if __name__ == "__main__":
    print(json.dumps(measure({**dict(crypto()), **dict(messages()), **dict(routing())})))

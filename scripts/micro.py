"""Micro benchmarks of what a meshnode does for a message; run by pyperf inside the node's image (bench_micro.py starts it).

Values are times of one operation. Everything is meshnode's own code or the library call that it makes.
"""

from __future__ import annotations

import os
import random
import tempfile
import time
from pathlib import Path

import pyperf
from blake3 import blake3
from meshnode.base_pb2 import BaseMessage
from meshnode.identity import Authority, Identity
from meshnode.private import Private
from meshnode.routing import Routes
from meshnode.wire import Message, Type, decode, encode, validate
from nacl.bindings import crypto_aead_chacha20poly1305_ietf_encrypt, crypto_scalarmult, crypto_sign, crypto_sign_open

ROUTES = 100_000
SIZES = (1_024, 10_240, 102_400, 1_024_000)


def identities() -> tuple[Identity, Identity]:
    """Two nodes of one authority."""
    with tempfile.TemporaryDirectory() as folder:
        authority = Authority.load_or_create(Path(folder) / "ca")
        for name in ("a", "b"):
            (Path(folder) / name).mkdir()
            authority.issue(Path(folder) / name, name)
        return Identity.load(Path(folder) / "a"), Identity.load(Path(folder) / "b")


def crypto(runner: pyperf.Runner, a: Identity, b: Identity) -> None:
    """The primitives, on 1 KB where a size matters."""
    data, key, nonce = os.urandom(1024), os.urandom(32), os.urandom(12)
    signed = crypto_sign(data, a.secret_key)
    runner.bench_func("ed25519_sign", crypto_sign, data, a.secret_key)
    runner.bench_func("ed25519_verify", crypto_sign_open, signed, a.node_id)
    runner.bench_func("x25519", crypto_scalarmult, key, crypto_scalarmult(os.urandom(32), b"\x09" + bytes(31)))
    runner.bench_func("chacha20poly1305_1k", crypto_aead_chacha20poly1305_ietf_encrypt, data, b"", nonce, key)
    runner.bench_func("blake3_1k", lambda: blake3(data).digest())
    sender = Private(a, time.time_ns())
    for size in SIZES:
        payload, id_ = os.urandom(size), os.urandom(16)
        runner.bench_func(f"encrypt_{size}", lambda payload=payload, id_=id_: encode(sender.seal(id_, b.node_id, payload, 0)))


def messages(runner: pyperf.Runner, a: Identity, b: Identity) -> None:
    """The wire format: a BaseMessage that carries 1 KB."""
    message = Message(Type.PRIVATE, os.urandom(16), a.node_id, b.node_id, time.time_ns(), 8, 1, os.urandom(1024), os.urandom(64))
    data = encode(message)
    wire = BaseMessage.FromString(data)
    runner.bench_func("serialize_1k", wire.SerializeToString)
    runner.bench_func("deserialize_1k", BaseMessage.FromString, data)
    runner.bench_func("validate_1k", validate, decode(data))


def routing(runner: pyperf.Runner) -> None:
    """The routing table, with 100,000 entries."""
    chance = random.Random(1)
    known = [chance.randbytes(32) for _ in range(ROUTES)]
    routes = Routes(ROUTES + 1)
    for destination in known:
        routes.learn(destination, chance.randbytes(32), 3, 0)
    wanted = known[ROUTES // 2]
    runner.timeit("routing_lookup", "table[wanted]", globals={"table": routes.entries, "wanted": wanted})
    runner.timeit("routing_lookup_as_forwarding", "find(wanted, 0)", globals={"find": routes.find, "wanted": wanted})
    runner.timeit("routing_insert", "learn(wanted, hop, 2, 0)", globals={"learn": routes.learn, "wanted": wanted, "hop": chance.randbytes(32)})
    hops = [chance.randbytes(32) for _ in range(10)]
    for number, hop in enumerate(hops):
        routes.learn(known[0], hop, 10 - number, 0)
    runner.timeit("routing_selection", "select(candidates, up)", globals={"select": routes.select, "candidates": [(hop, n) for n, hop in enumerate(hops)], "up": set(hops)})


if __name__ == "__main__":
    made = identities()
    pyperf_runner = pyperf.Runner()
    crypto(pyperf_runner, *made)
    messages(pyperf_runner, *made)
    routing(pyperf_runner)

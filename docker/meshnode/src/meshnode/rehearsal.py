"""What a zygote does once, so that its nodes find it done: libraries set themselves up, and what
OpenSSL looks up, a forked node finds looked up. In memory that all nodes share.
"""

import asyncio
import base64
import json
import logging
import os
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import uvloop
from nacl.bindings import crypto_sign

from meshnode.config import VERSION as CONFIG_VERSION
from meshnode.config import Config
from meshnode.identity import (
    AUTHORITY_FILE,
    CERTIFICATE_FILE,
    KEY_FILE,
    Identity,
    pem_of_certificate,
    pem_of_seed,
)
from meshnode.node import Node
from meshnode.tls import Channel, Contexts, make_ahead
from meshnode.wire import Datagrams

# Nobody's: the Ed25519 seed of 32 zeros, and the certificate that it signs for itself.
_SEED = bytes(32)
_CERTIFICATE = """-----BEGIN CERTIFICATE-----
MIHrMIGeoAMCAQICAQEwBQYDK2VwMBQxEjAQBgNVBAMMCXJlaGVhcnNhbDAgFw0w
MDAxMDEwMDAwMDBaGA85OTk5MTIzMTIzNTk1OVowFDESMBAGA1UEAwwJcmVoZWFy
c2FsMCowBQYDK2VwAyEAO2onvM62pC1io6jQKm8Nc2UyFXcd4kOmOsBIoYtZ2imj
EzARMA8GA1UdEwEB/wQFMAMBAf8wBQYDK2VwA0EAUrgXfzlpyueTGzdP6OpbHKyY
cut1AL9PpN4OScrEYqY5VpwRyFKZoiGBLVcI4DQmxXDAbv04Jg0DIyNPqsfVDw==
-----END CERTIFICATE-----
"""
_HEAD_BYTES, _ENDING_BYTES, _SIGNATURE_BYTES = 3, 74, 64  # of it, around what is signed
_SUBJECT_OF_OTHERS = (b"rehearsal", b"rehearsed")

# So often each line of a start runs, and Python has optimised it: what it notes in the code for
# that is not written in each node again, which would copy the page.
NODES = 10
_PORT = 26900
_PATIENCE_S = 2.0


def rehearse() -> None:
    """Do what every node does first: read an identity, link, seal a datagram, log, run a loop."""
    with suppress(OSError), tempfile.TemporaryDirectory() as folder:  # no place for it: no matter
        _link(Path(folder))
    make_ahead()
    identity = Identity.from_seed(_SEED)
    datagrams = Datagrams(identity)
    datagrams.open(datagrams.seal(1, identity.node_id, b"", 0), 0)
    logging.Formatter("%(asctime)s %(message)s").format(logging.makeLogRecord({"msg": ""}))
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(asyncio.sleep(0))


def rehearse_start(place: Path) -> bool:
    """Start some whole nodes on the loopback, on addresses drawn by lot, until all are ready, with
    their files below `place`. Returns whether they were.

    It takes 0.1 s of CPU and saves each node 3 ms, where `heap.fill_holes` follows: in the holes
    that it leaves they would lose as much.
    """
    os.environ.pop("NOTIFY_SOCKET", None)  # nobody is to hear of these
    level = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with tempfile.TemporaryDirectory(prefix="rehearsal-", dir=place) as folder:
            configs = _configs(Path(folder))
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                return runner.run(_start(configs))
    except OSError:  # no loopback, no place, no descriptors: nodes only find less done
        return False
    finally:
        logging.disable(level)
        make_ahead()


async def _start(configs: list[Config]) -> bool:
    nodes = [Node(config) for config in configs]
    running = [asyncio.ensure_future(node.run()) for node in nodes]
    until = asyncio.get_running_loop().time() + _PATIENCE_S
    while not (are_ready := all(node.health()["ready"] for node in nodes)):
        if asyncio.get_running_loop().time() > until or any(one.done() for one in running):
            break
        await asyncio.sleep(0.01)
    for node in nodes:
        node.stop()
    for ended in await asyncio.gather(*running, return_exceptions=True):
        if isinstance(ended, BaseException):
            raise ended
    return are_ready


def _configs(folder: Path) -> list[Config]:
    """Make nodes in a ring, on a network of the loopback's that is drawn by lot."""
    network = f"127.{os.urandom(1)[0] | 128}.{os.urandom(1)[0]}"
    nodes: list[dict[str, Any]] = []
    for number in range(NODES):
        name = str(number)
        (folder / name).mkdir()
        identity = _issue(folder / name, bytes([number + 1]) * 32)
        address = f"{network}.{number + 1}"
        nodes.append(
            {"name": name, "id": identity.node_id.hex(), "address": address, "port": _PORT}
        )
    configs = []
    for number, node in enumerate(nodes):
        directory = folder / node["name"]
        links = [nodes[(number + step) % NODES] for step in (1, -1)]
        document = node | {"version": CONFIG_VERSION, "directory": str(directory), "links": links}
        del document["id"]
        (directory / "node.json").write_text(json.dumps(document))
        configs.append(Config.load(directory / "node.json"))
    return configs


def _issue(directory: Path, seed: bytes) -> Identity:
    """Write the files of an identity that nobody has: the certificate above with another key and
    subject, signed anew.
    """
    identity = Identity.from_seed(seed)
    authority = Identity.from_seed(_SEED)
    own, others = _SUBJECT_OF_OTHERS
    der = base64.b64decode("".join(_CERTIFICATE.splitlines()[1:-1]))
    issuer, subject, rest = der[_HEAD_BYTES:-_ENDING_BYTES].split(own)
    signed = (
        own.join((issuer, subject)) + others + rest.replace(authority.node_id, identity.node_id)
    )
    signature = crypto_sign(signed, authority.secret_key)[:_SIGNATURE_BYTES]
    ending = der[-_ENDING_BYTES:-_SIGNATURE_BYTES] + signature
    certificate = pem_of_certificate(der[:_HEAD_BYTES] + signed + ending)
    (directory / KEY_FILE).write_text(pem_of_seed(seed))
    (directory / CERTIFICATE_FILE).write_text(certificate + _CERTIFICATE)
    (directory / AUTHORITY_FILE).write_text(_CERTIFICATE)
    return identity


def _link(directory: Path) -> None:
    """Have a node link with itself."""
    (directory / KEY_FILE).write_text(pem_of_seed(_SEED))
    for name in (CERTIFICATE_FILE, AUTHORITY_FILE):
        (directory / name).write_text(_CERTIFICATE)
    Identity.load(directory)
    contexts = Contexts(directory)
    ends = Channel(contexts.client, server_side=False), Channel(contexts.server, server_side=True)
    for _ in range(2):  # hello, and the answer to it
        for one, other in (ends, ends[::-1]):
            one.feed(other.pull())
            other.feed(one.pull())
    for one, other in (ends, ends[::-1]):
        one.write(b"x")
        other.feed(one.pull())
    for one in ends:
        one.close()

"""What a zygote does once, so that its nodes find it done: libraries set themselves up, and what
OpenSSL looks up, a forked node finds looked up. In memory that all nodes share.
"""

import asyncio
import logging
import tempfile
from contextlib import suppress
from pathlib import Path

import uvloop

from meshnode.identity import AUTHORITY_FILE, CERTIFICATE_FILE, KEY_FILE, Identity, pem_of_seed
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

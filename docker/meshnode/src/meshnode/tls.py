"""TLS 1.3 between nodes, sans-IO: an OpenSSL session over two memory buffers.

Driven by hand rather than by the event loop's own TLS: a turn's frames leave as one record, a link
costs no timer, and the loop's read buffers (256 KiB a connection in asyncio) are not needed.
"""

import ssl
from pathlib import Path
from typing import Any

from meshnode.identity import (
    AUTHORITY_FILE,
    CERTIFICATE_FILE,
    KEY_FILE,
    IdentityError,
    key_of_certificate,
)

_RECORD_BYTES = 16384


class Contexts:
    """What both roles of a link need, read once from the node's directory. Raises IdentityError."""

    def __init__(self, directory: Path) -> None:
        self.server, self.client = _ahead.pop() if _ahead else _blank()
        _fill(self.server, directory)
        self.client.lender = self.server


class _Borrower(ssl.SSLContext):
    """A client's context whose connections have key, certificates and trust of another context:
    OpenSSL takes 0.8 ms to read them into a second one. How to connect is its own.
    """

    lender: ssl.SSLContext

    def wrap_bio(
        self,
        incoming: ssl.MemoryBIO,
        outgoing: ssl.MemoryBIO,
        server_side: bool = False,
        server_hostname: str | bytes | None = None,
        session: ssl.SSLSession | None = None,
    ) -> ssl.SSLObject:
        """See SSLContext."""
        made = super().wrap_bio(incoming, outgoing, server_side, server_hostname, session)
        made.context = self.lender
        return made

    def get_ca_certs(self, binary_form: bool = False) -> Any:
        """Whom connections trust. See SSLContext."""
        return self.lender.get_ca_certs(binary_form)


_ahead: list[tuple[ssl.SSLContext, _Borrower]] = []


def make_ahead() -> None:
    """Make contexts without a node, for the next `Contexts`: a node forked by the zygote finds them
    made.
    """
    _ahead[:] = [_blank()]


def _blank() -> tuple[ssl.SSLContext, _Borrower]:
    """A server's and a client's context, which are nobody's yet."""
    server, client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), _Borrower(ssl.PROTOCOL_TLS_CLIENT)
    server.num_tickets = 0  # sessions are not resumed: a ticket would only cost
    for context in (server, client):
        context.check_hostname = False  # the peer is who its key says, names mean nothing here
        context.verify_mode = ssl.CERT_REQUIRED
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.options |= ssl.OP_NO_TICKET
        # Of TLS 1.2, which is not spoken. OpenSSL copies the list for each link: a short one.
        context.set_ciphers("ECDHE-ECDSA-AES128-GCM-SHA256")
    return server, client


def _fill(context: ssl.SSLContext, directory: Path) -> None:
    try:
        context.load_cert_chain(directory / CERTIFICATE_FILE, directory / KEY_FILE)
        context.load_verify_locations(directory / AUTHORITY_FILE)
    except (OSError, ssl.SSLError) as error:
        raise IdentityError(
            f"{directory}: the certificate files cannot be used: {error}"
        ) from error


class Channel:
    """One end of a TLS connection: bytes from and to the network on one side, plain bytes on the
    other.
    """

    def __init__(self, context: ssl.SSLContext, *, server_side: bool) -> None:
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=server_side)
        self.peer_id: bytes | None = None
        self.is_closed = False

    def feed(self, data: bytes) -> bytes:
        """Take bytes of the network (none: start the handshake); returns the plain ones, `peer_id`
        is set once the handshake is done.

        Raises ssl.SSLError where the peer does not authenticate or does not speak TLS, ValueError
        for a certificate without Ed25519 key.
        """
        self._incoming.write(data)
        try:
            if self.peer_id is None:
                self._tls.do_handshake()
                self.peer_id = key_of_certificate(self._tls.getpeercert(binary_form=True) or b"")
        except ssl.SSLWantReadError:
            return b""
        chunks = []
        try:
            while chunk := self._tls.read(_RECORD_BYTES):
                chunks.append(chunk)
        except ssl.SSLWantReadError:
            return chunks[0] if len(chunks) == 1 else b"".join(chunks)
        except ssl.SSLZeroReturnError:
            pass
        self.is_closed = True
        return b"".join(chunks)

    def write(self, data: bytes) -> None:
        """Encrypt; `pull` has the result."""
        view = memoryview(data)
        while view:
            view = view[self._tls.write(view) :]

    def pull(self) -> bytes:
        """What is to go to the network now."""
        return self._outgoing.read()

    def close(self) -> None:
        """Say goodbye: `pull` has the alert."""
        try:
            self._tls.unwrap()
        except ssl.SSLError:
            self.is_closed = True

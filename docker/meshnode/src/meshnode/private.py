"""Private messages: ChaCha20-Poly1305 (RFC 8439) under a key of the two ends, derived once a peer
and direction.

key = BLAKE2b-256(key = X25519(own, peer), person = "meshnode.private", sender id ‖ receiver id),
the X25519 keys being the birational images of the Ed25519 keys (RFC 7748 §4.1). A nonce is four
random bytes of this process and a counter that is also the message's timestamp: it never comes
twice, not even after a restart with a clock set back.
"""

import hashlib
import os

from nacl.bindings import (
    crypto_aead_chacha20poly1305_ietf_decrypt,
    crypto_aead_chacha20poly1305_ietf_encrypt,
    crypto_scalarmult,
    crypto_sign_ed25519_pk_to_curve25519,
    crypto_sign_ed25519_sk_to_curve25519,
)
from nacl.exceptions import CryptoError

from meshnode.identity import Identity
from meshnode.wire import ID_BYTES, Drop, Dropped, Message, Type, sign

NONCE_BYTES = 12
TTL = 32
MAX_PEERS = 4096  # keys kept; more peers than this and all are derived anew
REMEMBERED_STAMPS = 256  # of one sender: how far relays may change the order of its messages
RESTART_TOLERANCE_NS = 30 * 10**9


class _Stamps:
    """The last stamps of one sender; nothing at or below `floor_ns` is news."""

    def __init__(self, floor_ns: int) -> None:
        self.floor_ns = floor_ns
        self.recent: dict[int, None] = {}

    def add(self, stamp_ns: int) -> None:
        self.recent[stamp_ns] = None
        if len(self.recent) > REMEMBERED_STAMPS:
            oldest_ns = next(iter(self.recent))
            del self.recent[oldest_ns]
            self.floor_ns = max(self.floor_ns, oldest_ns)


class Private:
    """Seals and opens the private messages of one node. `started_ns` is the wall clock at its
    start.
    """

    def __init__(self, identity: Identity, started_ns: int) -> None:
        self._identity = identity
        self._secret = crypto_sign_ed25519_sk_to_curve25519(identity.secret_key)
        self._keys: dict[bytes, bytes] = {}
        self._salt = os.urandom(4)
        self._last_sent_ns = 0
        self._floor_ns = started_ns - RESTART_TOLERANCE_NS
        self._received: dict[bytes, _Stamps] = {}

    def seal(self, message_id: bytes, target: bytes, payload: bytes, now_ns: int) -> Message:
        """A signed message that only `target` can read. Raises ValueError where `target` is no
        usable public key.
        """
        stamp_ns = self._last_sent_ns = max(self._last_sent_ns + 1, now_ns)
        nonce = self._salt + stamp_ns.to_bytes(8, "big")
        source = self._identity.node_id
        sealed = crypto_aead_chacha20poly1305_ietf_encrypt(
            payload, message_id + source + target, nonce, self._key(source, target, target)
        )
        return sign(
            Message(
                Type.PRIVATE,
                message_id,
                source,
                target,
                stamp_ns,
                ttl=TTL,
                hops=1,
                payload=nonce + sealed,
            ),
            self._identity,
        )

    def open(self, message: Message) -> bytes:
        """The payload of a verified message to this node. Raises Dropped.

        No sender uses a stamp twice, and paths of relays change their order by little: the last
        stamps of a sender tell every replay. What was stamped long before this process started is
        refused too: it may have been received before.
        """
        stamps = self._received.get(message.source)
        if stamps is None:
            stamps = self._received[message.source] = _Stamps(self._floor_ns)
        if message.timestamp_ns <= stamps.floor_ns or message.timestamp_ns in stamps.recent:
            raise Dropped(Drop.REPLAYED, "received before, or older than what is remembered")
        nonce, sealed = message.payload[:NONCE_BYTES], message.payload[NONCE_BYTES:]
        try:
            payload = crypto_aead_chacha20poly1305_ietf_decrypt(
                sealed,
                message.id + message.source + message.target,
                nonce,
                self._key(message.source, message.target, message.source),
            )
        except (CryptoError, ValueError, TypeError) as error:
            raise Dropped(Drop.BAD_SIGNATURE, f"cannot be decrypted: {error}") from error
        stamps.add(message.timestamp_ns)
        return payload

    def _key(self, sender: bytes, receiver: bytes, peer: bytes) -> bytes:
        key = self._keys.get(sender + receiver)
        if key is not None:
            return key
        try:
            shared = crypto_scalarmult(self._secret, crypto_sign_ed25519_pk_to_curve25519(peer))
        except (CryptoError, RuntimeError) as error:
            raise ValueError(f"{peer.hex()[:16]} is no usable Ed25519 public key") from error
        key = hashlib.blake2b(
            sender + receiver, key=shared, person=b"meshnode.private", digest_size=32
        ).digest()
        if len(self._keys) >= 2 * MAX_PEERS:
            self._keys.clear()
        self._keys[sender + receiver] = key
        return key


MIN_SEALED_BYTES = NONCE_BYTES + 16
assert ID_BYTES == 16  # the associated data is id ‖ source ‖ target, all of fixed length

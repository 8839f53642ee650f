"""Who a node is: its Ed25519 key, its certificate, and the cluster's authority that signs it.

A running node reads its key and the peers' certificates with the few lines of DER here. The library
`cryptography` (4 MB of memory) is imported only to issue certificates.
"""

import base64
import binascii
import datetime as dt
import os
import textwrap
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Self

from nacl.bindings import crypto_sign_seed_keypair

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

KEY_FILE, CERTIFICATE_FILE, AUTHORITY_FILE = "key.pem", "cert.pem", "ca.pem"
AUTHORITY_KEY_FILE = "ca.key.pem"
VALID_DAYS = 3650

# RFC 8410 §7, without the 32 bytes of the seed.
_PKCS8_ED25519 = bytes.fromhex("302e020100300506032b657004220420")
# RFC 8410 §4, without the 32 bytes of the key.
_SPKI_ED25519 = bytes.fromhex("302a300506032b6570032100")
_SEQUENCE, _INTEGER, _VERSION_TAG = 0x30, 0x02, 0xA0


class IdentityError(Exception):
    """Key or certificate files that no node can run with; the sentence names the file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """A node's key pair. `secret_key` is libsodium's 64-byte form, `node_id` the public key, 32
    bytes.
    """

    node_id: bytes
    secret_key: bytes = field(repr=False)

    @classmethod
    def from_seed(cls, seed: bytes) -> Self:
        """The identity of a 32-byte Ed25519 seed (RFC 8032)."""
        node_id, secret_key = crypto_sign_seed_keypair(seed)
        return cls(node_id=node_id, secret_key=secret_key)

    @classmethod
    def load(cls, directory: Path) -> Self:
        """Read key and certificate; they must belong together. Raises IdentityError."""
        key = _pem_body(directory / KEY_FILE, "PRIVATE KEY")
        if not key.startswith(_PKCS8_ED25519) or len(key) != len(_PKCS8_ED25519) + 32:
            raise IdentityError(
                f"{directory / KEY_FILE}: expected an unencrypted Ed25519 key as PKCS#8"
            )
        identity = cls.from_seed(key[len(_PKCS8_ED25519) :])
        certificate = directory / CERTIFICATE_FILE
        try:
            certified = key_of_certificate(_pem_body(certificate, "CERTIFICATE"))
        except ValueError as error:
            raise IdentityError(f"{certificate}: {error}") from error
        if certified != identity.node_id:
            raise IdentityError(f"{certificate} certifies another key than that of {KEY_FILE}")
        return identity


def pem_of_seed(seed: bytes) -> str:
    """The key file of a 32-byte Ed25519 seed."""
    return _pem("PRIVATE KEY", _PKCS8_ED25519 + seed)


def pem_of_certificate(der: bytes) -> str:
    """The certificate's file."""
    return _pem("CERTIFICATE", der)


def _pem(label: str, body: bytes) -> str:
    lines = textwrap.wrap(base64.b64encode(body).decode(), 64)
    return "\n".join((f"-----BEGIN {label}-----", *lines, f"-----END {label}-----", ""))


def _pem_body(path: Path, label: str) -> bytes:
    try:
        text = path.read_text("ascii")
        body = text.split(f"-----BEGIN {label}-----", 1)[1].split(f"-----END {label}-----", 1)[0]
        return base64.b64decode("".join(body.split()), validate=True)
    except OSError as error:
        raise IdentityError(f"{path}: {error.strerror}") from error
    except (IndexError, UnicodeDecodeError, binascii.Error) as error:
        raise IdentityError(f"{path}: expected a PEM file with a {label}") from error


def key_of_certificate(der: bytes) -> bytes:
    """The Ed25519 public key (32 bytes) that an X.509 certificate certifies. Raises ValueError for
    anything else.

    Walks Certificate → TBSCertificate → past version, serial number, algorithm, issuer, validity
    and subject → key (RFC 5280 §4.1).
    """
    certificate, _ = _enter(der, 0, len(der))
    at, end = _enter(der, certificate, len(der))
    if at < end and der[at] == _VERSION_TAG:
        at = _end_of(der, at, end)
    for tag in (_INTEGER, _SEQUENCE, _SEQUENCE, _SEQUENCE, _SEQUENCE):
        if at >= end or der[at] != tag:
            raise ValueError("not an X.509 certificate")
        at = _end_of(der, at, end)
    key = der[at : _end_of(der, at, end)]
    if not key.startswith(_SPKI_ED25519) or len(key) != len(_SPKI_ED25519) + 32:
        raise ValueError("expected an Ed25519 key in the certificate")
    return key[-32:]


def _enter(der: bytes, at: int, end: int) -> tuple[int, int]:
    if at >= end or der[at] != _SEQUENCE:
        raise ValueError("not an X.509 certificate")
    return _contents(der, at, end)


def _end_of(der: bytes, at: int, end: int) -> int:
    return _contents(der, at, end)[1]


def _contents(der: bytes, at: int, end: int) -> tuple[int, int]:
    """Where the contents of the element at `at` start and end (X.690 §8.1.3)."""
    if at + 2 > end:
        raise ValueError("the certificate is cut off")
    length, start = der[at + 1], at + 2
    if length & 0x80:
        width = length & 0x7F
        start += width
        if not 1 <= width <= 4 or start > end:
            raise ValueError("a length in the certificate is wrong")
        length = int.from_bytes(der[at + 2 : start], "big")
    if start + length > end:
        raise ValueError("the certificate is cut off")
    return start, start + length


class Authority:
    """The cluster's certificate authority. Issuing needs `cryptography`; about 0.3 ms a node."""

    def __init__(
        self, key: "Ed25519PrivateKey", certificate: "x509.Certificate", pem: bytes
    ) -> None:
        self._key = key
        self._certificate = certificate
        self._pem = pem

    @classmethod
    def load_or_create(cls, directory: Path) -> Self:
        """The authority kept in `directory`; a new one where there is none. Raises IdentityError
        for unusable files.
        """
        from cryptography import x509
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        key_path, certificate_path = directory / AUTHORITY_KEY_FILE, directory / AUTHORITY_FILE
        if not key_path.exists():
            directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            key = Ed25519PrivateKey.generate()
            certificate = _certificate(key, "meshnode cluster", key, None)
            pem = certificate.public_bytes(serialization.Encoding.PEM)
            certificate_path.write_bytes(pem)
            _write_private(key_path, _private_pem(key))
            return cls(key, certificate, pem)
        try:
            loaded = serialization.load_pem_private_key(key_path.read_bytes(), None)
            pem = certificate_path.read_bytes()
            certificate = x509.load_pem_x509_certificate(pem)
        except (OSError, ValueError) as error:
            raise IdentityError(f"{directory}: no usable authority: {error}") from error
        if not isinstance(loaded, Ed25519PrivateKey):
            raise IdentityError(f"{key_path}: expected an Ed25519 key")
        return cls(loaded, certificate, pem)

    def issue(self, directory: Path, name: str) -> bytes:
        """Write a new key, its certificate and the authority's into `directory`. Returns the node
        id.

        The file of the certificate is the whole chain: without it OpenSSL builds the chain that it
        sends anew for every link, which verifies a signature.
        """
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        directory.mkdir(parents=True, exist_ok=True)
        key = Ed25519PrivateKey.generate()
        certificate = _certificate(key, name, self._key, self._certificate)
        _write_private(directory / KEY_FILE, _private_pem(key))
        (directory / CERTIFICATE_FILE).write_bytes(
            certificate.public_bytes(serialization.Encoding.PEM) + self._pem
        )
        (directory / AUTHORITY_FILE).write_bytes(self._pem)
        return key.public_key().public_bytes_raw()


def _certificate(
    key: "Ed25519PrivateKey",
    name: str,
    signer: "Ed25519PrivateKey",
    issuer: "x509.Certificate | None",
) -> "x509.Certificate":
    """A certificate for `key` signed by `signer`; without an issuer it is the authority's own."""
    from cryptography import x509
    from cryptography.x509.oid import NameOID

    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    start = dt.datetime.now(dt.UTC) - dt.timedelta(days=1)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.subject if issuer is not None else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + dt.timedelta(days=VALID_DAYS))
        .add_extension(
            x509.BasicConstraints(ca=issuer is None, path_length=0 if issuer is None else None),
            critical=True,
        )
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False
        )
    )
    return builder.sign(signer, None)


def _private_pem(key: "Ed25519PrivateKey") -> bytes:
    from cryptography.hazmat.primitives import serialization

    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _write_private(path: Path, data: bytes) -> None:
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with open(descriptor, "wb") as file:
        file.write(data)

"""The configuration file: JSON, strict, every fault named."""

import ipaddress
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from meshnode.bugs import BUGS

VERSION = 1


class ConfigError(Exception):
    """A configuration that cannot be used; the sentence names file, key, what was expected and
    found.
    """


@dataclass(frozen=True, slots=True, kw_only=True)
class Neighbour:
    """A node that this one keeps a link with."""

    name: str
    id: bytes
    address: str
    port: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Settings of the protocols."""

    fanout: int = 10
    k: int = 20
    alpha: int = 3
    max_message_bytes: int = 1 << 20
    max_connections: int = 2000
    rate_per_peer: int = 0  # frames a second that one peer may send; 0: as many as it likes
    routes: int = 0  # destinations that nobody is, for a routing table of a large network's size
    planted_bug: str = ""  # of tests: one of BUGS, of which they see whether it is found


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """One node."""

    name: str
    address: str
    port: int
    directory: Path
    links: tuple[Neighbour, ...] = ()
    options: Options = field(default_factory=Options)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read `path`. Raises ConfigError."""
        try:
            document = json.loads(path.read_text("utf-8"))
        except OSError as error:
            raise ConfigError(f"{path}: {error.strerror}") from error
        except ValueError as error:
            raise ConfigError(f"{path}: not JSON: {error}") from error
        try:
            return cls.from_json(document)
        except ConfigError as error:
            raise ConfigError(f"{path}: {error}") from error

    @classmethod
    def from_json(cls, document: object) -> Self:
        """The configuration that a parsed document describes. Raises ConfigError."""
        table = _Table("", document)
        version = table.take("version", int)
        if version != VERSION:
            raise ConfigError(f"version: expected {VERSION}, found {version}")
        links = tuple(
            _neighbour(_Table(f"links[{index}].", link))
            for index, link in enumerate(table.take("links", list, []))
        )
        config = cls(
            name=table.name("name"),
            address=table.address("address"),
            port=table.number("port", 1, 65535),
            directory=Path(table.take("directory", str)),
            links=links,
            options=_options(_Table("options.", table.take("options", dict, {}))),
        )
        table.finish()
        if len({link.id for link in links}) < len(links):
            raise ConfigError("links: a node id occurs twice")
        return config


def _neighbour(table: "_Table") -> Neighbour:
    neighbour = Neighbour(
        name=table.name("name"),
        id=table.node_id("id"),
        address=table.address("address"),
        port=table.number("port", 1, 65535),
    )
    table.finish()
    return neighbour


def _options(table: "_Table") -> Options:
    default = Options()
    options = Options(
        fanout=table.number("fanout", 1, 10_000, default.fanout),
        k=table.number("k", 1, 30, default.k),
        alpha=table.number("alpha", 1, 100, default.alpha),
        max_message_bytes=table.number("max_message_bytes", 1, 1 << 28, default.max_message_bytes),
        max_connections=table.number("max_connections", 1, 1_000_000, default.max_connections),
        rate_per_peer=table.number("rate_per_peer", 0, 1_000_000, default.rate_per_peer),
        routes=table.number("routes", 0, 1_000_000, default.routes),
        planted_bug=table.choice("planted_bug", BUGS, default.planted_bug),
    )
    table.finish()
    return options


_TYPE_NAMES = {int: "a whole number", str: "a string", list: "a list", dict: "an object"}


class _Table:
    """A JSON object whose keys are taken one by one; what nobody took is unknown."""

    def __init__(self, prefix: str, document: object) -> None:
        if not isinstance(document, dict):
            raise ConfigError(
                f"{prefix.rstrip('.') or 'the file'}: expected an object, found "
                f"{type(document).__name__}"
            )
        self._prefix = prefix
        self._left: dict[str, object] = dict(document)
        self._known: list[str] = []

    def take(self, key: str, kind: type, default: object = None) -> Any:
        self._known.append(key)
        value = self._left.pop(key, default)
        if value is None:
            raise ConfigError(f"{self._prefix}{key}: missing")
        if not isinstance(value, kind) or isinstance(value, bool):
            raise ConfigError(f"{self._prefix}{key}: expected {_TYPE_NAMES[kind]}, found {value!r}")
        return value

    def number(self, key: str, low: int, high: int, default: int | None = None) -> int:
        value: int = self.take(key, int, default)
        if not low <= value <= high:
            raise ConfigError(f"{self._prefix}{key}: expected {low} to {high}, found {value}")
        return value

    def choice(self, key: str, possible: Iterable[str], default: str) -> str:
        value: str = self.take(key, str, default)
        if value != default and value not in possible:
            raise ConfigError(
                f"{self._prefix}{key}: expected one of {', '.join(possible)}; found {value!r}"
            )
        return value

    def name(self, key: str) -> str:
        value: str = self.take(key, str)
        if not value or not value.isprintable():
            raise ConfigError(f"{self._prefix}{key}: expected a printable name, found {value!r}")
        return value

    def address(self, key: str) -> str:
        value: str = self.take(key, str)
        try:
            return str(ipaddress.IPv4Address(value))
        except ValueError as error:
            raise ConfigError(
                f"{self._prefix}{key}: expected an IPv4 address, found {value!r}"
            ) from error

    def node_id(self, key: str) -> bytes:
        value: str = self.take(key, str)
        try:
            decoded = bytes.fromhex(value)
        except ValueError:
            decoded = b""
        if len(decoded) != 32 or len(value) != 64:
            raise ConfigError(
                f"{self._prefix}{key}: expected 64 hexadecimal digits, found {value!r}"
            )
        return decoded

    def finish(self) -> None:
        if self._left:
            unknown = ", ".join(f"{self._prefix}{key}" for key in self._left)
            raise ConfigError(f"unknown key {unknown}; possible are {', '.join(self._known)}")

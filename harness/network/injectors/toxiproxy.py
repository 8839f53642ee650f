"""Toxiproxy makes the faults of streams; neither end knows of it.

Nodes keep dialling their peers' own addresses. The server stands in a namespace of its own on a
link of the hub. nftables marks the flows of impaired paths, a route sends them to that namespace,
and there they are redirected to their proxy. What the proxy dials is sent on with the address of
the node that dialled, so the peer sees who really speaks. Only paths with a stream fault have a
proxy; one call makes them all.
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

import requests
from toxiproxy.api import APIConsumer
from toxiproxy.exceptions import InvalidToxic, NotFound, ProxyExists

from harness.errors import HarnessError, UnavailableError
from harness.kernel import policy_routing
from harness.kernel.namespaces import create, inside, spawn_in, write_sysctl
from harness.kernel.nft import Nft
from harness.kernel.wiring import Entry
from harness.network.injectors.compiler import Compiled, DialledPath
from harness.network.injectors.injector import Site
from harness.network.injectors.nftables import PROXY_LINK
from harness.network.injectors.ruleset import DIVERT, Listed, Ruleset, key_of
from harness.network.injectors.toxiproxy_server import (
    CALL_TIMEOUT_S,
    END_TIMEOUT_S,
    START_TIMEOUT_S,
    server,
)
from harness.topology.impairment import Toxic

# The proxy's own, in the block that carriers share (RFC 6598): no topology has it.
ADDRESS = "100.127.255.1"
FIRST_PORT, PROXIES_MAX = 20_000, 40_000
# The server ends when its owner's end of this pipe closes, however that ends.
GUARDED = '"$0" "$@" & child=$!; cat > /dev/null; kill -9 $child'
_TABLE = """table ip px {
  map port { type ipv4_addr . ipv4_addr . inet_service : inet_service; }
  map real { type ipv4_addr : ipv4_addr; }
  map orig { type ipv4_addr : ipv4_addr; }
  chain pre { type nat hook prerouting priority -100; policy accept;
    meta l4proto tcp redirect to :ip saddr . ip daddr . tcp dport map @port
  }
  chain out { type nat hook output priority -100; policy accept;
    meta l4proto tcp dnat to ip daddr map @real
  }
  chain post { type nat hook postrouting priority 100; policy accept;
    meta l4proto tcp snat to ct original ip daddr map @orig
  }
}
"""


def has_ports(site: Site) -> bool:
    """Whether the adapter says at which ports nodes dial each other: else a proxy would see
    nothing.
    """
    return bool(site.ports)


class Toxiproxy:
    """The proxies of one hub."""

    name = "toxiproxy"

    def __init__(self, site: Site) -> None:
        program, self._fabric, self._hub = server(), site.fabric, site.fabric.hub
        self._slots: dict[DialledPath, int] = {}
        self._toxics: dict[DialledPath, tuple[Toxic, ...]] = {}
        self._wired: set[Entry] = set()
        with ExitStack() as undo:
            self._namespace = create()
            undo.callback(os.close, self._namespace)
            undo.callback(self._detach)
            ifindex = self._attach()
            self._nft = Nft(self._namespace)
            undo.callback(self._nft.close)
            self._nft.run(_TABLE)
            self._made = Ruleset(self._listed())
            with inside(self._namespace):  # once conntrack is there
                write_sysctl("net/netfilter/nf_conntrack_tcp_be_liberal", "1")
            self._start(program)
            undo.callback(self._end)
            self._await()
            undo.callback(self._leave)
            with self._rewiring():
                policy_routing.add(self._hub, DIVERT, ADDRESS, ifindex)
            self._undo = undo.pop_all()

    @contextmanager
    def _rewiring(self) -> Iterator[None]:
        """Note what the body makes in the hub as the proxies'."""
        made: set[Entry] = set()
        try:
            with self._fabric.rewiring() as made:
                yield
        finally:
            self._wired |= made

    def _attach(self) -> int:
        with self._rewiring():
            ifindex = self._fabric.attach(PROXY_LINK, ADDRESS, self._namespace)
        with inside(self._namespace):
            for which in ("all", "default", "eth0"):
                write_sysctl(f"net/ipv4/conf/{which}/rp_filter", "0")
        return ifindex

    def _detach(self) -> None:
        try:
            with self._fabric.rewiring(), suppress(HarnessError):  # somebody took it away before us
                self._fabric.detach(PROXY_LINK)
        finally:
            self._fabric.forget(self._wired)

    def _leave(self) -> None:
        with self._fabric.rewiring():
            policy_routing.remove(self._hub, DIVERT)

    def _start(self, program: str) -> None:
        reading, self._life = os.pipe()
        silent = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
        try:
            self._process = spawn_in(
                self._namespace,
                [
                    "sh",
                    "-c",
                    GUARDED,
                    program,
                    "-host",
                    "127.0.0.1",
                    "-port",
                    str(APIConsumer.port),
                ],
                stdio=(reading, silent, silent),
            )
        except BaseException:
            os.close(self._life)
            raise
        finally:
            os.close(reading)
            os.close(silent)

    def _end(self) -> None:
        os.close(self._life)
        try:
            self._process.wait(END_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    @staticmethod
    def is_needed(wanted: Compiled) -> bool:
        """A state with a fault of a stream needs it."""
        return bool(wanted.streams)

    @staticmethod
    def require() -> None:
        """Raise UnavailableError where there is no server, and none can be built."""
        server()

    def prepare(self, wanted: Compiled) -> None:
        """Make the new proxies in one call and bring all toxics up to date, before flows are sent
        here.
        """
        new = self._free(stream for stream in wanted.streams if stream not in self._slots)
        if new:
            self._call(
                "post",
                "/populate",
                json=[
                    {
                        "name": _name(stream),
                        "listen": f"0.0.0.0:{FIRST_PORT + slot}",
                        "upstream": f"{_virtual(slot)}:{stream[2]}",
                        "enabled": True,
                    }
                    for stream, slot in new.items()
                ],
            )
            self._change("add", new)
            self._slots |= new
        for stream, toxics in wanted.streams.items():
            had = self._toxics.get(stream, ())
            for toxic in set(had) - set(toxics):
                self._call("delete", f"/proxies/{_name(stream)}/toxics/{_toxic_name(toxic)}")
            for toxic in set(toxics) - set(had):
                self._call("post", f"/proxies/{_name(stream)}/toxics", json=_toxic(toxic))
            self._toxics[stream] = toxics

    def finish(self, wanted: Compiled) -> None:
        """End the proxies that are not wanted, and the flows they carry, once no new flow is sent
        here.
        """
        gone = {stream: at for stream, at in self._slots.items() if stream not in wanted.streams}
        if gone:
            self._change("delete", gone)
        for stream in gone:
            del self._slots[stream]
            self._toxics.pop(stream, None)
        for stream in gone:
            self._call("delete", f"/proxies/{_name(stream)}")

    def _change(self, verb: str, slots: Mapping[DialledPath, int]) -> None:
        """Add the elements of these proxies, or delete them, in one transaction."""
        self._nft.run(
            "\n".join(
                f"{verb} element ip px {name} {{ {', '.join(elements)} }}"
                for name, elements in _elements(slots).items()
            )
        )

    def _listed(self) -> Listed:
        return self._nft.json("list ruleset")

    def drift(self, wanted: Compiled) -> str | None:
        """Say why the server does not have what was asked; None where it does. Never raises."""
        try:
            proxies = self._call("get", "/proxies")
            listed = self._listed()
        except HarnessError as error:
            return str(error)
        if self._is_changed(listed):
            return "the rules of the proxies' namespace are not as they were made"
        asked = {
            _name(stream): {_toxic_name(toxic): _toxic(toxic) for toxic in toxics}
            for stream, toxics in wanted.streams.items()
        }
        found = {
            name: {toxic["name"]: toxic for toxic in proxy["toxics"]}
            for name, proxy in proxies.items()
            if proxy["enabled"]
        }
        if asked.keys() != found.keys():
            return f"proxies: asked {len(asked)}, the server has {len(found)} that are enabled"
        for name, toxics in asked.items():
            if toxics.keys() != found[name].keys() or any(
                not _same(toxic, found[name][key]) for key, toxic in toxics.items()
            ):
                return (
                    f"the toxics of proxy {name}: asked {sorted(toxics)}, the server has "
                    f"{sorted(found[name])}"
                )
        return None

    def close(self) -> None:
        """End the server and take its namespace's link away."""
        self._undo.close()

    def _is_changed(self, listed: Listed) -> bool:
        """Whether the rules, or the elements of the maps, are not those that were made."""
        ruleset = Ruleset(listed)
        if (ruleset.objects, ruleset.rules) != (self._made.objects, self._made.rules):
            return True
        maps = {
            entry["map"]["name"]: entry["map"].get("elem", []) for entry in listed if "map" in entry
        }
        return any(
            sorted(f"{_words(key)} : {value}" for key, value in maps[name]) != sorted(elements)
            for name, elements in _elements(self._slots).items()
        )

    def _free(self, streams: Iterable[DialledPath]) -> dict[DialledPath, int]:
        """Give each stream a slot that no other has."""
        taken = set(self._slots.values())
        free = (slot for slot in range(1, PROXIES_MAX) if slot not in taken)
        wanted = list(streams)
        found = dict(zip(wanted, free, strict=False))
        if len(found) < len(wanted):
            raise UnavailableError(f"more than {PROXIES_MAX:,} paths with a stream fault at once")
        return found

    def _await(self) -> None:
        end = time.monotonic() + START_TIMEOUT_S
        while True:
            try:
                self._call("get", "/version")
                return
            except UnavailableError:
                if time.monotonic() > end or self._process.poll() is not None:
                    raise
                time.sleep(0.01)

    def _call(self, verb: str, path: str, json: Any = None) -> Any:
        """Make one request by toxiproxy-python, inside the server's namespace.

        Raises UnavailableError for every failure, also those that toxiproxy-python is silent about.
        """
        given = {"json": json} if json is not None else {}
        try:
            with inside(self._namespace):
                answer = getattr(APIConsumer, verb)(path, timeout=CALL_TIMEOUT_S, **given)
        except (requests.RequestException, ProxyExists, NotFound, InvalidToxic) as error:
            raise UnavailableError(f"Toxiproxy did not {verb} {path}: {error}") from error
        if answer.status_code >= 300:
            raise UnavailableError(
                f"Toxiproxy answered {answer.status_code} to {verb} {path}: "
                f"{answer.text.strip()[:200]}"
            )
        with suppress(ValueError):
            return answer.json()
        return answer.text


def _virtual(slot: int) -> str:
    """Return the address that a proxy dials, which means nothing outside of its namespace."""
    return f"100.{64 + slot // 62_500}.{slot // 250 % 250}.{slot % 250 + 1}"


def _elements(slots: Mapping[DialledPath, int]) -> dict[str, list[str]]:
    """Return the elements of each map, in nft's words, that send flows to their proxies and on.

    port: a proxy's listening port; real: whom it dials; orig: from whose address.
    """
    return {
        "port": [f"{a} . {b} . {port} : {FIRST_PORT + at}" for (a, b, port), at in slots.items()],
        "real": [f"{_virtual(at)} : {b}" for (_, b, _), at in slots.items()],
        "orig": [f"{_virtual(at)} : {a}" for (a, _, _), at in slots.items()],
    }


def _words(key: Any) -> str:
    """Write an element's key, as libnftables lists it, in nft's words."""
    key = key_of(key)
    return " . ".join(map(str, key)) if isinstance(key, tuple) else str(key)


def _name(stream: DialledPath) -> str:
    return f"{stream[0]}-{stream[1]}-{stream[2]}"


def _toxic_name(toxic: Toxic) -> str:
    return "_".join(
        [toxic.kind, toxic.stream, *(f"{key}{value}" for key, value in toxic.attributes)]
    )


def _toxic(toxic: Toxic) -> dict[str, Any]:
    return {
        "name": _toxic_name(toxic),
        "type": toxic.kind,
        "stream": toxic.stream,
        "toxicity": toxic.toxicity,
        "attributes": dict(toxic.attributes),
    }


def _same(asked: Mapping[str, Any], found: Mapping[str, Any]) -> bool:
    """Whether a toxic is as asked; attributes that were not asked for are the server's defaults."""
    return (
        all(found[key] == asked[key] for key in ("type", "stream", "toxicity"))
        and asked["attributes"].items() <= found["attributes"].items()
    )

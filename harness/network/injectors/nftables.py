"""Nftables makes cuts, half-open paths and loss, and gives each packet its class.

Delay and rate find a packet by its class. A change is one transaction. The order in the hub:

    prerouting -150   `divert`   TCP flows with a stream fault get the mark that routes to the proxy
    forward    -200   `before`   cut; then loss, mark (delay), priority (rate) of path or region;
                                 `past` resets connections of a stream fault that have no proxy
    forward    -150   a queue    for marked packets only (nfqueue.py)
    forward       0   `after`    cut once more: packets that were held when it came

Every number is a hook priority. All chains are made once, before the first packet can be held: the
kernel drops what a queue holds when a hook of the namespace goes away.

A flow is diverted from its first packet on, so a connection that stood before its stream fault has
no proxy. `past` resets it at its next packet, from either end; who dials anew gets a proxy. What a
stream's target dials from its own port (`direct`) is the other way, and no flow of that fault.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any

from harness.errors import HarnessError
from harness.kernel.nft import Nft
from harness.network.injectors.compiler import AddressPair, Compiled
from harness.network.injectors.injector import OfTheKernel, Site
from harness.network.injectors.ruleset import (
    DIVERT,
    HELD,
    Listed,
    Ruleset,
    class_rules,
    key_of,
    verdicts_of,
)
from harness.topology.impairment import Impairment

TABLE = "harness"
PROXY_LINK = "px"
TOGETHER = 5_000  # elements a line

_TABLE = f"""table ip {TABLE} {{
  map side {{ type ipv4_addr : verdict; }}
  set half {{ type ipv4_addr . ipv4_addr; }}
  set old {{ type ipv4_addr . inet_service . ipv4_addr . inet_service; }}
  map path {{ type ipv4_addr . ipv4_addr : verdict; }}
  map region {{ type ipv4_addr . ipv4_addr : verdict; flags interval; }}
  set streams {{ type ipv4_addr . ipv4_addr . inet_service; }}
  set flows {{ type ipv4_addr . inet_service . ipv4_addr . inet_service; \
    flags dynamic,timeout; timeout 1h; size 262144; }}
  set direct {{ type ipv4_addr . inet_service . ipv4_addr . inet_service; \
    flags dynamic,timeout; timeout 1h; size 262144; }}
  counter cut {{ }}
  counter half {{ }}
  counter old {{ }}
  counter past {{ }}
  chain divert {{ type filter hook prerouting priority -150; policy accept;
    iifname "{PROXY_LINK}" tcp flags & (syn|ack) == syn \
      update @flows {{ ip daddr . tcp dport . ip saddr . tcp sport }}
    iifname "{PROXY_LINK}" accept
    tcp flags & (syn|ack) == syn delete @flows {{ ip saddr . tcp sport . ip daddr . tcp dport }}
    tcp flags & (syn|ack) == syn ip saddr . ip daddr . tcp dport @streams \
      update @flows {{ ip saddr . tcp sport . ip daddr . tcp dport }}
    ip saddr . tcp sport . ip daddr . tcp dport @flows meta mark set {DIVERT}
    meta mark {DIVERT} tcp flags & psh == psh \
      update @flows {{ ip saddr . tcp sport . ip daddr . tcp dport }}
    meta mark {DIVERT} tcp flags & (fin|rst) != 0x0 \
      update @flows {{ ip saddr . tcp sport . ip daddr . tcp dport timeout 30s }}
  }}
  chain past {{
    meta mark & {DIVERT} == 0x0 tcp flags & (syn|ack) == syn \
      update @direct {{ ip saddr . tcp sport . ip daddr . tcp dport }}
    ip saddr . tcp sport . ip daddr . tcp dport @direct \
      update @direct {{ ip saddr . tcp sport . ip daddr . tcp dport }} return
    ip daddr . tcp dport . ip saddr . tcp sport @direct return
    tcp flags & rst == rst return
    counter name past reject with tcp reset
  }}
  chain before {{ type filter hook forward priority -200; policy accept;
    ip saddr vmap @side
    ip saddr . ip daddr @half tcp flags & (syn|ack) == syn counter name half drop
    ip saddr . ip daddr @half meta l4proto udp counter name half drop
    ip saddr . tcp sport . ip daddr . tcp dport @old counter name old drop
    oifname "{PROXY_LINK}" accept
    iifname != "{PROXY_LINK}" ip saddr . ip daddr . tcp dport @streams jump past
    iifname != "{PROXY_LINK}" ip daddr . ip saddr . tcp sport @streams jump past
    ip saddr . ip daddr vmap @path
    ip saddr . ip daddr vmap @region
  }}
  chain after {{ type filter hook forward priority 0; policy accept;
    meta mark & {HELD} != {HELD} accept
    ip saddr vmap @side
    ip saddr . tcp sport . ip daddr . tcp dport @old counter name old drop
  }}
}}
"""  # noqa: S608 - nft's own language, made of constants


class Nftables(OfTheKernel):
    """The rules of one hub.

    `holds`: whether delay is done by holding marked packets (nfqueue) instead of by netem.
    """

    name = "nftables"

    def __init__(self, site: Site) -> None:
        self._nft = Nft(site.fabric.hub)
        # Whether delay is done by holding marked packets instead of by netem.
        self._holds = site.backends["delay"] != "netem"
        self._now = Compiled()
        self._sides: dict[frozenset[str], int] = {}
        self._numbers = itertools.count(1)
        self._nft.run(_TABLE)
        self._made = Ruleset(self._listed())

    def _listed(self) -> Listed:
        return self._nft.json(f"list table ip {TABLE}")

    def prepare(self, wanted: Compiled) -> None:
        """Nothing is prepared: the others make what packets choose."""

    def finish(self, wanted: Compiled) -> None:
        """Nothing is left to do: `choose` has taken away what nobody chooses."""

    def choose(self, wanted: Compiled) -> None:
        """Bring the rules into this state in one transaction: no moment in between is clear.

        Raises HarnessError; nothing has changed then.
        """
        now = self._now
        lines: list[str] = []
        for number, what in wanted.classes.items():
            # A class that is changed in place begins with new counters.
            if number in now.classes and now.classes[number] != what:
                lines += [
                    f"flush chain ip {TABLE} c{number}",
                    *(f"delete counter ip {TABLE} {which}{number}" for which in ("in", "lost")),
                ]
            if now.classes.get(number) != what:
                lines += self._chain(number, what)
        for name, before, after in (
            ("path", now.paths, wanted.paths),
            ("region", now.regions, wanted.regions),
        ):
            lines += _difference(name, before, after)
        sides = self._cut(wanted.far, lines) if wanted.far != now.far else self._sides
        for name, had, wants in (
            ("half", now.refusing, wanted.refusing),
            ("old", now.flows, wanted.flows),
            ("streams", frozenset(now.streams), frozenset(wanted.streams)),
        ):
            lines += _elements("delete", name, map(_concatenated, had - wants)) + _elements(
                "add", name, map(_concatenated, wants - had)
            )
        for number in now.classes.keys() - wanted.classes.keys():
            lines += [f"flush chain ip {TABLE} c{number}", f"delete chain ip {TABLE} c{number}"]
            lines += [f"delete counter ip {TABLE} {which}{number}" for which in ("in", "lost")]
        if lines:
            self._nft.run("\n".join(lines))
        self._now, self._sides = wanted, sides

    def _chain(self, number: int, what: Impairment) -> list[str]:
        rules = [words for words, _ in class_rules(number, what, self._holds)]
        made = [f"add counter ip {TABLE} {which}{number}" for which in ("in", "lost")] + [
            f"add chain ip {TABLE} c{number}"
        ]
        return made + [f"add rule ip {TABLE} c{number} {rule}" for rule in rules]

    def _cut(
        self, far: Mapping[str, frozenset[str]], lines: list[str]
    ) -> dict[frozenset[str], int]:
        """Add the lines that cut sources off from their targets; return the chain of each set of
        targets.

        Sources with the same unreachable targets share a set and a chain, so that any number of
        groups costs O(nodes) elements.
        """
        groups: dict[frozenset[str], list[str]] = {}
        for source, unreachable in far.items():
            groups.setdefault(unreachable, []).append(source)
        sides = {targets: self._sides.get(targets) or next(self._numbers) for targets in groups}
        lines.append(f"flush map ip {TABLE} side")
        for targets, number in sides.items():
            if targets not in self._sides:
                lines += [
                    f"add set ip {TABLE} far{number} {{ type ipv4_addr; }}",
                    *_elements("add", f"far{number}", targets),
                    f"add chain ip {TABLE} s{number}",
                ]
                lines.append(
                    f"add rule ip {TABLE} s{number} ip daddr @far{number} counter name cut drop"
                )
            lines += _elements(
                "add", "side", (f"{source} : jump s{number}" for source in groups[targets])
            )
        for gone, number in self._sides.items():
            if gone not in sides:
                lines += [
                    f"flush chain ip {TABLE} s{number}",
                    f"delete chain ip {TABLE} s{number}",
                    f"delete set ip {TABLE} far{number}",
                ]
        return sides

    def _read(self, listed: Listed) -> Compiled:
        """Read the elements that the kernel has of what `choose` sets.

        Raises KeyError, ValueError, TypeError where the table has what we did not put there.
        """
        table = _Elements(listed)
        return Compiled(
            far=table.far(),
            refusing=frozenset(table.elements("half")),
            flows=frozenset(table.elements("old")),
            paths=table.classes_of("path"),
            regions=table.classes_of("region"),
            streams=dict.fromkeys(table.elements("streams"), ()),
        )

    def drift(self, wanted: Compiled) -> str | None:
        """Say why what the kernel has is not what was asked; None where it is. Never raises."""
        try:
            listed = self._listed()
            found = self._read(listed)
        except (HarnessError, KeyError, ValueError, TypeError) as error:
            return f"the rules cannot be read back: {error}"
        for what, asked, has in (
            ("cuts", dict(wanted.far), dict(found.far)),
            ("half-open paths", wanted.refusing, found.refusing),
            ("established connections", wanted.flows, found.flows),
            ("paths", dict(wanted.paths), dict(found.paths)),
            ("regions", dict(wanted.regions), dict(found.regions)),
            ("streams", frozenset(wanted.streams), frozenset(found.streams)),
        ):
            if asked != has:
                return (
                    f"{what}: asked {len(asked)}, the kernel has {len(has)} and they are not "
                    "the same"
                )
        sides = self._sides.values()
        return Ruleset(listed).difference(self._made, wanted, sides, holds=self._holds)

    def counters(self) -> dict[str, int]:
        """Read packets by counter: ``cut``, ``half``, ``old``, ``past``, ``in<class>``,
        ``lost<class>``.
        """
        listed = self._nft.json(f"list counters table ip {TABLE}")
        return {
            entry["counter"]["name"]: entry["counter"]["packets"]
            for entry in listed
            if "counter" in entry
        }

    def clear(self) -> None:
        """Take the table away, and nothing else. May be called twice, and where the table is gone
        already.
        """
        with suppress(HarnessError):
            self._nft.run(f"delete table ip {TABLE}")
        self._now, self._sides = Compiled(), {}

    def close(self) -> None:
        """Take the table away and close the connection."""
        self.clear()
        self._nft.close()


class _Elements:
    """The elements of a table's sets and maps, as libnftables lists them in JSON."""

    def __init__(self, listed: Listed) -> None:
        self._named = {
            value["name"]: value
            for entry in listed
            for kind, value in entry.items()
            if kind in ("set", "map")
        }

    def far(self) -> dict[str, frozenset[str]]:
        side = verdicts_of(self._named, "side", "jump")
        sets = {chain: frozenset(self.elements(f"far{chain[1:]}")) for chain in set(side.values())}
        return {source: sets[chain] for source, chain in side.items()}

    def elements(self, name: str) -> list[Any]:
        return [key_of(element) for element in self._named[name].get("elem", [])]

    def classes_of(self, name: str) -> dict[AddressPair, int]:
        verdicts = verdicts_of(self._named, name, "goto")
        return {pair: int(chain[1:]) for pair, chain in verdicts.items()}


def _difference(
    name: str, before: Mapping[AddressPair, int], after: Mapping[AddressPair, int]
) -> list[str]:
    gone = (_concatenated(pair) for pair, number in before.items() if after.get(pair) != number)
    new = (
        f"{_concatenated(pair)} : goto c{number}"
        for pair, number in after.items()
        if before.get(pair) != number
    )
    return _elements("delete", name, gone) + _elements("add", name, new)


def _concatenated(element: tuple[Any, ...]) -> str:
    return " . ".join(map(str, element))


def _elements(verb: str, name: str, elements: Iterable[str]) -> list[str]:
    all_of_them = list(elements)
    return [
        f"{verb} element ip {TABLE} {name} {{ {', '.join(all_of_them[at : at + TOGETHER])} }}"
        for at in range(0, len(all_of_them), TOGETHER)
    ]

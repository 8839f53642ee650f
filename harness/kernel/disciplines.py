"""Disciplines are read back whole: every queueing discipline of a namespace, every class and every
filter of the links asked for, each with its own numbers (one dump, and two a link).
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from harness.kernel.netlink import Netlink, attributes

_QDISC, _CLASS, _FILTER = 38, 42, 46  # RTM_GET… of linux/rtnetlink.h
_HEADER = struct.Struct("=BxxxiIII")  # struct tcmsg: family, link, handle, parent, info
_KIND, _OPTIONS = 1, 2
_TICKS_A_US = 15.625  # of the kernel's packet scheduler: 64 ns each
_NEARLY, _UNITS = 0.01, 2  # the kernel rounds
_EGRESS_REDIRECT = 1
_TREE, _INGRESS = 0x10000, 0xFFFF0000  # where filters are read


class Numbers(NamedTuple):
    """The numbers of what stands: those that name something or count, and amounts, which the kernel
    rounds.
    """

    exact: tuple[int, ...] = ()
    amounts: tuple[int, ...] = ()

    def below(self, parent: int) -> Numbers:
        """Return the same with its parent first."""
        return Numbers((parent, *self.exact), self.amounts)


Standing = dict[str, Numbers]  # what stands, in words → its parent and its numbers


def read(netlink: Netlink, trees: Iterable[int], ingresses: Iterable[int]) -> Standing:
    """Read what stands. `trees`: links whose classes are read; `ingresses`: links whose incoming
    packets are redirected. Raises HarnessError.
    """
    found: Standing = {}
    for link, handle, parent, has in _listed(netlink, _QDISC, 0, 0):
        kind = _kind(has)
        if kind != "noqueue":
            numbers = _QDISC_NUMBERS.get(kind, lambda _: Numbers())(has.get(_OPTIONS, b""))
            found[qdisc(link, kind, handle)] = numbers.below(parent)
    for link in trees:
        for at, handle, parent, has in _listed(netlink, _CLASS, link, 0):
            if _kind(has) == "htb":
                found[htb_class(at, handle)] = _htb_class(has.get(_OPTIONS, b"")).below(parent)
        found |= _filters(netlink, link, _TREE)
    for link in ingresses:
        found |= _filters(netlink, link, _INGRESS)
    return found


def passed(netlink: Netlink, trees: Iterable[int]) -> dict[tuple[int, int], int]:
    """Count the bytes that went through each class of these links, by link and minor, and through
    the TBF of any device, by device and 0. Raises HarnessError.
    """
    found = {
        (at, 0): _bytes(has)
        for at, _, _, has in _listed(netlink, _QDISC, 0, 0)
        if _kind(has) == "tbf"
    }
    for link in trees:
        for at, handle, _, has in _listed(netlink, _CLASS, link, 0):
            if _kind(has) == "htb":
                found[at, handle & 0xFFFF] = _bytes(has)
    return found


def _bytes(has: Mapping[int, bytes]) -> int:
    basic = attributes(has.get(7, b""), 0).get(1, bytes(8))  # TCA_STATS2, TCA_STATS_BASIC
    return int(struct.unpack_from("=Q", basic)[0])


def difference(asked: Mapping[str, Numbers], found: Mapping[str, Numbers]) -> str | None:
    """Say the first thing that is gone, of other numbers, or a stranger's; None where there is
    none.
    """
    for what, numbers in asked.items():
        if what not in found:
            return f"{what} is gone"
        if not _alike(numbers, found[what]):
            has = found[what]
            return f"{what}: asked {sum(numbers, ())}, the kernel has {sum(has, ())}"
    strangers = sorted(found.keys() - asked.keys())
    return f"a stranger's {strangers[0]} stands in the hub" if strangers else None


def qdisc(link: int, kind: str, handle: int) -> str:
    """Name a discipline in words."""
    return f"qdisc {kind} {handle >> 16:x}: of link {link}"


def htb_class(link: int, handle: int) -> str:
    """Name a class of an HTB tree in words."""
    return f"class {handle >> 16:x}:{handle & 0xFFFF:x} of link {link}"


def filters(link: int, parent: int) -> str:
    """Name the filters at a place of a link in words."""
    return f"filter at {parent >> 16:x}: of link {link}"


def redirect(link: int, to: int) -> Standing:
    """Say what stands where one filter redirects all packets that a link receives to another."""
    return {filters(link, _INGRESS): Numbers((1, 0, _EGRESS_REDIRECT, to))}


def ticks(size: int, rate_bps: int) -> int:
    """Return how long so many bytes take at a rate, in the scheduler's ticks."""
    return round(size * 8e6 / rate_bps * _TICKS_A_US)


def ticks_of_ms(time_ms: float) -> int:
    """Return a time in the scheduler's ticks."""
    return round(time_ms * 1e3 * _TICKS_A_US)


def _alike(asked: Numbers, found: Numbers) -> bool:
    return (
        asked.exact == found.exact
        and len(asked.amounts) == len(found.amounts)
        and all(
            abs(a - b) <= max(_UNITS, _NEARLY * a)
            for a, b in zip(asked.amounts, found.amounts, strict=True)
        )
    )


def _listed(
    netlink: Netlink, request: int, link: int, parent: int
) -> Iterator[tuple[int, int, int, dict[int, bytes]]]:
    """List (link, handle, parent, attributes) of each object."""
    for body in netlink.dump("disciplines", request, _HEADER.pack(0, link, 0, parent, 0)):
        _, at, handle, above, _ = _HEADER.unpack_from(body)
        yield at, handle, above, attributes(body, _HEADER.size)


def _kind(has: Mapping[int, bytes]) -> str:
    return has.get(_KIND, b"").rstrip(b"\0").decode(errors="replace")


def _filters(netlink: Netlink, link: int, parent: int) -> Standing:
    """Read the filters at a place: how many choose, the last one's mask, and where it redirects."""
    numbers = [
        _u32(has.get(_OPTIONS, b"")) if _kind(has) == "u32" else (-1, 0, 0)
        for _, _, _, has in _listed(netlink, _FILTER, link, parent)
        if _OPTIONS in has or _kind(has) != "u32"
    ]
    choosing = [one for one in numbers if one is not None]
    if not choosing:
        return {}
    return {filters(link, parent): Numbers((len(choosing), *choosing[-1]))}


def _u32(options: bytes) -> tuple[int, int, int] | None:
    """Return (mask, action, link) of a u32 filter; None of a hash table, which chooses nothing."""
    has = attributes(options, 0)
    if 5 not in has:  # TCA_U32_SEL
        return None
    masks = struct.unpack_from(f"={has[5][2]}I12x" if has[5][2] == 1 else "=I", has[5], 16)
    first = attributes(has.get(7, b""), 0).get(1, b"")  # TCA_U32_ACT, the first action
    action = attributes(attributes(first, 0).get(2, b""), 0).get(2, b"")  # TCA_MIRRED_PARMS
    if len(action) < 28:  # struct tc_mirred
        return masks[0], 0, 0
    done, to = struct.unpack_from("=iI", action, 20)
    return masks[0], done, to


def _htb(options: bytes) -> Numbers:
    return Numbers(struct.unpack_from("=I", attributes(options, 0)[2], 8))  # the default class


def _htb_class(options: bytes) -> Numbers:
    """Return (rate, ceiling in bytes a second, how long each may burst in ticks)."""
    has = attributes(options, 0)
    rate, ceil, buffer, cbuffer = struct.unpack_from("=8xI8xIII", has[1])
    wide = [struct.unpack("=Q", has[kind])[0] if kind in has else None for kind in (6, 7)]
    return Numbers(amounts=(wide[0] or rate, wide[1] or ceil, buffer, cbuffer))


def _tbf(options: bytes) -> Numbers:
    """Return (rate in bytes a second, bytes that wait at most, how long it may burst in ticks)."""
    has = attributes(options, 0)
    rate, limit, buffer = struct.unpack_from("=8xI12xII", has[1])
    wide = struct.unpack("=Q", has[4])[0] if 4 in has else None
    return Numbers(amounts=(wide or rate, limit, buffer))


def _fifo(options: bytes) -> Numbers:
    return Numbers(struct.unpack_from("=I", options))


def _netem(options: bytes) -> Numbers:
    """Return (gap, packets at most), and (delay and jitter in ticks, loss, duplicate, reorder,
    corrupt in 2⁻³², rate).
    """
    latency, limit, loss, gap, duplicate, jitter = struct.unpack_from("=6I", options)
    has = attributes(options, 24)
    reorder, corrupt, rate = (
        struct.unpack_from("=I", has[kind])[0] if kind in has else 0 for kind in (3, 4, 6)
    )
    return Numbers((gap, limit), (latency, jitter, loss, duplicate, reorder, corrupt, rate))


_QDISC_NUMBERS = {"htb": _htb, "tbf": _tbf, "bfifo": _fifo, "pfifo": _fifo, "netem": _netem}

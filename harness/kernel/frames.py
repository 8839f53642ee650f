"""Frames are counted that came into a namespace from certain other machines, by whichever link.

A socket with a filter of the kernel's own counts them, and goes with its descriptor: nothing is set
in the namespace, and nothing is kept from anybody.
"""

from __future__ import annotations

import ctypes
import socket
import struct
from collections.abc import Collection

from harness.errors import HarnessError
from harness.kernel.namespaces import open_socket

_ALL = socket.htons(0x0003)  # ETH_P_ALL
_ATTACH_FILTER, _SOL_PACKET, _STATISTICS = 26, 263, 6
_OUTGOING = 4  # a packet's kind
_KIND = 0xFFFFF000 + 4  # SKF_AD_OFF + SKF_AD_PKTTYPE
_SOURCE, _PROTOCOL, _NEXT_HEADER = 6, 12, 20  # offsets in a frame
_ARP, _IPV6 = 0x0806, 0x86DD
_OF_LINK = (0, 58)  # of IPv6: MLD and neighbour discovery, by which the kernel runs a link
_WORD, _HALF, _BYTE, _EQUAL, _RETURN = 0x20, 0x28, 0x30, 0x15, 0x06
_INSTRUCTION = struct.Struct("=HBBI")

Instruction = tuple[int, int, int, int]


class Counter:
    """Counts the frames that come into a namespace from machines with these MACs, but ARP's and
    what IPv6 needs to run a link, from its making on.
    """

    def __init__(self, namespace: int, macs: Collection[str]) -> None:
        """Raises HarnessError, PermissionNeededError."""
        self._socket = open_socket(namespace, socket.AF_PACKET, socket.SOCK_RAW, _ALL)
        try:
            self.follow(macs)
            self.count()  # what came before it had a filter
        except BaseException:
            self._socket.close()
            raise

    def follow(self, macs: Collection[str]) -> None:
        """Count those of these machines from now on."""
        program = b"".join(_INSTRUCTION.pack(*one) for one in _filter(macs))
        kept = ctypes.create_string_buffer(program, len(program))
        length = len(program) // _INSTRUCTION.size
        try:
            self._socket.setsockopt(
                *(socket.SOL_SOCKET, _ATTACH_FILTER),
                struct.pack("@HP", length, ctypes.addressof(kept)),
            )
        except OSError as error:
            raise HarnessError(f"frames cannot be counted here: {error.strerror}") from error

    def count(self) -> int:
        """Return how many came since the last call; those for which there was no room too."""
        packets: int
        packets, _ = struct.unpack("=II", self._socket.getsockopt(_SOL_PACKET, _STATISTICS, 8))
        return packets

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()


def _filter(macs: Collection[str]) -> list[Instruction]:
    """Return the program: each test that fails goes on behind the ``return`` that follows it."""
    unheard, heard = (_RETURN, 0, 0, 0), (_RETURN, 0, 0, 1)
    program: list[Instruction] = [(_WORD, 0, 0, _KIND), (_EQUAL, 0, 1, _OUTGOING), unheard]
    program += [(_HALF, 0, 0, _PROTOCOL), (_EQUAL, 0, 1, _ARP), unheard]
    of_link = [step for kind in _OF_LINK for step in ((_EQUAL, 0, 1, kind), unheard)]
    program += [(_EQUAL, 0, 1 + len(of_link), _IPV6), (_BYTE, 0, 0, _NEXT_HEADER), *of_link]
    for mac in macs:
        number = int(mac.replace(":", ""), 16)
        program += [(_WORD, 0, 0, _SOURCE), (_EQUAL, 0, 3, number >> 16)]
        program += [(_HALF, 0, 0, _SOURCE + 4), (_EQUAL, 0, 1, number & 0xFFFF), heard]
    return [*program, unheard]

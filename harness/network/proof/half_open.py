"""Half-open paths are dialled: nothing new may be made, and what stands goes on.

What stands is a connection that needs no handshake: both of its ends are put into the state of an
established one (TCP_REPAIR), so it can be had at any time, also while nothing new is made.
"""

from __future__ import annotations

import os
import socket
from contextlib import ExitStack
from dataclasses import dataclass

from harness.kernel.namespaces import open_socket

PORT, STANDING_PORT = 61_002, 61_003
DIAL_S = 1.5  # a SYN is sent again after 1 s
TCP_REPAIR, TCP_REPAIR_QUEUE, TCP_QUEUE_SEQ = 19, 20, 21
RECEIVES, SENDS = 1, 2
SEQUENCES = 1_000_000, 2_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialled:
    """What was seen of a half-open path; None where it could not be tried, `error` says why."""

    came_through: bool | None = None
    goes_on: bool | None = None
    error: str = ""


def dial(namespaces: tuple[int, int], addresses: tuple[str, str], late_s: float) -> Dialled:
    """Dial from the first node to the second, and send on a connection that stands.

    `late_s`: how long a packet may be under way there and back.
    """
    try:
        came_through = _comes_through(namespaces, addresses[1], DIAL_S + late_s)
        goes_on = _goes_on(namespaces, addresses, DIAL_S + late_s)
    except OSError as error:
        return Dialled(error=os.strerror(error.errno or 0))
    return Dialled(came_through=came_through, goes_on=goes_on)


def _comes_through(namespaces: tuple[int, int], address: str, wait_s: float) -> bool:
    with ExitStack() as stack:
        here, there = (stack.enter_context(_stream(one)) for one in namespaces)
        there.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        there.bind((address, PORT))
        there.listen()
        here.settimeout(wait_s)
        try:
            here.connect((address, PORT))
        except TimeoutError:
            return False
        return True


def _goes_on(namespaces: tuple[int, int], addresses: tuple[str, str], wait_s: float) -> bool:
    with ExitStack() as stack:
        here, there = (stack.enter_context(_stream(one)) for one in namespaces)
        ends = [(address, STANDING_PORT) for address in addresses]
        _establish(here, ends[0], ends[1], SEQUENCES)
        _establish(there, ends[1], ends[0], SEQUENCES[::-1])
        for one in (here, there):
            one.setsockopt(socket.IPPROTO_TCP, TCP_REPAIR, 0)
        here.sendall(b".")
        there.settimeout(wait_s)
        try:
            return there.recv(1) == b"."
        except (TimeoutError, ConnectionError):
            return False
        finally:
            for one in (here, there):  # without a word to the other end
                one.setsockopt(socket.IPPROTO_TCP, TCP_REPAIR, 1)


def _establish(
    one: socket.socket, own: tuple[str, int], other: tuple[str, int], sequences: tuple[int, ...]
) -> None:
    one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    one.setsockopt(socket.IPPROTO_TCP, TCP_REPAIR, 1)
    for queue, sequence in zip((SENDS, RECEIVES), sequences, strict=True):
        one.setsockopt(socket.IPPROTO_TCP, TCP_REPAIR_QUEUE, queue)
        one.setsockopt(socket.IPPROTO_TCP, TCP_QUEUE_SEQ, sequence)
    one.bind(own)
    one.connect(other)


def _stream(namespace: int) -> socket.socket:
    return open_socket(namespace, socket.AF_INET, socket.SOCK_STREAM)

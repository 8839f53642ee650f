"""The delay engine holds the packets of netfilter queue 0 until they are due.

It is a process of its own, which imports the standard library alone.

    python -IS delay_engine.py QUEUE-DESCRIPTOR CONTROL-DESCRIPTOR SEED

Control is JSON datagrams: ``{"set": {class: [delay_s, jitter_s, reorder]}}``, ``{"drop":
[class]}``, ``{"read": true}``. Each is answered by the table, the number of packets held and seen,
the most that were held at once since the table changed, and how many were let go since the last
read, and how many of them late. When control closes, the engine lets go
of what it holds and ends. If it is killed, the kernel drops what it held and passes all that
follows (queue-bypass).
"""

from __future__ import annotations

import gc
import heapq
import json
import os
import random
import select
import signal
import socket
import struct
import sys
import time

# NFNL_SUBSYS_QUEUE << 8 | NFQNL_MSG_PACKET; an error must not be taken for one.
PACKET = struct.pack("=H", 3 << 8)
ATTRIBUTES_AT, ID_AT, MARK_ATTRIBUTE = 32, 24, 3
ACCEPT = socket.htonl(1)
EARLY_S = 3e-5  # a packet due so soon is let go now: sleeping takes longer
LATE_S, LATE = 0.005, 0.1  # from which on, and from which share of its delay, a packet is late
BURST = 128  # packets taken between two looks at what is due
TOGETHER = 256  # verdicts a system call
IDLE_S = 0.2


class Engine:
    """The engine's loop: one thread, no garbage collection; its owner gives it a priority."""

    def __init__(self, queue: socket.socket, control: socket.socket, seed: int) -> None:
        self._queue, self._control, self._uniform, self._chance = (
            queue,
            control,
            random.Random(seed).uniform,
            random.Random(seed + 1).random,
        )
        self._held: list[tuple[float, int, int, float]] = []  # due, number, packet, late from
        self._classes: dict[int, tuple[float, float, float]] = {}
        self._seen = self._most = self._gone = self._late = 0

    def run(self) -> None:
        """Hold packets and let them go until control closes."""
        gc.freeze()
        gc.disable()
        over = False
        while not over or self._held:
            wait_s = (
                0.0
                if over
                else min(max(self._held[0][0] - time.monotonic(), 0.0), IDLE_S)
                if self._held
                else IDLE_S
            )
            back_s = time.monotonic() + wait_s + LATE_S
            ready = select.select(
                [self._queue] if over else [self._queue, self._control], [], [], wait_s
            )[0]
            was_away = time.monotonic() > back_s
            if self._control in ready:
                over = not self._obey()
            if self._queue in ready:
                self._take(was_away)
            self._let_go(float("inf") if over else time.monotonic() + EARLY_S)

    def _obey(self) -> bool:
        data = self._control.recv(1 << 20)
        if not data:
            return False
        asked = json.loads(data)
        self._classes |= {
            int(number): tuple(values) for number, values in asked.get("set", {}).items()
        }
        for number in asked.get("drop", []):
            self._classes.pop(number, None)
        if "read" not in asked:
            self._most = len(self._held)
        self._control.send(
            json.dumps(
                {
                    "asked": asked["asked"],
                    "classes": self._classes,
                    "held": len(self._held),
                    "seen": self._seen,
                    "most": self._most,
                    "gone": self._gone,
                    "late": self._late,
                }
            ).encode()
        )
        if "read" in asked:
            self._gone = self._late = 0
        return True

    def _take(self, was_away: bool) -> None:
        """Take what is in the queue; what came while the engine `was_away` is late already."""
        for _ in range(BURST):
            try:
                data = self._queue.recv(4096)
            except BlockingIOError:
                return
            if data[4:6] != PACKET:
                continue  # an answer to a verdict on a packet that the kernel had flushed
            at, mark = ATTRIBUTES_AT, 0
            while at < len(data):
                length, kind = struct.unpack_from("=HH", data, at)
                if kind == MARK_ATTRIBUTE:
                    mark = struct.unpack_from("!I", data, at + 4)[0]
                    break
                at += (length + 3) & ~3
            delay_s, jitter_s, reorder = self._classes.get(mark & 0xFFFF, (0.0, 0.0, 0.0))
            if reorder and self._chance() < reorder:
                delay_s = jitter_s = 0.0
            due_s = (
                time.monotonic()
                + delay_s
                + (self._uniform(-jitter_s, jitter_s) if jitter_s else 0.0)
            )
            packet = struct.unpack_from("!I", data, ID_AT)[0]
            late_s = 0.0 if was_away else due_s + max(LATE_S, LATE * delay_s)
            heapq.heappush(self._held, (due_s, self._seen, packet, late_s))
            self._seen += 1
            self._most = max(self._most, len(self._held))

    def _let_go(self, until_s: float) -> None:
        verdicts, now_s = [], time.monotonic()
        while self._held and self._held[0][0] <= until_s:
            _, _, packet, late_s = heapq.heappop(self._held)
            self._gone += 1
            self._late += late_s < now_s
            verdicts.append(
                struct.pack(
                    "=IHHII4sHHII",
                    32,
                    0x301,
                    1,
                    0,
                    0,
                    bytes(4),
                    12,
                    2,
                    ACCEPT,
                    socket.htonl(packet),
                )
            )
        for at in range(0, len(verdicts), TOGETHER):
            self._queue.send(b"".join(verdicts[at : at + TOGETHER]))


if __name__ == "__main__":
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # its owner's going is what ends it
    # Low numbers, whatever they were in the owner: select cannot take those above 1023, and poll
    # has no timeout below a millisecond. Beside these two the engine has none.
    given = [int(descriptor) for descriptor in sys.argv[1:3]]
    of_kernel, of_owner = (socket.socket(fileno=os.dup(descriptor)) for descriptor in given)
    for descriptor in given:
        os.close(descriptor)
    of_kernel.setblocking(False)
    Engine(of_kernel, of_owner, int(sys.argv[3])).run()

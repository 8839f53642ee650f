"""Null nodes answer every operation at once, and do nothing else: a load generator that is held
against them shows what it can do by itself.

`python -m harness.systems.null_nodes FOLDER COUNT [STALL_MS EVERY_MS]` serves FOLDER/node-0.sock
and so on until its standard input ends, and prints `ready` once it does. With a stall it holds all
answers back for STALL_MS once every EVERY_MS, from the moments of CLOCK_MONOTONIC that EVERY_MS
divides.
"""

from __future__ import annotations

import selectors
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from harness.errors import UnavailableError
from harness.operations import Outcome
from harness.systems.protocol import frame, frames

RECEIVE_BYTES = 1 << 18


class NullNode:
    """One connection to one node."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection, self._buffer = connection, bytearray()

    def answer(self) -> bool:
        """Answer what has come; False once the other end has closed."""
        data = self._connection.recv(RECEIVE_BYTES)
        self._buffer += data
        now_ns, done = time.monotonic_ns(), int(Outcome.OK)
        answered = [
            [operation[0], done, now_ns, None]
            for message in frames(self._buffer)
            for operation in message[1]
        ]
        if answered:
            self._connection.sendall(frame(["done", answered]))
        return bool(data)


def paths(folder: Path, count: int) -> list[str]:
    """Return the sockets of so many null nodes."""
    return [str(folder / f"node-{index}.sock") for index in range(count)]


def serve(folder: Path, count: int, stall_ns: int = 0, every_ns: int = 1) -> None:
    """Serve until standard input ends."""
    selector = selectors.DefaultSelector()
    selector.register(sys.stdin, selectors.EVENT_READ)
    for path in paths(folder, count):
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(path)
        listener.listen(16)
        selector.register(listener, selectors.EVENT_READ, listener)
    print("ready", flush=True)
    while True:
        for key, _ in selector.select():
            into_ns = time.monotonic_ns() % every_ns
            if into_ns < stall_ns:
                time.sleep((stall_ns - into_ns) / 1e9)
            if key.data is None:
                return
            if isinstance(key.data, NullNode):
                _answer(selector, key.data, key.fileobj)
            else:
                connection, _ = key.data.accept()
                selector.register(connection, selectors.EVENT_READ, NullNode(connection))


def _answer(selector: selectors.BaseSelector, node: NullNode, connection: object) -> None:
    assert isinstance(connection, socket.socket)
    try:
        living = node.answer()
    except OSError:  # the generator is gone
        living = False
    if not living:
        selector.unregister(connection)
        connection.close()


@contextmanager
def null_nodes(
    folder: Path, count: int, stall_ms: int = 0, every_ms: int = 1
) -> Iterator[subprocess.Popen[bytes]]:
    """Have so many null nodes serve below a folder. Raises UnavailableError where they do not."""
    command = [sys.executable, "-m", __name__, str(folder), str(count)]
    command += [str(stall_ms), str(every_ms)] if stall_ms else []
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        if process.stdout.readline() != b"ready\n":
            raise UnavailableError(f"{folder}: {count} null nodes could not be started")
        try:
            yield process
        finally:
            process.stdin.close()


if __name__ == "__main__":
    serve(Path(sys.argv[1]), int(sys.argv[2]), *(int(each) * 1_000_000 for each in sys.argv[3:]))

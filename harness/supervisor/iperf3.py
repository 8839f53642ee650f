"""What a path carries, by a tool that is not ours: iperf3 between two nodes' namespaces, beside the
system under test.
"""

from __future__ import annotations

import json
import os
import signal
import tempfile
import time
from contextlib import suppress
from typing import IO

from harness.errors import UnavailableError
from harness.runtimes.runtime import Runtime

PORT = 5201
SERVER_START_S = 0.5
GRACE_S = 10


def goodput(runtime: Runtime, source: str, target: str, address: str, seconds: float) -> float:
    """Bytes a second that one TCP stream from node to node (at `address`) carried. Blocks so long.

    Raises UsageError where iperf3 is not installed, UnavailableError with its words where it fails.
    """
    with tempfile.TemporaryFile() as said, open(os.devnull, "r+b") as nothing:
        server = _run(
            runtime, target, ["iperf3", "--server", "--one-off", "--port", str(PORT)], nothing
        )
        try:
            time.sleep(SERVER_START_S)
            client = _run(
                runtime,
                source,
                [
                    "timeout",
                    str(round(seconds + GRACE_S)),
                    "iperf3",
                    "--json",
                    "--client",
                    address,
                    "--port",
                    str(PORT),
                    "--time",
                    str(max(1, round(seconds))),
                ],
                said,
            )
            os.waitpid(client, 0)
        finally:
            with suppress(ProcessLookupError):
                os.kill(server, signal.SIGKILL)
            os.waitpid(server, 0)
        said.seek(0)
        return parse(said.read())


def parse(said: bytes) -> float:
    """Bytes a second at the receiver, from iperf3's JSON. Raises UnavailableError."""
    try:
        found = json.loads(said)
        return float(found["end"]["sum_received"]["bits_per_second"]) / 8
    except (ValueError, KeyError, TypeError) as error:
        problem = (
            found.get("error", "no result")
            if isinstance(found := _or_none(said), dict)
            else "no JSON"
        )
        raise UnavailableError(f"iperf3 said {problem}") from error


def _or_none(said: bytes) -> object:
    with suppress(ValueError):
        return json.loads(said)
    return None


def _run(runtime: Runtime, node: str, argv: list[str], output: IO[bytes]) -> int:
    with open(os.devnull, "rb") as nothing:
        return runtime.execute(node, argv, (nothing.fileno(), output.fileno(), output.fileno()))

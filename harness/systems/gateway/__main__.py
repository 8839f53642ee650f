"""``python -m harness.systems.gateway SETTINGS`` serves until standard input ends.

Lines of standard input say which nodes are about to start (``expect node-3:1024``, the bytes of its
log so far) or gone, and whose namespace is another one now (``moved 17``, its descriptor).
Settings, JSON: ``{"adapter", "notify", "state", "nodes": [{"name", "region", "options", "address",
"directory", "namespace", "container"}], "stalls"}``; namespaces and ``stalls`` (stalls.py) are
descriptors that this process inherits.
"""

from __future__ import annotations

import asyncio
import json
import resource
import sys
from pathlib import Path
from typing import Any

from harness.errors import HarnessError
from harness.kernel import priority
from harness.kernel.descriptors import renew
from harness.runtimes.runtime import Place
from harness.systems import adapters
from harness.systems.adapter import DrivenAdapter
from harness.systems.gateway import sockets, stalls
from harness.systems.gateway.node import GatewayNode
from harness.topology.topology import Node

COMMAND_BYTES_MAX = 1 << 24  # a line names every node of a cluster


async def serve(settings: dict[str, Any]) -> None:
    """Serve until the supervisor closes its end of standard input."""
    adapter = adapters.named(settings["adapter"])
    if not isinstance(adapter, DrivenAdapter):
        raise HarnessError(
            f"{settings['adapter']} has no driver: it serves its control sockets itself"
        )
    adapter.resume(Path(settings["state"]))
    places = [
        Place(
            node=Node(name=each["name"], region=each["region"], options=each["options"]),
            index=index,
            address=each["address"],
            directory=Path(each["directory"]),
            namespace=each["namespace"],
            container=each["container"],
        )
        for index, each in enumerate(settings["nodes"])
    ]
    peers: dict[bytes, GatewayNode] = {}
    nodes: dict[str, GatewayNode] = {}
    for place, endpoint in zip(places, adapter.endpoints(places), strict=True):
        node = GatewayNode(adapter, place, places, endpoint, Path(settings["notify"]), peers)
        nodes[endpoint.node] = peers[endpoint.wire_id] = node
        sockets.listen(Path(endpoint.control), node.heard)
    commands = asyncio.StreamReader(limit=COMMAND_BYTES_MAX)
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(commands), sys.stdin
    )
    watching = asyncio.create_task(stalls.watch(settings["stalls"]))
    while line := (await commands.readline()).decode().split():
        word, *names = line
        if word == "moved":
            renew(map(int, names))
            continue
        for each in names:
            name, _, log_from = each.partition(":")
            if word == "expect":
                nodes[name].expect(int(log_from))
            else:
                nodes[name].gone()
    watching.cancel()


def main() -> None:
    """Read the settings, and serve."""
    priority.lead_session()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    asyncio.run(serve(json.loads(Path(sys.argv[1]).read_text())))


if __name__ == "__main__":
    main()

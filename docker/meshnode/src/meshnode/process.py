"""One node as a process: it logs, and ends at a signal."""

import asyncio
import logging
import signal

import uvloop

from meshnode.config import Config
from meshnode.node import Node


def run(config: Config) -> None:
    """Run a node until SIGTERM or SIGINT. Raises IdentityError and OSError."""
    logging.basicConfig(
        level=logging.INFO, format=f"%(asctime)s {config.name} %(levelname)s %(message)s"
    )

    async def main() -> None:
        node = Node(config)
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, node.stop)
        await node.run()

    # Until the node has its own, no handler: asyncio would make one, which takes half a millisecond
    # to replace, for Python then writes down the task that it would cancel.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())

"""``python -m harness.systems.scraper`` asks nodes for their metrics until standard input ends.

The first line of standard input are settings, JSON: ``{"nodes": [{"namespace", "url"}],
"only"}``; namespaces are descriptors that this process inherits. Then comes ``begin T0_NS`` where a
run begins, ``end`` where it ends, and ``moved 17`` where that descriptor is of another namespace
now. Standard output, a line a page, JSON: ``node``, ``at_ns`` (asked), ``took_ns``, ``bytes``,
``error`` (empty: it is believed), ``new`` (series that were never
told before, with their types), ``series`` (numbers of these, in order), ``values``; and ``null``
where a run has ended.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from typing import Any

from harness.errors import HarnessError
from harness.kernel import priority
from harness.kernel.descriptors import renew
from harness.systems.scraper.page import TEXT_BYTES_MAX, Page, PageError, Reader
from harness.systems.transports.http import Http

EVERY_S = 1.0
ANSWER_S = 0.9  # later than that it is none
# Of each second of a run's clock the part in which nodes are asked, one after the other: beside the
# whole seconds, on which phases, faults and bursts are planned.
ASKED_FROM_S, ASKED_FOR_S = 0.1, 0.8
COMMAND_BYTES_MAX = 1 << 24
NOTHING = Page([], [])


class Run:
    """Asks all nodes, from its making until it is cancelled."""

    def __init__(self, settings: dict[str, Any], t0_s: float) -> None:
        self._reader, self._told, self._t0_s = Reader(settings["only"]), 0, t0_s
        nodes = settings["nodes"]
        self.tasks = [
            asyncio.create_task(
                self._follow(at, node, ASKED_FROM_S + ASKED_FOR_S * at / len(nodes))
            )
            for at, node in enumerate(nodes)
        ]

    async def _follow(self, number: int, node: dict[str, Any], off_s: float) -> None:
        """Ask one node each second, so far behind the whole one of the run's clock."""
        http = Http(node["namespace"])
        try:
            while True:
                since_s = (time.monotonic() - self._t0_s - off_s) % EVERY_S
                await asyncio.sleep(EVERY_S - since_s)
                await self._ask(number, http, node["url"])
        finally:
            await http.close()

    async def _ask(self, number: int, http: Http, url: str) -> None:
        at_ns, text, page, error = time.monotonic_ns(), "", NOTHING, ""
        took_ns = 0
        try:
            async with asyncio.timeout(ANSWER_S):
                text = await http.page(url, TEXT_BYTES_MAX)
            took_ns = time.monotonic_ns() - at_ns
            page = self._reader.read(text, time.time())
        except TimeoutError:
            error = f"no whole page within {ANSWER_S:g} s"
        except PageError as refused:
            error = f"its page is not believed: {refused}"
        except (OSError, HarnessError) as refused:
            error = str(refused) or type(refused).__name__
        except Exception as broken:  # the node is asked again all the same
            error = f"the scraper broke: {type(broken).__name__}: {broken}"
        series = self._reader.series
        _say(
            {
                "node": number,
                "at_ns": at_ns,
                "took_ns": took_ns or time.monotonic_ns() - at_ns,
                "bytes": len(text),
                "error": error,
                "new": series[self._told :],
                "series": page.series,
                "values": page.values,
            }
        )
        self._told = len(series)


def _say(what: Any) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


async def serve() -> None:
    """Serve until the supervisor closes its end of standard input."""
    commands = asyncio.StreamReader(limit=COMMAND_BYTES_MAX)
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(commands), sys.stdin
    )
    settings = json.loads(await commands.readline())
    run: Run | None = None
    while words := (await commands.readline()).decode().split():
        if words[0] == "moved":
            renew(map(int, words[1:]))
            continue
        if run is not None:
            for task in run.tasks:
                task.cancel()
            await asyncio.gather(*run.tasks, return_exceptions=True)
            run = None
        if words[0] == "begin":
            run = Run(settings, int(words[1]) / 1e9)
        else:
            _say(None)


def main() -> None:
    """Serve."""
    priority.lead_session()
    asyncio.run(serve())


if __name__ == "__main__":
    main()

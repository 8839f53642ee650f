"""A node of a command file is joined to the others once all that should live are up."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from harness.runtimes.runtime import Place
from harness.systems.adapters.command_answers import SHOWN, shown
from harness.systems.adapters.command_asker import GONE, Asker
from harness.systems.adapters.command_fields import as_peers, of_place
from harness.systems.adapters.command_launch import Around
from harness.systems.adapters.command_start import UP, Join, Start

ATTEMPT_S = 60.0  # that one question may take
AGAIN_S = 0.3  # from one that was not agreed to to the next


class Joining:
    """Asks what ``[start.joined]`` says, in turn, each until the node agrees."""

    def __init__(
        self,
        start: Start,
        place: Place,
        near: Mapping[str, Sequence[Place]],
        asker: Asker,
        values: Mapping[str, str],
        around: Around,
    ) -> None:
        """`near`: ``peers``, ``entrances`` and ``all`` → the nodes that these are."""
        self._start, self._place, self._near, self._asker = start, place, near, asker
        self._values, self._around = values, around
        self._task: asyncio.Task[None] | None = None
        self._status = ""

    def status(self, up: set[str], living: int) -> str:
        """Return what a node that is up waits for; nothing where it has joined. `up`: the nodes
        that are up; `living`: how many should be.
        """
        up.add(self._place.node.name)
        if not self._start.joined:
            return ""
        if self._task is None:
            if len(up) < living:
                return f"up; {len(up)} of {living} nodes are"
            self._task = asyncio.get_running_loop().create_task(self._join(up))
        if not self._task.done():
            return self._status or "joining"
        self._task.result()
        return ""

    async def close(self) -> None:
        """Ask no more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _join(self, up: set[str]) -> None:
        for number, join in enumerate(self._start.joined, 1):
            for values in self._asked_with(join, up):
                while said := await self._refusal(join, values):
                    if join.each == UP and values["peer_name"] not in up:
                        break  # it has gone meanwhile
                    self._status = f"joining, step {number}: {said}"
                    await asyncio.sleep(AGAIN_S)

    def _asked_with(self, join: Join, up: set[str]) -> list[dict[str, str]]:
        """Return the fields of each time that it is asked."""
        if join.each is None:
            return [dict(self._values)]
        prepared, start = self._around.prepared, self._start
        found = []
        for place in self._near.get("all" if join.each == UP else join.each, ()):
            if place.node.name == self._place.node.name:
                continue
            if join.each == UP and place.node.name not in up:
                continue
            own = {f"peer_{key}": value for key, value in of_place(place, prepared).items()}
            peer = as_peers(start.peer, start.separator, [place], prepared)
            found.append({**self._values, **own, "peer": peer})
        return found

    async def _refusal(self, join: Join, values: Mapping[str, str]) -> str:
        """Ask once; return why the node has not agreed, or nothing."""
        try:
            async with asyncio.timeout(ATTEMPT_S):
                agreed, said = await self._asker.agreed(join.send.ask, join.send.ok, values)
        except TimeoutError:
            return f"no answer within {ATTEMPT_S:g} s"
        except GONE as error:
            return str(error)[:SHOWN] or type(error).__name__
        return "" if agreed else f"the node answered: {shown(said, join.send.ok)}"

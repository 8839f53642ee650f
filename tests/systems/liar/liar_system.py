"""The lying node as a Python class: `--system liar_system:Liar`; each node's lie is an option."""

import asyncio
import json
import shutil
import time
from pathlib import Path

from harness.operations import Operation, Outcome, Response
from harness.operations.records import RecordKind
from harness.runtimes.runtime import Image, Process, Recipe
from harness.systems.adapters import driven
from harness.systems.transports.lines import Lines

NODE = Path(__file__).with_name("liar.py")
KINDS = {"message": RecordKind.DELIVERED, "cast": RecordKind.RECEIVED}


class Liar(driven.Driven):
    """It believes its nodes: what they say that they did, got, and have, and when."""

    name = "liar"
    operations = frozenset({Operation.PRIVATE_MESSAGE, Operation.BROADCAST})
    ports = (6001,)

    def prepare(self, topology, places, state):
        del state
        neighbours, order = topology.neighbours(), {place.node.name: place for place in places}
        launches = []
        for place in places:
            lie = driven.options(self.name, place, {"lie": lambda value: isinstance(value, str)})
            place.directory.mkdir(parents=True, exist_ok=True)
            shutil.copy2(NODE, place.directory)
            peers = ",".join(order[name].address for name in neighbours[place.node.name])
            lies, node = f"{place.node.name}={lie.get('lie', 'none')}", place.directory / NODE.name
            argv = ("python3", str(node), lies, place.node.name, peers)
            image = Image("python3", Recipe.PROGRAM)
            launches.append((place, Process(argv=argv, image=image)))
        return launches

    def driver(self, place, places):
        addresses = {driven.wire_id(each.node.name): each.address for each in places}
        return Driver(place, addresses)


class Driver:
    def __init__(self, place, addresses):
        self._place, self._addresses = place, addresses
        self._control = None
        self._connecting = asyncio.Lock()
        self._doubt = print

    def tell_doubts(self, doubt):
        self._doubt = doubt

    async def _ask(self, line):
        async with self._connecting:
            if self._control is None or self._control.closed:
                self._control = await self._connect()
        return await self._control.ask(line)

    async def _connect(self):
        return await Lines.connect(self._place.namespace, "127.0.0.1:6000", unasked=self._doubt)

    async def ready(self, living):
        del living
        await self._ask("STATS")
        return ""

    async def observe(self, saw, standing):
        reports = await self._connect()
        reports.say("REPORTS")
        standing()
        async for line in reports.read():
            if line.startswith("RECEIVED"):
                _, kind, at_ns, text = line.split()
                saw(KINDS[kind], bytes.fromhex(text[:32]), int(at_ns))

    async def perform(self, request, sent):
        text = (request.payload or b"").hex()
        line = f"CAST {text}"
        if request.operation is Operation.PRIVATE_MESSAGE:
            line = f"SEND {self._addresses[request.target]} {text}"
        sent()
        said = await self._ask(line)
        outcome = Outcome.OK if said == "OK" else Outcome.FAILED
        return Response(request.id, outcome, time.monotonic_ns(), None if said == "OK" else said)

    async def health(self):
        return json.loads(await self._ask("STATS"))

    async def close(self):
        if self._control is not None:
            self._control.close()

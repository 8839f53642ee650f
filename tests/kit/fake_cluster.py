"""A cluster without nodes for tests of the load: a supervisor and nodes that only speak the control
protocols.

``python fake_cluster.py CLUSTER NODES [--delay-us N] [--stall-ms N --stall-every-ms N] [--drop N]
[--begin-ms N] [--end-ms N] [--topology NAME]`` serves until killed. The state folder is
$HARNESS_STATE. Every node answers each operation after `delay`; a stall holds every answer back for
a while, and a run takes `begin` to begin and `end` to end. It says that it is of that topology, and
that nothing here delays packets.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import struct
import sys
import time
from pathlib import Path
from typing import Any

import msgpack

from harness.control import state
from harness.faults.fault import Fault, fold_conditions
from harness.faults.spec import parse
from harness.scenario import shipped
from harness.scenario.files import read_topology
from harness.supervisor import server

ID_KEY = "5a" * 16  # of the ids of a run


class Node:
    """One node's control socket."""

    def __init__(self, index: int, given: argparse.Namespace) -> None:
        self.index, self.given = index, given
        self.wire_id = bytes([index % 256]) * 32
        self.values: dict[bytes, bytes] = {}
        self.seen = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                (length,) = struct.unpack("<I", await reader.readexactly(4))
                kind, operations = msgpack.unpackb(await reader.readexactly(length))[:2]
                assert kind == "op"
                await self._stall()
                done = [self._do(*operation) for operation in operations]
                body = msgpack.packb(["done", [each for each in done if each is not None]])
                writer.write(struct.pack("<I", len(body)) + body)
        writer.close()

    async def _stall(self) -> None:
        if self.given.stall_ms:
            into_ms = time.monotonic() * 1e3 % self.given.stall_every_ms
            if into_ms < self.given.stall_ms:
                await asyncio.sleep((self.given.stall_ms - into_ms) / 1e3)

    def _do(self, id_: bytes, operation: int, target: bytes | None, *_: Any) -> Any:
        self.seen += 1
        if self.given.drop and self.seen % self.given.drop == 0:
            return None
        detail: dict[str, Any] = {"hops": 1}
        if operation == 3:
            PUT[target] = self.wire_id
        if operation == 4:
            if target not in PUT or PUT[target] == self.wire_id:
                return [id_, 1, time.monotonic_ns(), {"error": "no such value at another node"}]
            detail["from"] = PUT[target]
        return [id_, 0, time.monotonic_ns() + self.given.delay_us * 1000, detail]


PUT: dict[Any, bytes] = {}


class Supervisor:
    """Answers status, begin and end; writes what it was told to ``calls.jsonl`` of the state
    folder.
    """

    def __init__(self, given: argparse.Namespace, folder: Path, nodes: list[Node]) -> None:
        self.given, self.folder, self.nodes = given, folder, nodes
        self.run: str | None = None
        self.faults: dict[str, Fault] = {}
        self.topology = read_topology(shipped.find(given.topology, "topologies"))

    def status(self, *_: Any) -> dict[str, Any]:
        conditions = fold_conditions(self.faults.values())
        return {
            "version": 1,
            "cluster": self.given.cluster,
            "pid": os.getpid(),
            "runtime": "none",
            "adapter": "meshnode",
            "topology": self.topology.name,
            "topology_digest": self.topology.digest(),
            "run": self.run,
            "nodes": [
                {
                    "name": f"node-{node.index}",
                    "address": "127.0.0.1",
                    "pid": os.getpid(),
                    "region": "default",
                    "condition": conditions.get(f"node-{node.index}", "running"),
                    "control": str(self.folder / f"node-{node.index}.sock"),
                    "wire_id": node.wire_id.hex(),
                    "index": node.index,
                }
                for node in self.nodes
            ],
        }

    def set_condition(self, asked: dict[str, Any], *_: Any) -> dict[str, Any]:
        self._note({"condition": asked})
        name = f"condition {asked['node']}"
        self.faults.pop(name, None)
        if asked["condition"] != "running":
            words = {"where": asked["node"], "condition": asked["condition"], "name": name}
            self.faults[name] = parse(words).resolve(self.topology.nodes, 1)
        return {**asked, "says": ""}

    def set_fault(self, asked: dict[str, Any], *_: Any) -> dict[str, Any]:
        self._note({"fault-set": asked["words"]})
        fault = parse(asked["words"]).resolve(self.topology.nodes, 1)
        self.faults[fault.name] = fault
        return {
            "name": fault.name,
            "paths": fault.count,
            "nodes": len(fault.nodes),
            "took_ms": 1.0,
        }

    def clear_fault(self, asked: dict[str, Any], *_: Any) -> dict[str, Any]:
        self._note({"fault-clear": asked})
        del self.faults[asked["name"]]
        return {"cleared": [asked["name"]]}

    def list_faults(self, *_: Any) -> dict[str, Any]:
        rows = [
            {
                "name": fault.name,
                "words": fault.words,
                "paths": fault.count,
                "does": fault.does,
                "nodes": list(fault.nodes),
                "in_force_s": 1.0,
                "left_s": None,
            }
            for fault in self.faults.values()
        ]
        backends = {"cut": "nftables", "delay": "none"}
        return {"faults": rows, "away": {}, "backends": backends, "disagree": {}}

    def begin(self, plan: dict[str, Any], *_: Any) -> dict[str, Any]:
        self._note({"asked": plan["scenario"]})
        time.sleep(self.given.begin_ms / 1e3)
        of = Path(plan["runs"]) / plan["scenario"]
        folder = of / str(1 + len(list(of.glob("*"))))  # of a cluster before this one, too
        folder.mkdir(parents=True)
        self.run = str(folder)
        self._note({"begin": plan})
        return {"run": self.run}

    def start(self, facts: dict[str, Any], *_: Any) -> dict[str, Any]:
        t0_ns = time.monotonic_ns() + round(facts["start_in_s"] * 1e9)
        started = {"t0_ns": t0_ns, "id_key": ID_KEY}
        self._note({"start": facts, **started})
        return started

    def end(self, facts: dict[str, Any], *_: Any) -> dict[str, Any]:
        self._note({"end": facts, "heard_ns": time.monotonic_ns()})
        time.sleep(self.given.end_ms / 1e3)
        run, self.run = self.run, None
        return {"run": run}

    def _note(self, call: dict[str, Any]) -> None:
        with (self.folder / "calls.jsonl").open("a") as file:
            file.write(json.dumps(call) + "\n")


async def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("cluster")
    parser.add_argument("nodes", type=int)
    times = ("--delay-us", "--stall-ms", "--stall-every-ms", "--begin-ms", "--end-ms")
    for option in (*times, "--drop"):
        parser.add_argument(option, type=int, default=0)
    parser.add_argument("--topology", default="cluster-10")
    given = parser.parse_args()
    lock = state.Lock(given.cluster)
    folder = state.folder(given.cluster)
    nodes = [Node(index, given) for index in range(given.nodes)]
    servers = [
        await asyncio.start_unix_server(node.serve, folder / f"node-{node.index}.sock")
        for node in nodes
    ]
    supervisor = Supervisor(given, folder, nodes)
    server.Server(
        folder / "control.sock",
        {
            "status": supervisor.status,
            "condition": supervisor.set_condition,
            "fault-set": supervisor.set_fault,
            "fault-clear": supervisor.clear_fault,
            "fault-list": supervisor.list_faults,
            "begin": supervisor.begin,
            "start": supervisor.start,
            "end": supervisor.end,
        },
    )
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    try:
        await asyncio.gather(*(server.serve_forever() for server in servers))
    finally:
        lock.remove()


if __name__ == "__main__":
    asyncio.run(main())

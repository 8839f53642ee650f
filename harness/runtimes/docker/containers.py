"""Containers that a program brings: which they are, and whether they can be nodes. Nothing of them
is changed here.
"""

from __future__ import annotations

import os
import re
import socket
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from harness.errors import HarnessError, PermissionNeededError, UnavailableError, UsageError
from harness.kernel.namespaces import inside
from harness.runtimes.docker import entry, labels
from harness.runtimes.docker.engine import Engine, connect
from harness.runtimes.docker.sdk import translated
from harness.runtimes.runtime import GROUND_LINK

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")  # of a container, or the beginning of its id
EXPECTED = "a container of testcontainers or of the Docker SDK, or the name or id of one"
START_FIRST = "expected one that runs: start it before (`with …:`, or `.start()`)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Container:
    """A container that was brought as a node."""

    node: str
    id: str
    name: str
    image: str  # as it was named when the container was made
    image_id: str
    pid: int
    address: str  # on the network that it shares with the others
    macs: frozenset[str]
    started_s: float  # Unix time
    is_removed: bool  # by the engine, as soon as it ends


def identify(given: Mapping[str, object] | Sequence[object]) -> dict[str, str]:
    """Return the id of each container that a program brings, by the name of its node.

    That is the mapping's key, else ``node-0``, ``node-1``, … Raises UsageError for what is none, or
    was not started, UnavailableError for one of an engine elsewhere, PermissionNeededError.
    """
    if isinstance(given, str) or not isinstance(given, Mapping | Sequence) or not given:
        raise UsageError(f"nodes: expected several of {EXPECTED}; found {given!r}")
    named = (
        given
        if isinstance(given, Mapping)
        else {f"node-{index}": one for index, one in enumerate(given)}
    )
    if os.geteuid() != 0:
        raise PermissionNeededError(
            "nodes: a container becomes a node by root alone, who can join its network"
        )
    with closing(connect()) as engine:
        return {str(node): _id(f"node {node}", one, engine) for node, one in named.items()}


def _id(where: str, one: Any, engine: Engine) -> str:
    if isinstance(one, str) and NAME.fullmatch(one):
        return one
    if hasattr(one, "get_wrapped_container"):
        try:
            one = one.get_wrapped_container()
        except Exception:  # a class of testcontainers', which need not be installed here
            one = None
        if one is None:  # by versions of it that raise nothing
            raise UsageError(f"{where}: its container was not started; {START_FIRST}")
    if not isinstance(getattr(one, "id", None), str) or not hasattr(one, "client"):
        raise UsageError(f"{where}: expected {EXPECTED}; found {one!r}")
    if one.client is not None:
        with translated(f"say who it is, which has the container of {where}"):
            theirs = one.client.api.info()["ID"]
        if theirs != engine.identity():
            raise UnavailableError(
                f"{where}: its container is of the engine at {one.client.api.base_url}; expected "
                "one of the engine of this host (DOCKER_HOST), whose network can be joined from "
                "here"
            )
    return str(one.id)


def look(engine: Engine, ids: Mapping[str, str]) -> dict[str, Container]:
    """Look at all that were brought; `ids` by node. Raises UsageError, UnavailableError for the
    first that cannot be a node of this cluster, and says why.
    """
    seen = {node: engine.inspect(id_) for node, id_ in ids.items()}
    owners: dict[str, str] = {}
    for node, one in seen.items():
        _require(f"node {node}: container {_name(one)}", one)
        if one["Id"] in owners:
            raise UsageError(
                f"nodes {owners[one['Id']]} and {node} are the same container {_name(one)}; "
                "expected one a node"
            )
        owners[one["Id"]] = node
    network = _shared({node: frozenset(_networks(one)) for node, one in seen.items()})
    found = {node: _of(node, one, network) for node, one in seen.items()}
    _require_apart(found)
    return found


def again(engine: Engine, before: Container) -> Container:
    """Look at one that was started anew. Raises HarnessError where it has another address."""
    one = engine.inspect(before.id)
    _require_up(f"node {before.node}: container {before.name}", one["State"])
    networks = _networks(one)
    network = next(
        (name for name, at in networks.items() if at["IPAddress"] == before.address), None
    )
    if network is None:
        now = ", ".join(at["IPAddress"] or "none" for at in networks.values()) or "none"
        raise HarnessError(
            f"node {before.node}: container {before.name} came back with another address ({now}, "
            f"it was {before.address}), which the others do not know; expected one that it keeps "
            "(a network with a subnet, and an address of its own in it)"
        )
    return _of(before.node, one, network)


def _require(where: str, one: Mapping[str, Any]) -> None:
    """Raise UsageError where a container cannot be a node, whichever the others are."""
    _require_up(where, one["State"])
    host, mode = one["HostConfig"], str(one["HostConfig"]["NetworkMode"])
    policy = str((host.get("RestartPolicy") or {}).get("Name") or "no")
    of_ours = (one["Config"].get("Labels") or {}).get(labels.LABEL)
    if mode == "host":
        found, expected = "stands in this host's own network", "a network of its own"
    elif mode.startswith("container:"):
        found, expected = "shares the network of another container", "a network of its own"
    elif not _networks(one):
        found, expected = "has no network", "one that all nodes share"
    elif host.get("PidMode"):
        found, expected = f"has the pid mode {host['PidMode']}", "a PID namespace of its own"
    elif policy != "no":
        found, expected = f"is started anew by the engine (restart policy {policy})", "no policy"
    elif (host.get("LogConfig") or {}).get("Type") == "none":
        found, expected = "has a log that nobody can read (log driver none)", "another driver"
    elif of_ours:
        found, expected = f"is the harness's, of cluster {of_ours!r}", "one of your own"
    else:
        return
    raise UsageError(f"{where} {found}; expected {expected}")


def _require_up(where: str, state: Mapping[str, Any]) -> None:
    if state["Status"] == "running" and not state.get("Paused"):
        return
    why = {
        "created": "it was not started",
        "exited": f"it has ended (exit code {state['ExitCode']})",
        "dead": "it has ended",
        "running": "it is running, and paused",
    }.get(state["Status"], f"it is {state['Status']}")
    raise UsageError(f"{where}: {why}; {START_FIRST}")


def _shared(networks: Mapping[str, frozenset[str]]) -> str:
    """Return the one network that all nodes are on, where no two are on another: by that one they
    would speak past every fault. Raises UsageError.
    """
    on = Counter(name for names in networks.values() for name in names)
    common = [name for name, count in on.items() if count == len(networks)]
    others = [name for name, count in on.items() if count > 1 and name not in common[:1]]
    if len(common) == 1 and not others:
        return common[0]
    found = "; ".join(f"{node}: {', '.join(sorted(names))}" for node, names in networks.items())
    raise UsageError(
        "nodes: expected containers on one Docker network that all share, and no two on another; "
        f"found {found}"
    )


def _of(node: str, one: Mapping[str, Any], network: str) -> Container:
    """Return what a container is, whose process is one of this host. Raises UsageError."""
    at, where = _networks(one)[network], f"node {node}: container {_name(one)}"
    if not at["IPAddress"]:
        raise UsageError(f"{where}: it has no IPv4 address on the network {network}; expected one")
    if at.get("GlobalIPv6Address"):
        raise UsageError(
            f"{where}: it has an IPv6 address on the network {network}, and the harness acts on "
            "IPv4 alone; expected a network without"
        )
    pid = int(one["State"]["Pid"])
    if not entry.belongs(pid, one["Id"]):
        raise UnavailableError(
            f"{where}: its process {pid} is none of its own here; expected an engine in this "
            "host's PID namespace"
        )
    return Container(
        node=node,
        id=one["Id"],
        name=_name(one),
        image=one["Config"]["Image"],
        image_id=one["Image"],
        pid=pid,
        address=at["IPAddress"],
        macs=frozenset(
            str(each["MacAddress"]) for each in _networks(one).values() if each.get("MacAddress")
        ),
        started_s=_unix_s(one["State"]["StartedAt"]),
        is_removed=bool(one["HostConfig"].get("AutoRemove")),
    )


def _require_apart(found: Mapping[str, Container]) -> None:
    """Raise UsageError where two stand in one network namespace or have one address, or one is a
    node of another cluster already.
    """
    places: dict[object, str] = {}
    for node, one in found.items():
        try:
            namespace = os.open(f"/proc/{one.pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise UsageError(f"node {node}: container {one.name}: it has just ended") from error
        try:
            for what in (os.fstat(namespace).st_ino, one.address):
                if (other := places.setdefault(what, node)) != node:
                    what_ = f"the address {what}" if what == one.address else "one network"
                    raise UsageError(f"nodes {other} and {node}: they share {what_}")
            with inside(namespace), suppress(OSError):
                socket.if_nametoindex(GROUND_LINK)
                raise UsageError(
                    f"node {node}: container {one.name} has a link {GROUND_LINK}: it is a node of "
                    "another cluster just now; expected one that is of none"
                )
        finally:
            os.close(namespace)


def _networks(one: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the networks that a container is on, but Docker's one that is none."""
    networks: dict[str, dict[str, Any]] = dict(one["NetworkSettings"].get("Networks") or {})
    return {name: at for name, at in networks.items() if name not in ("none", "host")}


def _name(one: Mapping[str, Any]) -> str:
    return str(one["Name"]).lstrip("/")


def _unix_s(said: str) -> float:
    """Read the engine's time, which has nanoseconds."""
    whole, _, _ = said.removesuffix("Z").partition(".")
    return datetime.fromisoformat(whole).replace(tzinfo=UTC).timestamp()

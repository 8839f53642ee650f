"""Which containers can be nodes, by what the engine says of them."""

from __future__ import annotations

import copy
import os

import pytest

from harness.errors import HarnessError, UsageError
from harness.runtimes.docker import containers

AT = {"IPAddress": "172.18.0.2", "GlobalIPv6Address": "", "MacAddress": "02:42:ac:12:00:02"}
GOOD = {
    "Id": "f00",
    "Name": "/mine",
    "Image": "sha256:1",
    "Config": {"Image": "my/server:1", "Labels": {}},
    "State": {
        "Status": "running",
        "ExitCode": 0,
        "Pid": 0,
        "StartedAt": "2026-11-30T15:30:26.887805116Z",
    },
    "HostConfig": {"NetworkMode": "net", "PidMode": "", "RestartPolicy": {"Name": "no"}},
    "NetworkSettings": {"Networks": {"net": AT}},
}


class Engine:
    """What an engine says of two containers."""

    def __init__(self, changes):
        other = copy.deepcopy(GOOD) | {"Id": "ba7"}
        for path, value in changes.items():
            at = other
            *above, last = path.split(".")
            for key in above:
                at = at[key]
            at[last] = value
        self._known = {"f00": copy.deepcopy(GOOD), "ba7": other}

    def inspect(self, container):
        return self._known[container]


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"State.Status": "created"}, "container mine: it was not started; expected one that runs"),
        ({"State.Paused": True}, "it is running, and paused"),
        ({"State.Status": "restarting"}, "it is restarting"),
        ({"HostConfig.PidMode": "host"}, "has the pid mode host; expected a PID namespace"),
        ({"HostConfig.RestartPolicy": {"Name": "on-failure"}}, "restart policy on-failure"),
        ({"HostConfig.LogConfig": {"Type": "none"}}, "has a log that nobody can read"),
        ({"NetworkSettings.Networks": {"none": AT}}, "has no network; expected one"),
        ({"NetworkSettings.Networks": {"other": AT}}, "found a: net; b: other"),
        ({"Config.Labels": {"p2p-harness.cluster": "x"}}, "is the harness's, of cluster 'x'"),
        (
            {"NetworkSettings.Networks.net": {**AT, "GlobalIPv6Address": "fd00::2"}},
            "it has an IPv6 address",
        ),
        ({"NetworkSettings.Networks.net": {**AT, "IPAddress": ""}}, "it has no IPv4 address"),
        ({"Id": "f00"}, "nodes a and b are the same container mine"),
    ],
)
def test_what_cannot_be_a_node_is_told(monkeypatch, changes, why):
    monkeypatch.setattr(containers.entry, "belongs", lambda *_: True)
    with pytest.raises(UsageError, match=why):
        containers.look(Engine(changes), {"a": "f00", "b": "ba7"})


@pytest.mark.parametrize(
    ("networks", "found"),
    [
        (({"net", "more"}, {"net", "more"}, {"net", "more"}), "a: more, net; b: more, net"),
        (({"net", "more"}, {"net", "more"}, {"net"}), "a: more, net; b: more, net; c: net"),
        (({"net"}, {"net"}, {"more"}), "a: net; b: net; c: more"),
    ],
)
def test_two_nodes_share_one_network_alone(networks, found):
    """By a second one they would speak past every fault, whoever of them is on it."""
    assert containers._shared({"a": frozenset({"net", "own"}), "b": frozenset({"net"})}) == "net"
    with pytest.raises(UsageError, match=f"no two on another; found {found}"):
        containers._shared(dict(zip("abc", map(frozenset, networks), strict=True)))


def test_a_process_of_somebody_else_is_none_of_a_container():
    with pytest.raises(HarnessError, match="is none of its own here"):
        containers.look(Engine({"State.Pid": os.getpid()}), {"b": "ba7"})


def test_one_that_comes_back_elsewhere_is_refused(monkeypatch):
    monkeypatch.setattr(containers.entry, "belongs", lambda *_: True)
    monkeypatch.setattr(containers, "_require_apart", lambda _: None)
    before = containers.look(Engine({}), {"b": "ba7"})["b"]
    assert (before.address, before.started_s) == ("172.18.0.2", 1796052626.0)
    moved = Engine({"NetworkSettings.Networks.net": {**AT, "IPAddress": "172.18.0.7"}})
    with pytest.raises(HarnessError, match=r"came back with another address \(172.18.0.7, it was"):
        containers.again(moved, before)

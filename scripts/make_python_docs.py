"""Writes docs/python.md from the docstrings of the API and the plugin, so that it cannot be out of
date.

``python scripts/make_python_docs.py`` writes; a unit test compares.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import harness
from harness import pytest_plugin
from harness.experiments.session.faults import Fault, Network
from harness.experiments.session.loads import Load
from harness.experiments.session.waits import WAITS, Reached

TARGET = Path(__file__).parent.parent / "docs" / "python.md"

PAGE = """# From Python, and in pytest

A program starts a cluster, makes its network bad, sends load, waits, and asks for a verdict: the
one that the command line gives. `import harness` loads nothing until it is used, and everything is
typed (`py.typed`). This page is generated (`python scripts/make_python_docs.py`), and a test plays
what it shows.

## A tour

`mine.toml` says how a node is started and asked; here it is the file of
[your own node](your-own-node.md), with its node beside it. The budget says what was promised:

```toml
# mine-budget.toml
source = "my authors"

[[row]]
name = "half of the messages pass the cut"
metric = "private_message.delivered"
statistic = "mean"
comparison = ">="
bound = 30
unit = "%"
phase = "load"
```

```python
# tour.py
import harness

with harness.up("topologies/cluster-10.toml", system="mine.toml") as cluster:
    with cluster.fault(cut="halves"):
        cluster.load("private_message", rate_per_s=200, seconds=10)
    cluster.wait_for("broadcast.coverage", at_least=1.0, seconds=20)
    assert cluster.verdict(budget="mine-budget.toml").passed
```

- **The cluster** ends with its `with`; with an exception in it; with Ctrl-C; and with the program,
  also where that is killed (`kill -9`). A child that the program forks does not keep it.
- **Each load, and each wait that sends something,** is a run with a run folder, a report and a
  replay of its own. `cluster.load` returns when the last answer has come.
- **A fault** is set at once, and read back. It is proven in the runs that are recorded while it
  stands. One that stood while nothing was recorded makes the verdict UNKNOWN.
- **A wait** raises `harness.NotReachedError` where it did not hold in its time, and where nobody
  can tell.
- **A row** of the budget is held against each load and wait that has its `phase` and sends what the
  row is about. One that is about none is UNKNOWN. Phases are called `load` and `wait`, or as you
  say: `cluster.load(…, phase="cut")`.
- **`passed`** is True for PASS alone; `why` says in a sentence why it is not. `if verdict:` raises:
  UNKNOWN is neither true nor false. Outside of pytest, write `assert verdict.passed, verdict.why`.
  The folder `verdict.run` has the report, and `harness judge` says the same of it.

## In pytest

The plugin comes with the package. This test is run by `pytest --p2p-runtime netns`:

```python
# test_mine.py
import pytest


@pytest.mark.topology("cluster-10")
def test_a_cut_is_survived(cluster, network):
    with network.cut("halves"):
        cluster.load("private_message", rate_per_s=50, seconds=3)
    cluster.wait_for("nodes.ready", seconds=20)
    assert not network.faults
```

`cluster` is what `harness.up` returns, of the topology that the closest marker `topology` names;
`network` is its network. A cluster is the test's own. `@pytest.mark.topology("cluster-10",
scope="module")`, or the option, shares it: each test has a record and a verdict of its own, and its
faults end with it; one that leaves nodes in another state than it found them in gets the next test
a fresh cluster. Names are unique on the host, so `pytest -n 4` (pytest-xdist) works where the host
carries as many clusters. Of a test that failed the terminal says its verdict, its run folder and
its report, and JUnit has them as the properties `{verdict}`, `{run}` and `{report}`.
What this host cannot do is a skip with the reason, with `{require_all}=1` an error.

| option | setting | |
|---|---|---|
"""

CONTAINERS = """
## Containers of your own

A test that has its servers as containers, by [testcontainers](https://testcontainers.com) or by
hand, brings them: they become the nodes, where they are and as they run.

```toml
# running.toml
[start]
brought = true
[ready]
http = "http://127.0.0.1:7000/health"
[send.private_message]
http = { url = "http://127.0.0.1:7000/send/{target_address}", body = "{payload}" }
[received]
http = "http://127.0.0.1:7000/events"
```

```python
# containers.py
import harness
from testcontainers.core.container import DockerContainer
from testcontainers.core.network import Network


def server(name, network):
    made = DockerContainer("my/server:1").with_command("a,b")  # its peers, by their names
    return made.with_network(network).with_network_aliases(name)


with Network() as network, server("a", network) as a, server("b", network) as b:
    with harness.up(nodes={"a": a, "b": b}, system="running.toml") as cluster:
        with cluster.fault(where="a <-> b", delay="80ms"):
            cluster.load("private_message", rate_per_s=50, seconds=3)
        assert cluster.verdict().answer != "FAIL"
    # Here a and b run as before, without us.
```

- **Which:** containers of testcontainers or of the Docker SDK, or their names (`docker ps`), in a
  list, or in a mapping with the nodes' names. Without a topology each is linked with each. They
  have to run, on one Docker network that all share, of this host's engine; the harness as root.
- **Refused, in a sentence, before anything changes:** one that was not started or has ended; the
  same twice; one in the host's network, in another container's, in none; two in a second network;
  an IPv6 address; a restart policy; the log driver `none`; one that is a node of another cluster.
- **The system** is a [command file](your-own-node.md) or a class. `start.brought = true` says that
  it starts nothing; of a file that says how nodes are started that part is left out. Programs that
  it names (`exec`, `helper`, `start.prepare`) are of this host and run beside the container, in its
  network: the image needs none. `{address}` is the address that the container has.
- **The network:** nodes keep their addresses, names and published ports. What they say to each
  other goes over the harness's network, also on connections that stood before: every fault, proof
  and count works there. Whom else they speak to, they reach as before.
- **Stop, kill, crash** end the container, and it comes back as Docker starts it: with its files,
  another process, maybe another published port. It must keep its address. One with `auto_remove`
  can only be paused. `state = "wipe"`, another program, a disk or a clock of its own are refused.
- **At the end** containers are left as they were found: links, routes and limits go, what a fault
  paused goes on, what it ended runs again. So also where the program is killed. Where the
  supervisor itself is (`kill -9` of *its* pid), the network goes as well, and what a fault did to a
  process stays: paused, ended, limited.
- **The record** (`runtime` of `metadata.json`) has each container's name, image and digest, UNKNOWN
  where no registry told of one. What containers write, on disk, is UNKNOWN. Packets that nodes send
  each other past the harness's network (to everybody, or by IPv6) are counted, and make the run
  UNKNOWN. By a port that the host publishes they are not seen: have nodes use their own addresses.

In pytest, a fixture `p2p_nodes` of yours returns them, and `cluster` is made of them; the marker
says the system: `@pytest.mark.topology(system="running.toml")`. Such a cluster is the test's own.
"""

ASYNC = """
## Async

`harness.up_async` is `async with`'s; `cluster.load_async` and `cluster.wait_for_async` are awaited.
They take what their twins take, and leave the event loop free. One that is cancelled ends what it
began, and only then is over.

## What it cannot do

- One load, or wait, at a time on a cluster: several operations go into one load.
- A session is of one process: a child that was forked uses `harness.attach`.

## What there is
"""

MEMBERS: dict[str, tuple[type, tuple[str, ...]]] = {
    "cluster": (
        harness.Session,
        (
            "fault",
            "load",
            "wait_for",
            "verdict",
            "nodes",
            "status",
            "logs",
            "runs",
            "folder",
            "report",
            "keep",
            "close",
        ),
    ),
    "cluster.network": (Network, ("addresses", "faults", "cut", "clear")),
    "fault": (Fault, ("clear",)),
    "load": (Load, ()),
    "reached": (Reached, ()),
    "verdict": (harness.Judged, ("passed", "answer", "why", "rendered")),
}


def signature(name: str, member: Any) -> str:
    """How a member is called: without types, which an editor shows."""
    if isinstance(member, property):
        return name
    words, is_keyword = [], False
    for one in inspect.signature(member).parameters.values():
        if one.name == "self":
            continue
        if one.kind is one.KEYWORD_ONLY and not is_keyword:
            words.append("*")
        is_keyword = is_keyword or one.kind in (one.KEYWORD_ONLY, one.VAR_POSITIONAL)
        stars = {one.VAR_KEYWORD: "**", one.VAR_POSITIONAL: "*"}.get(one.kind, "")
        given = one.default
        shown = given.__name__ if callable(given) else repr(given)
        shown = repr(str(given)) if isinstance(given, Path) else shown
        words.append(stars + one.name + ("" if given is one.empty else f"={shown}"))
    return f"{name}({', '.join(words)})"


def entry(name: str, member: Callable[..., Any] | property) -> str:
    """One entry of the reference."""
    return f"\n```python\n{signature(name, member)}\n```\n\n{inspect.getdoc(member)}\n"


def page() -> str:
    """The page."""
    text = PAGE.format(
        run=pytest_plugin.RUN,
        report=pytest_plugin.REPORT,
        verdict=pytest_plugin.VERDICT,
        require_all=pytest_plugin.REQUIRE_ALL,
    )
    for name, default, sentence in pytest_plugin.OPTIONS:
        shown = f"; default `{default}`" if default else ""
        text += f"| `--p2p-{name}` | `p2p_{name}` | {sentence}{shown} |\n"
    text += CONTAINERS + ASYNC
    for name in ("up", "attach", "run", "judge", "replay", "down"):
        text += entry(f"harness.{name}", getattr(harness, name))
    for owner, (kind, names) in MEMBERS.items():
        text += f"\n### {owner}\n\n{inspect.getdoc(kind)}\n"
        for name in names:
            text += entry(f"{owner}.{name}", inspect.getattr_static(kind, name))
    return text + waits()


def waits() -> str:
    """What can be waited for."""
    text = "\n### What `wait_for` knows\n\n| word | holds | |\n|---|---|---|\n"
    for word, awaited in WAITS.items():
        holds = "`below_ms`, its p95" if awaited.is_time else "`at_least`, a share"
        sent = "–" if awaited.operation is None else f"sends {awaited.operation.word}"
        text += f"| `{word}` | {holds} | {sent} |\n"
    return text


if __name__ == "__main__":
    TARGET.write_text(page())

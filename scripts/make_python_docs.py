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

ASYNC = """
## Async

`harness.up_async` is `async with`'s; `cluster.load_async` and `cluster.wait_for_async` are awaited.
They take what their twins take, and leave the event loop free. One that is cancelled ends what it
began, and only then is over.

## What it cannot do

- One load, or wait, at a time on a cluster: several operations go into one load.
- A container that somebody else started, by testcontainers for example, cannot become a node: the
  harness starts nodes itself, each in a network namespace that it made. Its image can: a
  [command file](your-own-node.md) names it, and `runtime_name="docker"` runs it.
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
    text += ASYNC
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

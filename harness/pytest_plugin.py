"""The pytest plugin: fixtures `cluster` and `network`, the marker `topology`, options `--p2p-…`.

It is loaded in every session of pytest where the harness is installed, so it imports the harness
when a test first asks for a cluster. docs/python.md shows how it is used.
"""

from __future__ import annotations

import os
import re
import uuid
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from harness.experiments.session.brought import Given
    from harness.experiments.session.faults import Network
    from harness.experiments.session.session import Session

SCOPES = ("function", "module", "session")
OPTIONS = (  # each its name, its default, and a sentence
    ("runtime", "auto", "where nodes live: auto, netns or docker"),
    ("system", "", "the system under test, instead of what the topology names"),
    ("scope", "function", f"how long a cluster is shared: {', '.join(SCOPES)}"),
    ("topology", "cluster-10", "the topology of tests that are marked with none"),
    ("runs", "", "where run folders go; without it, $HARNESS_RUNS, else runs below the rootdir"),
)
REQUIRE_ALL = "HARNESS_REQUIRE_ALL"
# Properties of a test, as JUnit has them too.
RUN, REPORT, VERDICT = PROPERTIES = "p2p_run", "p2p_report", "p2p_verdict"
NAME_MOST = 32
FORM = "topology(name, scope=None, system=None)"
MARKER = (
    f"{FORM}: the cluster that this test gets: a file, or the name of a shipped topology; scope: "
    f"how long it is shared ({', '.join(SCOPES)})"
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options, and the setting of the same name in pytest's file for each."""
    group = parser.getgroup("p2p", "p2p-harness: clusters of peer-to-peer systems")
    for name, default, sentence in OPTIONS:
        group.addoption(f"--p2p-{name}", default=None, help=f"{sentence}; setting p2p_{name}")
        parser.addini(f"p2p_{name}", sentence, default=default)


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known, and refuse a setting that is none."""
    config.addinivalue_line("markers", MARKER)
    _require("--p2p-scope", _setting(config, "scope"), SCOPES)
    if (runtime := _setting(config, "runtime")) != "auto":
        _require("--p2p-runtime", runtime, ("auto", "netns", "docker"))
    config.stash[_POOL] = _Pool()


def _setting(config: pytest.Config, name: str) -> str:
    given = config.getoption(f"--p2p-{name}")
    return str(config.getini(f"p2p_{name}") if given is None else given)


def _require(what: str, found: object, possible: tuple[str, ...]) -> None:
    if found not in possible:
        from harness.choices import one_of

        raise pytest.UsageError(f"{what}: {one_of(found, possible)}")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wanted:
    """The cluster that a test wants, and for how long it may be shared."""

    topology: str
    system: str | None
    runtime: str
    scope: str


@dataclass(slots=True)
class _Pool:
    """The clusters that several tests share, by the node of pytest's tree that they end with."""

    up: dict[tuple[str, _Wanted], Session] = field(default_factory=dict)

    def get(self, owner: pytest.Collector | pytest.Session, wanted: _Wanted) -> Session:
        """Return the cluster that the tests below `owner` share; start it for the first of them."""
        key = (owner.nodeid, wanted)
        if key not in self.up:
            self.up[key] = _started(wanted, _runs(owner.config))
            owner.addfinalizer(lambda: self.end(key))
        return self.up[key]

    def end(self, key: tuple[str, _Wanted]) -> None:
        """End it, where it is still up."""
        if (session := self.up.pop(key, None)) is not None:
            session.close()

    def drop(self, session: Session) -> None:
        """End one that a test has left in another state than it found it in."""
        for key in [key for key, one in self.up.items() if one is session]:
            self.end(key)


_POOL = pytest.StashKey[_Pool]()
_SESSION = pytest.StashKey["Session"]()


@pytest.fixture
def p2p_nodes() -> Given | None:
    """The containers that the test brings as its cluster's nodes, as `harness.up(nodes=…)` takes
    them; None: the harness starts nodes. Whoever brings some has a fixture of this name instead.
    """
    return None


@pytest.fixture
def cluster(request: pytest.FixtureRequest, p2p_nodes: Given | None) -> Iterator[Session]:
    """A cluster that is up: `harness.up` of the topology that the test is marked with.

    It ends with the test, or with what the marker's scope says; faults end with the test.
    """
    try:
        wanted, runs = _wanted(request, p2p_nodes), _runs(request.config)
    except pytest.UsageError as error:
        raise pytest.fail.Exception(str(error), pytrace=False) from None
    name = _slug(request.node.name)
    if wanted.scope == "function":
        with _started(wanted, runs, name, p2p_nodes) as session:
            request.node.stash[_SESSION] = session
            yield session
        return
    pool = request.config.stash[_POOL]
    owner = request.session if wanted.scope == "session" else _module_of(request)
    shared = pool.get(owner, wanted)
    with shared.lent(runs=runs, name=name) as session:
        request.node.stash[_SESSION] = session
        yield session
    if not shared.is_as_it_was():
        pool.drop(shared)


@pytest.fixture
def network(cluster: Session) -> Network:
    """The network of the test's cluster: addresses, cuts, faults."""
    return cluster.network


def _module_of(request: pytest.FixtureRequest) -> pytest.Collector:
    found: pytest.Collector | None = request.node.getparent(pytest.Module)
    return request.session if found is None else found


def _wanted(request: pytest.FixtureRequest, nodes: Given | None) -> _Wanted:
    """What the closest marker says, and for the rest the options. Of `nodes` that the test brings a
    cluster is its own, and without a marker their number is the topology. Raises pytest.UsageError.
    """
    config, marker = request.config, request.node.get_closest_marker("topology")
    said: dict[str, Any] = {"name": _setting(config, "topology") if nodes is None else ""}
    if marker is not None:
        said |= dict(zip(("name",), marker.args, strict=False)) | marker.kwargs
        unknown = sorted(said.keys() - {"name", "scope", "system"})
        if unknown or len(marker.args) > 1 or ("name" in marker.kwargs and marker.args):
            raise pytest.UsageError(f"@pytest.mark.topology: expected {FORM}")
    scope = said.get("scope") or _setting(config, "scope")
    _require("@pytest.mark.topology: scope", scope, SCOPES)
    if nodes is not None and scope != "function":
        raise pytest.UsageError(
            "scope: a cluster of the test's own containers (p2p_nodes) is shared with no other "
            f"test; expected function, found {scope}"
        )
    return _Wanted(
        topology=str(said["name"]),
        system=said.get("system") or _setting(config, "system") or None,
        runtime=_setting(config, "runtime") if nodes is None else "auto",
        scope=scope,
    )


def _started(
    wanted: _Wanted, runs: Path, name: str = "shared", nodes: Given | None = None
) -> Session:
    """Start a cluster; skip the test where this host cannot."""
    import harness
    from harness.errors import (
        NodeStartError,
        PermissionNeededError,
        PreflightError,
        UnavailableError,
    )

    try:
        return harness.up(
            wanted.topology or None,
            nodes=nodes,
            system=wanted.system,
            cluster=_unique(),
            runtime_name=wanted.runtime,
            runs=runs,
            name=name,
        )
    except NodeStartError:  # that is no lack of this host
        raise
    except (PermissionNeededError, PreflightError, UnavailableError) as error:
        what = wanted.topology or "containers that were brought"
        reason = f"needs a cluster of {what} on {wanted.runtime}: {error}"
    raise _lack(reason)


def _lack(reason: str) -> BaseException:
    """What a test is skipped by, or what it fails by where everything is required."""
    if os.environ.get(REQUIRE_ALL) == "1":
        return pytest.fail.Exception(f"{REQUIRE_ALL}=1 and {reason}", pytrace=False)
    return pytest.skip.Exception(reason)


def _unique() -> str:
    """A name that no other process of this host gives, nor another worker of xdist."""
    return f"t{os.environ.get('PYTEST_XDIST_WORKER', '')}-{uuid.uuid4().hex[:10]}"


def _runs(config: pytest.Config) -> Path:
    """Where run folders go: they outlive pytest's own temporary folder, for people look at them."""
    given = _setting(config, "runs") or os.environ.get("HARNESS_RUNS")
    return config.rootpath / (given or "runs")


def _slug(name: str) -> str:
    """A test's name as that of a folder."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:NAME_MOST].strip("-") or "test"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Note where a test's runs are, so that reports of every kind can say it."""
    session = item.stash.get(_SESSION, None)
    if session is not None and session.folder is not None:
        told = {RUN: str(session.folder)}
        told |= {} if session.report is None else {REPORT: str(session.report)}
        if session.judged is not None:
            told[VERDICT] = f"{session.judged.answer}: {session.judged.why}".rstrip(": ")
        kept = [one for one in item.user_properties if one[0] not in PROPERTIES]
        item.user_properties[:] = [*kept, *told.items()]
    return (yield)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Say of each test that failed where its runs and its report are."""
    told: dict[str, dict[str, object]] = {}
    for outcome in ("failed", "error"):
        for report in terminalreporter.getreports(outcome):
            # What could not be collected has none.
            said = dict(getattr(report, "user_properties", ()))
            if RUN in said:
                told[report.nodeid] = said
    if told:
        terminalreporter.section("p2p runs of what failed")
    for test, said in told.items():
        terminalreporter.write_line(f"{test}: {said[RUN]}")
        if VERDICT in said:
            terminalreporter.write_line(f"  {said[VERDICT]}")
        if REPORT in said:
            terminalreporter.write_line(f"  report: {Path(str(said[REPORT])).as_uri()}")
        terminalreporter.write_line(f"  again:  harness judge {said[RUN]}")


__all__ = ["cluster", "network", "p2p_nodes"]

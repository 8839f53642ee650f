"""Faults of a session: set at once, taken back when their `with` ends, and proven only by what was
recorded while they stood.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypedDict

from harness.control.client import Client
from harness.errors import BadFileError, HarnessError, UsageError
from harness.faults import spec
from harness.faults.fault import Condition, Verb
from harness.faults.spec import FaultSpec
from harness.history.events import FaultChanged

FOR_EVER_NS = 2**63 - 1


class Words(TypedDict, total=False):
    """The words of a fault, as in docs/faults.md: amounts are texts with their unit (`"80ms"`,
    `"1%"`, `"10mbit"`).
    """

    where: str
    cut: str
    of: str | Sequence[str]
    one_way: bool
    part: str
    half_open: str
    delay: str
    jitter: str
    loss: str
    duplicate: str
    reorder: str
    corrupt: str
    rate: str
    up: str
    down: str
    toxic: str | Sequence[str]
    condition: str
    state: str
    command: str
    image: str
    cpu: str
    memory: str
    fds: int
    disk: str
    clock: str
    name: str
    for_s: float
    flap_s: float


class PlannedWords(Words, total=False):
    """The words of a fault that a load plans: also when it comes, after the load began."""

    at_s: float


class Fault:
    """A fault that was set. `with` takes it back at its end, and so does `clear`; else it stands
    until the cluster ends.
    """

    def __init__(self, cluster: str, words: Mapping[str, Any], spec_: FaultSpec) -> None:
        """Set it. Raises UsageError for its words, and what the supervisor raises."""
        self._cluster, self._words = cluster, words
        # It may have gone by itself: for_s is over, or it is a moment.
        self._goes = spec_.for_s is not None or spec_.condition is Condition.RESTARTED
        with Client.connect(cluster) as client:
            _require_new(spec_.name or spec_.words, client.status()["faults"])
            done = client.call("fault-set", {"words": dict(words)})
            self.name: str = done["name"]
            self.does: str = done["does"]
            # From when until when it stands at most, CLOCK_MONOTONIC, as records have it.
            self._set_ns, self._gone_ns = int(done["at_ns"]), FOR_EVER_NS
            self._cleared = False
            wrong = client.call("fault-list")["disagree"]
            if wrong:
                client.call("fault-clear", {"name": self.name})
        if spec_.condition is Condition.RESTARTED:
            self._gone_ns = time.monotonic_ns()
        elif spec_.for_s is not None:
            self._gone_ns = self._set_ns + round(spec_.for_s * 1e9)
        if wrong:
            told = "; ".join(f"{backend}: {why}" for backend, why in wrong.items())
            raise HarnessError(f"fault {self.name!r} is not in force as it was asked: {told}")

    def clear(self) -> None:
        """Take it back; nothing where it was taken back. Raises UsageError where somebody else
        took it back meanwhile: what ran in it ran without it for a time that nobody knows.
        """
        if self._cleared:
            return
        self._cleared = True
        self._gone_ns = min(self._gone_ns, time.monotonic_ns())
        with Client.connect(self._cluster) as client:
            listed = client.call("fault-list")
            stands = {row["name"] for row in listed["faults"]} | set(listed["away"])
            if self.name in stands:
                client.call("fault-clear", {"name": self.name})
            elif not self._goes:
                raise UsageError(
                    f"fault {self.name!r} was not in force any more as it was to be taken back: "
                    "somebody else took it back, or another one of its name took its place"
                )

    def is_told(self, told: Iterable[tuple[str, int]]) -> bool:
        """Whether a record tells of it: only there it was proven."""
        return any(
            name == self.name and self._set_ns <= at_ns <= self._gone_ns for name, at_ns in told
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            self.clear()
        except HarnessError:
            if error is None:  # else it is that which counts
                raise

    def __repr__(self) -> str:
        """Say what it does."""
        return f"<fault {self.name!r}: {self.does}>"


def _require_new(name: str, standing: Sequence[str]) -> None:
    """Raise UsageError where a fault of this name is in force: the new one would take its place,
    and who takes the old one back would take back the new one.
    """
    if name in standing:
        raise UsageError(
            f"fault: one that is called {name!r} is in force already; expected another `name`, or "
            "that one to be taken back first"
        )


def read(words: Mapping[str, Any]) -> FaultSpec:
    """Read a fault's words, which stand in no file. Raises UsageError."""
    try:
        return spec.parse(words)
    except BadFileError as error:
        raise UsageError(f"fault: {str(error).removeprefix('fault: ')}") from None


def told_of(run: Path) -> list[tuple[str, int]]:
    """Return the faults that a run's record tells of: their names, and when they were set, or found
    set as the run began.
    """
    lines = map(json.loads, (run / "events.jsonl").read_text().splitlines())
    return [
        (one["fault"], one["set_ns"])
        for one in lines
        if one["event"] == FaultChanged.word and one["verb"] == Verb.SET
    ]


class Network:
    """The network of a session's cluster: addresses of nodes, and faults on their paths."""

    def __init__(self, cluster: str, fault: Callable[..., Fault]) -> None:
        self._cluster, self._fault = cluster, fault

    @property
    def addresses(self) -> dict[str, str]:
        """The address of each node."""
        with Client.connect(self._cluster) as client:
            return {str(one["name"]): str(one["address"]) for one in client.status()["nodes"]}

    @property
    def faults(self) -> list[str]:
        """The names of the faults that are in force."""
        with Client.connect(self._cluster) as client:
            return list(client.status()["faults"])

    def cut(self, pattern: str, *of: str, one_way: bool = False, name: str | None = None) -> Fault:
        """Cut the network by a pattern of docs/faults.md (`halves`, `isolate`, …)."""
        words: dict[str, Any] = {"cut": pattern, "of": of or None, "one_way": one_way or None}
        return self._fault(**{**words, "name": name})

    def clear(self) -> list[str]:
        """Take all faults back; returns their names."""
        with Client.connect(self._cluster) as client:
            return list(client.call("fault-clear", {"name": None})["cleared"])

"""A session's load: what is sent, as one phase of a scenario; and what came of it. Pure.

It is sent, recorded and judged as any scenario's load is.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from harness.choices import did_you_mean, one_of
from harness.errors import BadFileError, UsageError
from harness.experiments.run import Play, check
from harness.faults import spec
from harness.faults.words import texts
from harness.operations import Operation
from harness.scenario import workload
from harness.scenario.scenario import Phase, Scenario
from harness.scenario.stream import Arrivals, Stream
from harness.scenario.workload import Workload

# Of a stream, beside its operation and its rate.
WORDS = ("payload_bytes", "target", "sources", "arrivals", "timeout_ms", "count", "keys", "after_s")
OF_TEXTS = ("target", "sources", "arrivals")
POSSIBLE = f"possible: {', '.join(WORDS)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """What came of the operations of one kind, as their senders were told; the verdict knows what
    receivers' journals show.
    """

    ok: int
    failed: int
    unknown: int

    @property
    def total(self) -> int:
        """How many were sent."""
        return self.ok + self.failed + self.unknown


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """A load that was sent and recorded: its name in the verdict, the phase that rows of a budget
    name, its run folder, and what came of each operation.
    """

    name: str
    phase: str
    folder: Path
    sent: Mapping[str, Sent]

    def __bool__(self) -> bool:
        """Refuse to be a truth: that it was sent says nothing of what came of it."""
        raise TypeError("a load is neither true nor false: ask its `sent`, or the verdict")


def phase(
    operations: str | Mapping[str, float],
    *,
    name: str,
    seconds: float,
    rate_per_s: float | None,
    faults: Sequence[Mapping[str, Any]],
    own: Sequence[Operation] = (),
    **words: Any,
) -> Phase:
    """Return the phase of a load. Raises UsageError for an operation, or a number, that is none."""
    try:
        known = {one.word: one for one in (*Operation, *own)}
        rates = _rates(operations, rate_per_s, known)
        unknown = next((word for word in words if word not in WORDS), None)
        if unknown is not None:
            raise UsageError(f"{unknown}: unknown word{did_you_mean(unknown, WORDS)}; {POSSIBLE}")
        if "arrivals" in words and words["arrivals"] not in tuple(Arrivals):
            raise UsageError(f"arrivals: {one_of(words['arrivals'], Arrivals)}")
        plain = {word: value for word, value in words.items() if word not in OF_TEXTS}
        for word, value in {"seconds": seconds, **rates, **plain}.items():
            if value is not None:
                _require_number(word, value)
        words = {
            **words,
            "arrivals": Arrivals(words.get("arrivals", Arrivals.UNIFORM)),
            "sources": texts(words.get("sources") or ()),
        }
        streams = [
            Stream(operation=known[word], rate_per_s=rate, **words) for word, rate in rates.items()
        ]
        specs = tuple(map(spec.parse, faults))
        return Phase(name=name, duration_s=float(seconds), streams=tuple(streams), faults=specs)
    except BadFileError as error:  # these words stand in no file
        raise UsageError(f"load: {error}") from None


def _require_number(name: str, value: Any) -> None:
    """Raise UsageError for what is no number, as a text is that looks like one."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise UsageError(f"{name}: expected a number, found {value!r}")


def _rates(
    operations: str | Mapping[str, float], rate_per_s: float | None, known: Collection[str]
) -> dict[str, float]:
    """Return operations a second by their word."""
    if isinstance(operations, str):
        if rate_per_s is None:
            raise UsageError(f"rate_per_s: expected how many {operations} a second; found none")
        operations = {operations: rate_per_s}
    elif rate_per_s is not None:
        raise UsageError("rate_per_s: each operation of the table has its own; expected none")
    if not operations:
        raise UsageError("expected at least one operation, found none: nothing to send")
    for word in operations:
        if word not in known:
            raise UsageError(one_of(word, known))
    return dict(operations)


def play(scenario: Scenario, source: Path) -> Play:
    """Return what is played of a phase by itself. Raises UsageError for what the system cannot do,
    and BadFileError for a fault that names what is not there.
    """
    # The generator knows of faults only what the supervisor does about them: nothing.
    sent = tuple(replace(one, faults=()) for one in scenario.phases)
    kept = Workload(seed=scenario.seed, phases=sent).as_json()
    return Play(
        scenario=scenario,
        timeline=check(scenario),
        source=source,
        files={workload.FILE: json.dumps(kept, indent=1) + "\n"},
    )


def sent_of(facts: Mapping[str, Any]) -> dict[str, Sent]:
    """Return what came of each operation by a run's metadata."""
    return {
        word: Sent(ok=one["ok"], failed=one["failed"], unknown=one["unknown"])
        for word, one in facts["load"].get("operations", {}).items()
    }

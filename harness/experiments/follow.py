"""Follow a run: judge it while it is under way, look after look, and at its end.

One judge for whoever wants to know how a run stands: a terminal, Locust's page, a soak. It reads
what is new in the run folder since its last look (history/growing.py), judges that as of a moment a
little ago (checks/live.py), and says at the end exactly what `judge` says.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from harness.checks import live as checks
from harness.checks import rows as budget_rows
from harness.errors import BadFileError
from harness.experiments import judge as whole
from harness.experiments.judge import Judged
from harness.history import events, live, reader
from harness.history.growing import Growing
from harness.history.manifest import FILE, Source
from harness.scenario import files
from harness.scenario.budget import Row

EVERY_S = 2.0
CPU_SHARE_MOST = 0.05  # of one core
SILENT_S = 15.0  # the host is sampled every second
CLOSING_S = 120.0  # from the end of a run until its manifest is there
WRITTEN = ("metadata.json", "events.jsonl", "host.arrow", "samples.arrow", "timeline.json")

Sleep = Callable[[float], object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Followed:
    """One look at a run: its verdict as of `at_s` seconds into it, or its final one."""

    judged: Judged
    at_s: float
    is_final: bool = False
    in_flight: int = 0  # operations that were due and are not settled
    oldest_s: float = 0.0  # since when
    waiting: Mapping[str, int] = field(default_factory=dict)  # of them by operation: have no end
    problem: str = ""  # why a final verdict is of a run that was not closed

    def as_json(self) -> dict[str, Any]:
        """Return a line of ``judge --follow --json`` (docs/interfaces.md)."""
        return {
            "at_s": round(self.at_s, 3),
            "is_final": self.is_final,
            "in_flight": self.in_flight,
            "verdict": self.judged.as_json(),
        }


class Follower:
    """Looks at one run; `look` is None as long as there is nothing to judge yet."""

    def __init__(self, run: Path, rows: Sequence[Row] | None = None) -> None:
        """`rows`: of another budget than the run's own. Raises BadFileError for what is no run
        folder and for rows that cannot be judged.
        """
        self.run = _find(run)
        self._other, self._files = rows, Growing(self.run)
        self._facts: dict[str, Any] | None = None
        self._newest_s: float | None = None  # when something was last written, by the wall clock
        self._since_s = 0.0  # and since when nothing was, by the monotonic one
        budget_rows.validate(rows or (), None)

    def look(self) -> Followed | None:
        """Judge the run as of now."""
        if self._facts is None and (self.run / "metadata.json").is_file():
            try:
                self._facts = reader.metadata(self.run)
            except BadFileError:  # it is just being written
                return None
        seen = None if self._facts is None else live.look(self._files, self._facts)
        if seen is None or self._facts is None:
            return None
        history, rows = seen.history, self._other
        if rows is None:
            rows, history = whole.own_rows(self.run, history)
        made = checks.judge(replace(seen, history=history), rows)
        return Followed(
            judged=Judged(run=self.run, verdict=made.verdict, facts=self._facts, history=history),
            at_s=seen.at_s,
            in_flight=made.in_flight,
            oldest_s=made.oldest_s,
            waiting=made.waiting,
        )

    def is_closed(self) -> bool:
        """Whether the run was closed: by its manifest, the last that is written. An older folder
        has none.
        """
        if self._facts is not None and not self._facts.get("manifest") and self._has_ended():
            return True
        source = Source(self.run, has_manifest=True)
        return source.is_sealed and not source.problem

    def silence(self) -> str:
        """Say that nobody writes to the folder any more; empty while somebody does."""
        written = [self.run / name for name in WRITTEN if (self.run / name).exists()]
        newest_s = max((path.stat().st_mtime for path in written), default=0.0)
        if newest_s != self._newest_s:
            # The wall clock, which may be set, is asked once, of what was written before.
            age_s = 0.0 if self._newest_s is not None else max(time.time() - newest_s, 0.0)
            self._newest_s, self._since_s = newest_s, time.monotonic() - age_s
        since_s = time.monotonic() - self._since_s
        most_s = CLOSING_S if self._has_ended() else SILENT_S
        if since_s <= most_s:
            return ""
        return (
            f"nothing was written to {self.run} for {since_s:,.0f} s, and nobody closed it: its "
            "supervisor is gone, or does not get on; this is the verdict of what is there"
        )

    def _has_ended(self) -> bool:
        happened, _ = self._files.lines("events.jsonl", events.read)
        return any(isinstance(event, events.RunEnded) for event in happened)

    def final(self, problem: str = "") -> Followed:
        """Judge the run as `harness judge` does."""
        judged = (
            whole.judge(self.run) if self._other is None else whole.judge_by(self.run, self._other)
        )
        history, t0_ns = judged.history, judged.facts.get("t0_ns", 0)
        end_ns = events.over_ns(history.events) if history is not None else t0_ns
        at_s = max(end_ns - t0_ns, 0) / 1e9
        return Followed(judged=judged, at_s=at_s, is_final=True, problem=problem)


def follow(
    run: Path,
    budget: Path | None = None,
    *,
    every_s: float = EVERY_S,
    sleep: Sleep = time.sleep,
) -> Iterator[Followed]:
    """Yield one look after another until the run's end, then the final verdict.

    A look that took much is followed by a longer pause: together they take at most CPU_SHARE_MOST
    of a core. Raises BadFileError as `judge` does.
    """
    follower = Follower(run, files.read_budget(budget).rows if budget else None)
    while not follower.is_closed():
        if problem := follower.silence():
            yield follower.final(problem)
            return
        begun_s = time.process_time()
        seen = follower.look()
        if seen is not None:
            yield seen
        used_s = time.process_time() - begun_s
        _pause(follower, max(every_s, used_s / CPU_SHARE_MOST), sleep)
    yield follower.final()


def _pause(follower: Follower, seconds: float, sleep: Sleep) -> None:
    """Wait, but no longer than until the run is closed, which is cheap to see."""
    until_s = time.monotonic() + seconds
    while (left_s := until_s - time.monotonic()) > 0:
        sleep(min(left_s, 1.0))
        if (follower.run / FILE).is_file():
            return


def _find(run: Path) -> Path:
    """The run folder that is meant; one whose clock has not started has no metadata yet."""
    for candidate in (run, run / "latest"):
        if (candidate / "timeline.json").is_file():
            return candidate.resolve()
    return reader.find(run)

"""A soak is load of any length, played as a chain of windows on one cluster. Pure.

A scenario whose file has ``[soak]`` instead of phases. Each window is an ordinary scenario of five
phases, whose names are the same in all windows: `warm` (the load begins again), `steady` (nothing
goes wrong), `chaos` (faults and churn, drawn for this window), `settle`, and `after`, in which all
is judged again. Which faults come, when, for how long and how far apart is a function of the file,
the seed and the window's number, so each window can be played again alone.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from harness.errors import BadFileError
from harness.history.plan import PhaseKind
from harness.scenario import seeds
from harness.scenario.tables import Table

KEY = "soak"
WHOLE = "leaks"  # a check that is of all of a soak, and of no window
WINDOW_S, WARM_S, SETTLE_S = 600.0, 5.0, 15.0
CHAOS = 0.4  # of what a window has beside `warm` and `settle`; the rest is half `steady`
GAP_S = (20.0, 60.0)
BEGIN_S = 1.0  # of a fault after its phase: what was due before it has arrived
END_S = 1.0  # from the last fault's end to the phase's: that it is gone is seen in it
LEAST_S = 1.0  # of each phase
Words = dict[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """A fault that a window may have: its words, of which `where` and how long are drawn.

    `weight`: how often beside the others.
    """

    words: Mapping[str, object]
    where: tuple[str, ...]
    for_s: tuple[float, float]
    weight: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Soak:
    """What ``[soak]`` asks for. Streams and churn are tables as a phase has them; churn is of the
    chaos of each window. `gap_s`: from one fault's end to the next one's begin, drawn between.
    """

    streams: tuple[Words, ...]
    churn: tuple[Words, ...] = ()
    faults: tuple[Drawn, ...] = ()
    window_s: float = WINDOW_S
    warm_s: float = WARM_S
    settle_s: float = SETTLE_S
    chaos: float = CHAOS
    gap_s: tuple[float, float] = GAP_S
    seed: int = 1
    others: Words = field(default_factory=dict)  # of the file, beside [soak]

    @property
    def least_s(self) -> float:
        """The shortest window that has all its phases."""
        least = LEAST_S / min(self.chaos, (1 - self.chaos) / 2)
        return self.warm_s + self.settle_s + least

    def lengths_s(self, for_s: float) -> list[float]:
        """Divide a time into windows. The last is shorter where the rest is at least half of one;
        else it is so much longer.

        Raises BadFileError where the time is too short for a window.
        """
        if for_s < self.least_s:
            raise BadFileError(
                f"a soak of {for_s:g} s: expected at least {self.least_s:g} s, which its warm_s "
                f"({self.warm_s:g}), settle_s ({self.settle_s:g}) and three phases of "
                f"{LEAST_S:g} s take"
            )
        whole, rest_s = divmod(for_s, self.window_s)
        lengths_s = [self.window_s] * int(whole)
        if not lengths_s or rest_s >= max(self.window_s / 2, self.least_s):
            return [*lengths_s, rest_s]
        lengths_s[-1] += rest_s
        return lengths_s

    def window_seed(self, number: int) -> int:
        """Return the seed of a window: of its load, its faults and its churn."""
        return random.Random(f"{self.seed}/window {number}").randrange(seeds.LARGEST + 1)

    def window(self, number: int, seconds: float, lot: int = 1) -> Words:
        """Return a window as the document of an ordinary scenario. `lot`: how often churn was drawn
        for it, whose name makes another lot.
        """
        seed = self.window_seed(number)
        warm_s, settle_s = self.warm_s, self.settle_s
        rest_s = seconds - warm_s - settle_s
        chaos_s = round(rest_s * self.chaos, 1)
        steady_s = round((rest_s - chaos_s) / 2, 1)
        after_s = round(rest_s - chaos_s - steady_s, 3)
        chaos: Words = {"fault": self._faults(seed, chaos_s)}
        again = f"-{lot}" if lot > 1 else ""
        chaos["churn"] = [
            {"name": f"churn-{place}{again}", **one} for place, one in enumerate(self.churn, 1)
        ]
        phases = [
            self._phase("warm", PhaseKind.WARM_UP, warm_s),
            self._phase("steady", PhaseKind.STEADY, steady_s),
            {**self._phase("chaos", PhaseKind.CHAOS, chaos_s), **chaos},
            self._phase("settle", PhaseKind.CHAOS, settle_s),
            self._phase("after", None, after_s),
        ]
        document = {**self.others, "seed": seed}
        if isinstance(checks := document.get("checks"), list):
            document["checks"] = [one for one in checks if one != WHOLE]
        return {**document, "phase": [one for one in phases if one["duration_s"]]}

    @property
    def asks_for_leaks(self) -> bool:
        """Whether its file asks for the check of leaks."""
        checks = self.others.get("checks")
        return isinstance(checks, list) and WHOLE in checks

    def _phase(self, name: str, kind: PhaseKind | None, seconds: float) -> Words:
        named: Words = {"name": name, "duration_s": seconds, "stream": [*self.streams]}
        return named if kind is None else {**named, "kind": str(kind)}

    def _faults(self, seed: int, chaos_s: float) -> list[Words]:
        """Draw faults, one after another, until no other fits into the chaos."""
        chance, found = random.Random(f"{seed}/faults"), list[Words]()
        at_s, last_s = BEGIN_S + chance.uniform(0, self.gap_s[0]), chaos_s - END_S
        while self.faults:
            fitting = [one for one in self.faults if at_s + one.for_s[0] <= last_s]
            if not fitting and not found and at_s > BEGIN_S:
                at_s = BEGIN_S  # rather early than none
                continue
            if not fitting:
                break
            [drawn] = chance.choices(fitting, [one.weight for one in fitting])
            least_s, most_s = drawn.for_s
            for_s = round(chance.uniform(least_s, min(most_s, last_s - at_s)), 1)
            where = {"where": chance.choice(drawn.where)} if drawn.where else {}
            name = f"fault-{len(found) + 1}"
            found.append(
                {"name": name, **drawn.words, **where, "at_s": round(at_s, 1), "for_s": for_s}
            )
            at_s = round(at_s, 1) + for_s + chance.uniform(*self.gap_s)
        return found


def is_soak(values: Mapping[str, object]) -> bool:
    """Whether the file with these values is a soak."""
    return KEY in values


def soak_from(values: dict[str, Any], where: str) -> Soak:
    """Make a soak from parsed TOML; `where` names the file in errors. Raises BadFileError.

    What its streams, faults and churn say is looked at when a window is read as a scenario.
    """
    if "phase" in values:
        raise BadFileError(f"{where}: a soak has [soak] and no phases; expected one of them")
    table = Table(values, where)
    seed = table.take("seed", int, 1)
    part = table.table(KEY)
    others = {key: value for key, value in values.items() if key not in (KEY, "seed")}
    made = Soak(
        streams=tuple(one.rest() for one in part.tables("stream")),
        churn=tuple(one.rest() for one in part.tables("churn")),
        faults=tuple(map(_drawn, part.tables("fault"))),
        window_s=part.take("window_s", float, WINDOW_S),
        warm_s=part.take("warm_s", float, WARM_S),
        settle_s=part.take("settle_s", float, SETTLE_S),
        chaos=part.take("chaos", float, CHAOS),
        gap_s=_span(part, "gap_s", 0.0) if "gap_s" in part else GAP_S,
        seed=seed,
        others=others,
    )
    part.finish()
    _require(made, part)
    return made


def with_seed(soak: Soak, seed: int | None) -> Soak:
    """Return a soak with another seed; None: its own. Raises BadFileError."""
    if seed is None:
        return soak
    seeds.require(seed)
    return replace(soak, seed=seed)


def first_window(values: dict[str, object], where: str) -> dict[str, object]:
    """Return what `harness run` plays of a file: of a soak its first window, else the file itself.

    Raises BadFileError.
    """
    if not is_soak(values):
        return values
    soak = soak_from(values, where)
    return soak.window(1, soak.window_s)


def _require(made: Soak, part: Table) -> None:
    if not made.streams:
        raise BadFileError(f"{part.where}.stream: expected at least 1 stream of load, found 0")
    for key, value in (("warm_s", made.warm_s), ("settle_s", made.settle_s)):
        if value < 0:
            raise BadFileError(f"{part.where}.{key}: expected 0 or more, found {value:g}")
    if not 0 < made.chaos < 1:
        raise BadFileError(
            f"{part.where}.chaos: expected a share above 0 and below 1, found {made.chaos:g}"
        )
    if made.window_s < made.least_s:
        raise BadFileError(
            f"{part.where}.window_s: expected at least {made.least_s:g}, which warm_s, settle_s "
            f"and three phases take; found {made.window_s:g}"
        )


def _drawn(table: Table) -> Drawn:
    where: Sequence[str]
    if table.has_list("where"):
        where = table.texts("where")
        if not where:
            raise BadFileError(f"{table.where}.where: expected at least 1 place, found none")
    else:
        named = table.take_or_none("where", str)
        where = () if named is None else (named,)
    for_s = _span(table, "for_s", 0.5)
    weight = table.take("weight", float, 1.0)
    if weight <= 0:
        raise BadFileError(f"{table.where}.weight: expected above 0, found {weight:g}")
    words = table.rest()
    for key in ("at_s", "name"):
        if key in words:
            raise BadFileError(f"{table.where}.{key}: it is drawn, or numbered; expected none")
    return Drawn(words=words, where=tuple(where), for_s=for_s, weight=weight)


def _span(table: Table, key: str, least: float) -> tuple[float, float]:
    """Read a number, or two between which one is drawn."""
    if not table.has_list(key):
        value = table.take(key, float)
        span = [value, value]
    else:
        span = table.take(key, list)
    is_span = len(span) == 2 and all(
        isinstance(one, int | float) and not isinstance(one, bool) for one in span
    )
    if not is_span or not least <= span[0] <= span[1] < float("inf"):
        raise BadFileError(
            f"{table.where}.{key}: expected a number of seconds, at least {least:g}, or two "
            f"between which it is drawn; found {span!r}"
        )
    return float(span[0]), float(span[1])

"""What can be wrong with a network: impairments of directed paths and of nodes' links, as values. No network is touched here.

Units: ms, probabilities 0–1, bits a second. Faults that overlap on one path are folded by `fold`: delays add, variances of
jitter add, losses compound, the narrower rate wins, a cut stays a cut.
"""

from __future__ import annotations

import math
import random
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from harness.errors import BadFileError

DELAY_MS_MAX = 60_000.0
RATE_BPS_MIN, RATE_BPS_MAX = 8_000, 100_000_000_000
TIMES_MS = {"us": 1e-3, "µs": 1e-3, "ms": 1.0, "s": 1e3, "m": 6e4}
RATES_BPS = {"bit": 1, "kbit": 1_000, "mbit": 1_000_000, "gbit": 1_000_000_000, "Bps": 8, "kBps": 8_000, "MBps": 8_000_000}
QUANTITY = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*([A-Za-zµ%]*)")
TOXICS: dict[str, tuple[str, ...]] = {          # kind → attributes, as Toxiproxy names them (ms, kB/s, bytes)
    "latency": ("latency", "jitter"), "bandwidth": ("rate",), "slow_close": ("delay",), "timeout": ("timeout",),
    "reset_peer": ("timeout",), "slicer": ("average_size", "size_variation", "delay"), "limit_data": ("bytes",),
}


def _probability(name: str, value: float) -> None:
    if not 0 <= value <= 1:
        raise BadFileError(f"{name}: expected 0 % to 100 %, found {value * 100:g} %")


@dataclass(frozen=True, slots=True, order=True)
class Toxic:
    """A fault of streams, done by Toxiproxy: its kind, direction (``upstream`` is from who dials) and attributes."""

    kind: str
    stream: str = "downstream"
    attributes: tuple[tuple[str, int], ...] = ()
    toxicity: float = 1.0

    def __post_init__(self) -> None:
        if self.kind not in TOXICS:
            raise BadFileError(f"toxic: expected one of {', '.join(TOXICS)}; found {self.kind!r}")
        if self.stream not in ("upstream", "downstream"):
            raise BadFileError(f"toxic {self.kind}: stream: expected upstream or downstream, found {self.stream!r}")
        for name, value in self.attributes:
            if name not in TOXICS[self.kind]:
                raise BadFileError(f"toxic {self.kind}: {name}: expected one of {', '.join(TOXICS[self.kind])}")
            if value < 0:
                raise BadFileError(f"toxic {self.kind}: {name}: expected 0 or more, found {value}")
        _probability("toxicity", self.toxicity)


@dataclass(frozen=True, slots=True, kw_only=True)
class Impairment:
    """Everything that is wrong with one directed path at one moment. Raises BadFileError for what no network can have."""

    delay_ms: float = 0.0
    jitter_ms: float = 0.0            # uniform, ±; reorders, as netem does
    loss: float = 0.0
    duplicate: float = 0.0
    reorder: float = 0.0              # share that overtakes: sent at once although others are delayed
    corrupt: float = 0.0
    rate_bps: int | None = None
    blocked: bool = False
    refuses_new: bool = False         # half-open: connections that exist go on, nothing new is made; datagrams are dropped
    drops_established: bool = False   # half-open the other way: connections that existed when it came are cut, new ones pass
    toxics: tuple[Toxic, ...] = ()

    def __post_init__(self) -> None:
        for name in ("delay_ms", "jitter_ms"):
            value = getattr(self, name)
            if not 0 <= value <= DELAY_MS_MAX:
                raise BadFileError(f"{name.removesuffix('_ms')}: expected 0 to {DELAY_MS_MAX:,.0f} ms, found {value:g} ms")
        if self.jitter_ms > self.delay_ms:
            raise BadFileError(f"jitter: expected at most the delay, {self.delay_ms:g} ms: nothing arrives before it was sent; found {self.jitter_ms:g} ms")
        for name in ("loss", "duplicate", "reorder", "corrupt"):
            _probability(name, getattr(self, name))
        if self.reorder and not self.delay_ms:
            raise BadFileError("reorder: expected a delay too: what is not delayed cannot be overtaken")
        if self.rate_bps is not None and not RATE_BPS_MIN <= self.rate_bps <= RATE_BPS_MAX:
            raise BadFileError(f"rate: expected 8kbit to 100gbit, found {self.rate_bps} bit a second")

    @property
    def is_clear(self) -> bool:
        """Whether nothing is wrong."""
        return self == CLEAR

    @property
    def is_held(self) -> bool:
        """Whether packets are held or altered on their way, which takes netem or the delay engine; loss and rates need neither."""
        return bool(self.delay_ms or self.duplicate or self.corrupt)

    def words(self) -> str:
        """As a person says it: ``delay 50 ms, loss 1 %``."""
        said = [f"{name} {value}" for name, value in (
            ("delay", f"{self.delay_ms:g} ms" if self.delay_ms else ""), ("jitter", f"{self.jitter_ms:g} ms" if self.jitter_ms else ""),
            *((name, f"{getattr(self, name) * 100:g} %" if getattr(self, name) else "") for name in ("loss", "duplicate", "reorder", "corrupt")),
            ("rate", f"{self.rate_bps / 1e6:g} Mbit/s" if self.rate_bps else ""),
        ) if value]
        said += [word for word, holds in (("cut", self.blocked), ("half-open new", self.refuses_new), ("half-open established", self.drops_established)) if holds]
        said += [f"toxic {toxic.kind}" for toxic in self.toxics]
        return ", ".join(said) or "clear"


CLEAR = Impairment()
Path = tuple[str, str]                # source, target: one direction
Flow = tuple[str, int, str, int]      # source and its port, target and its port: one direction of a connection
HALF_OPEN = {"new": "refuses_new", "established": "drops_established"}
Far = Mapping[str, frozenset[str]]    # of a cut: source → whom it cannot reach. Sets are shared: a thousand nodes in halves are two


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkState:
    """All that is wrong at one moment. What is not named is clear. `up` and `down`: bits a second of a node's own link."""

    paths: Mapping[Path, Impairment] = field(default_factory=dict)
    flows: frozenset[Flow] = frozenset()              # of established connections that are cut
    far: Far = field(default_factory=dict)
    up: Mapping[str, int] = field(default_factory=dict)
    down: Mapping[str, int] = field(default_factory=dict)

    def of(self, source: str, target: str) -> Impairment:
        """What is wrong with a path."""
        what = self.paths.get((source, target), CLEAR)
        return replace(what, blocked=True) if target in self.far.get(source, ()) else what


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One thing that somebody asked for, its words resolved to nodes. `name` tells it from others and is how it is taken back."""

    name: str
    paths: frozenset[Path] = frozenset()
    impairment: Impairment = CLEAR
    far: Far = field(default_factory=dict)            # a cut: the paths on which nothing passes
    flows: frozenset[Flow] = frozenset()              # what `drops_established` found when it came
    up: Mapping[str, int] = field(default_factory=dict)
    down: Mapping[str, int] = field(default_factory=dict)
    words: str = ""                   # as it was asked

    @property
    def count(self) -> int:
        """How many paths it is on."""
        return len(self.paths) + sum(map(len, self.far.values()))

    def touches(self, source: str, target: str) -> bool:
        """Whether it has to do with a path, by name or by the links of its ends."""
        return (source, target) in self.paths or target in self.far.get(source, ()) or source in self.up or target in self.down

    def some(self, chance: random.Random, most: int) -> list[Path]:
        """A sample of its paths: all of them where they are few."""
        if self.count <= 4 * most:
            every = sorted({*self.paths, *((source, target) for source, targets in self.far.items() for target in targets)})
            return chance.sample(every, min(most, len(every)))
        if self.paths:
            return chance.sample(sorted(self.paths), most)
        sources = chance.choices(sorted(self.far), [len(self.far[source]) for source in sorted(self.far)], k=most)
        return sorted({(source, chance.choice(sorted(self.far[source]))) for source in sources})

    @property
    def does(self) -> str:
        """What it does, as a person says it."""
        rates = [f"{direction} {rate / 1e6:g} Mbit/s" for direction, of in (("up", self.up), ("down", self.down)) for rate in sorted(set(of.values()))]
        said = (["cut"] if self.far else []) + ([] if self.impairment.is_clear else [self.impairment.words()])
        return ", ".join([*said, *rates]) or "nothing"


def fold_two(a: Impairment, b: Impairment) -> Impairment:
    """Both at once on one path."""
    rates = [rate for rate in (a.rate_bps, b.rate_bps) if rate is not None]
    delay_ms = a.delay_ms + b.delay_ms
    return Impairment(
        delay_ms=delay_ms, jitter_ms=min(math.hypot(a.jitter_ms, b.jitter_ms), delay_ms),
        loss=_either(a.loss, b.loss), duplicate=_either(a.duplicate, b.duplicate), reorder=_either(a.reorder, b.reorder) if delay_ms else 0.0,
        corrupt=_either(a.corrupt, b.corrupt), rate_bps=min(rates) if rates else None, blocked=a.blocked or b.blocked,
        refuses_new=a.refuses_new or b.refuses_new, drops_established=a.drops_established or b.drops_established, toxics=tuple(sorted({*a.toxics, *b.toxics})),
    )


def fold(faults: Iterable[Fault]) -> NetworkState:
    """The state in which all of these faults are in force."""
    paths: dict[Path, Impairment] = {}
    far: dict[str, frozenset[str]] = {}
    up: dict[str, int] = {}
    down: dict[str, int] = {}
    flows: set[Flow] = set()
    for fault in faults:
        flows |= fault.flows
        for source, targets in fault.far.items():
            far[source] = far[source] | targets if source in far else targets
        for path in fault.paths:
            before = paths.get(path)
            paths[path] = fault.impairment if before is None else fold_two(before, fault.impairment)
        for rates, more in ((up, fault.up), (down, fault.down)):
            for node, rate_bps in more.items():
                rates[node] = min(rates.get(node, rate_bps), rate_bps)
    return NetworkState(paths={path: what for path, what in paths.items() if not what.is_clear}, far=far, flows=frozenset(flows), up=up, down=down)


def time_ms(text: str) -> float:
    """``80ms``, ``1.5s``, ``250us``. Raises BadFileError with the units that there are."""
    return _quantity(text, TIMES_MS, "a time such as 80ms")


def rate_bps(text: str) -> int:
    """``10mbit``, ``1gbit``, ``500kbit`` (a second). Raises BadFileError with the units that there are."""
    return round(_quantity(text, RATES_BPS, "a rate such as 10mbit"))


def share(text: str) -> float:
    """``1%`` or ``0.01`` as a probability. Raises BadFileError."""
    value = _quantity(text, {"%": 0.01, "": 1.0}, "a share such as 1%")
    if not 0 <= value <= 1:
        raise BadFileError(f"expected 0% to 100%, found {text!r}")
    return value


def _quantity(text: str, units: Mapping[str, float], expected: str) -> float:
    match = QUANTITY.fullmatch(text.strip())
    if match is None or match[2] not in units:
        raise BadFileError(f"expected {expected}, found {text!r}; units: {', '.join(unit or 'none' for unit in units)}")
    return float(match[1]) * units[match[2]]


def _either(a: float, b: float) -> float:
    return 1 - (1 - a) * (1 - b) if a and b else a or b

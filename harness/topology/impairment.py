"""An impairment is what can be wrong with one directed path: values, their checks, and their words.

No network is touched here. Units: ms, probabilities 0 to 1, bits a second.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from harness.choices import one_of
from harness.errors import BadFileError
from harness.topology import quantities

DELAY_MS_MAX = 60_000.0

STREAMS = ("upstream", "downstream")  # of a toxic: upstream is from the node that dials
# Kind → attributes, as Toxiproxy names them (ms, kB/s, bytes).
TOXICS: dict[str, tuple[str, ...]] = {
    "latency": ("latency", "jitter"),
    "bandwidth": ("rate",),
    "slow_close": ("delay",),
    "timeout": ("timeout",),
    "reset_peer": ("timeout",),
    "slicer": ("average_size", "size_variation", "delay"),
    "limit_data": ("bytes",),
}


def _probability(name: str, value: float) -> None:
    if not 0 <= value <= 1:
        raise BadFileError(f"{name}: expected 0 % to 100 %, found {value * 100:g} %")


@dataclass(frozen=True, slots=True, order=True)
class Toxic:
    """A fault of streams, made by Toxiproxy: its kind, direction and attributes.

    ``upstream`` is from the node that dials. Raises BadFileError for what Toxiproxy does not have.
    """

    kind: str
    stream: str = "downstream"
    attributes: tuple[tuple[str, int], ...] = ()
    toxicity: float = 1.0

    def __post_init__(self) -> None:
        if self.kind not in TOXICS:
            raise BadFileError(f"toxic: {one_of(self.kind, TOXICS)}")
        if self.stream not in STREAMS:
            raise BadFileError(f"toxic {self.kind}: stream: {one_of(self.stream, STREAMS)}")
        for name, value in self.attributes:
            if name not in TOXICS[self.kind]:
                raise BadFileError(
                    f"toxic {self.kind}: attribute: {one_of(name, TOXICS[self.kind])}"
                )
            if value < 0:
                raise BadFileError(f"toxic {self.kind}: {name}: expected 0 or more, found {value}")
        _probability("toxicity", self.toxicity)


@dataclass(frozen=True, slots=True, kw_only=True)
class Impairment:
    """Everything that is wrong with one directed path at one moment.

    Raises BadFileError for what no network can have.
    """

    delay_ms: float = 0.0
    jitter_ms: float = 0.0  # uniform, ±; reorders, as netem does
    loss: float = 0.0
    duplicate: float = 0.0
    reorder: float = 0.0  # share that overtakes: sent at once although others are delayed
    corrupt: float = 0.0
    rate_bps: int | None = None
    blocked: bool = False
    # Half-open: connections that exist go on, nothing new is made; datagrams are dropped.
    refuses_new: bool = False
    # Half-open the other way: connections that existed when it came are cut, new ones pass.
    drops_established: bool = False
    toxics: tuple[Toxic, ...] = ()

    def __post_init__(self) -> None:
        for name, word in WORDS.items():
            value = getattr(self, word.field)
            if value is not None:
                word.kind.check(name, value)
        if self.jitter_ms > self.delay_ms:
            raise BadFileError(
                f"jitter: expected at most the delay, {self.delay_ms:g} ms: nothing arrives "
                f"before it was sent; found {self.jitter_ms:g} ms"
            )
        if self.reorder and not self.delay_ms:
            raise BadFileError(
                "reorder: expected a delay too: what is not delayed cannot be overtaken"
            )

    @property
    def is_clear(self) -> bool:
        """Whether nothing is wrong."""
        return self == CLEAR

    @property
    def kinds(self) -> list[str]:
        """The words for what is wrong; cuts and half-open paths are not among them."""
        found = [name for name, word in WORDS.items() if getattr(self, word.field)]
        return found + (["toxic"] if self.toxics else [])

    @property
    def is_held(self) -> bool:
        """Whether packets are held or altered on their way, which takes netem or the delay engine.

        Loss and rates need neither.
        """
        return bool(self.delay_ms or self.duplicate or self.corrupt)

    def words(self) -> str:
        """Say what is wrong as a person does: ``delay 50 ms, loss 1 %``."""
        said = [
            f"{name} {word.kind.show(value)}"
            for name, word in WORDS.items()
            if (value := getattr(self, word.field))
        ]
        flags = {
            "cut": self.blocked,
            "half-open new": self.refuses_new,
            "half-open established": self.drops_established,
        }
        said += [word for word, holds in flags.items() if holds]
        said += [f"toxic {toxic.kind}" for toxic in self.toxics]
        return ", ".join(said) or "clear"

    def as_json(self) -> dict[str, Any]:
        """Return what is not clear, as plain values."""
        found = {
            one.name: getattr(self, one.name)
            for one in fields(self)
            if one.name != "toxics" and getattr(self, one.name) != one.default
        }
        return {**found, "toxics": [asdict(toxic) for toxic in self.toxics]}

    @classmethod
    def from_json(cls, said: Mapping[str, Any]) -> Impairment:
        """Read what `as_json` said. Raises BadFileError, TypeError for what no impairment is."""
        toxics = tuple(
            Toxic(
                one["kind"],
                one["stream"],
                tuple((name, value) for name, value in one["attributes"]),
                one["toxicity"],
            )
            for one in said.get("toxics", ())
        )
        return cls(**{**said, "toxics": toxics})


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """A kind of quantity.

    `read` makes its value from text, `show` the text, `check` raises BadFileError for what it
    cannot be, `fold` says what two of them on one path are together.
    """

    read: Callable[[str], float | int]
    show: Callable[[Any], str]
    check: Callable[[str, Any], None]
    fold: Callable[[Any, Any], Any]


def _time(name: str, value: float) -> None:
    if not 0 <= value <= DELAY_MS_MAX:
        raise BadFileError(f"{name}: expected 0 to {DELAY_MS_MAX:,.0f} ms, found {value:g} ms")


def _rate(name: str, value: int) -> None:
    try:
        quantities.require_rate(value)
    except BadFileError as error:
        raise BadFileError(f"{name}: {error}") from None


def _either(a: float, b: float) -> float:
    """Return the probability of one or the other, or both."""
    return 1 - (1 - a) * (1 - b) if a and b else a or b


def _narrower(a: int | None, b: int | None) -> int | None:
    return min((rate for rate in (a, b) if rate is not None), default=None)


TIME = Kind(
    read=quantities.time_ms, show=lambda value: f"{value:g} ms", check=_time, fold=operator.add
)
SPREAD = replace(TIME, fold=math.hypot)  # as standard deviations add
SHARE = Kind(
    read=quantities.share,
    show=lambda value: f"{value * 100:g} %",
    check=_probability,
    fold=_either,
)
RATE = Kind(
    read=quantities.rate_bps,
    show=lambda value: f"{value / 1e6:g} Mbit/s",
    check=_rate,
    fold=_narrower,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    """One word for what can be wrong, as it is written: its kind, and the impairment's field."""

    kind: Kind
    field: str
    example: str
    sentence: str


WORDS: dict[str, Word] = {
    "delay": Word(kind=TIME, field="delay_ms", example="80ms", sentence="each packet is later by"),
    "jitter": Word(
        kind=SPREAD,
        field="jitter_ms",
        example="10ms",
        sentence="its delay differs by, uniformly, up and down",
    ),
    "loss": Word(kind=SHARE, field="loss", example="1%", sentence="share of packets that vanish"),
    "duplicate": Word(
        kind=SHARE,
        field="duplicate",
        example="1%",
        sentence="share that comes twice (needs netem)",
    ),
    "reorder": Word(
        kind=SHARE,
        field="reorder",
        example="5%",
        sentence="share that is not delayed, and overtakes",
    ),
    "corrupt": Word(
        kind=SHARE,
        field="corrupt",
        example="0.1%",
        sentence="share with a flipped bit (needs netem)",
    ),
    "rate": Word(
        kind=RATE,
        field="rate_bps",
        example="10mbit",
        sentence="at most so much: of a path, or of a node's link, up and down",
    ),
}
HALF_OPEN = {"new": "refuses_new", "established": "drops_established"}
CLEAR = Impairment()


def fold_two(a: Impairment, b: Impairment) -> Impairment:
    """Fold two impairments that are on one path at once, each quantity by its kind."""
    folded = {
        word.field: word.kind.fold(getattr(a, word.field), getattr(b, word.field))
        for word in WORDS.values()
    }
    folded["jitter_ms"] = min(folded["jitter_ms"], folded["delay_ms"])
    return Impairment(
        **folded,
        blocked=a.blocked or b.blocked,
        refuses_new=a.refuses_new or b.refuses_new,
        drops_established=a.drops_established or b.drops_established,
        toxics=tuple(sorted({*a.toxics, *b.toxics})),
    )


def impairment(values: Mapping[str, Any]) -> Impairment:
    """Read an impairment from its words alone, for baselines that say where in another way.

    Raises BadFileError.
    """
    read: dict[str, Any] = {WORDS[key].field: _read(key, value) for key, value in values.items()}
    return Impairment(**read)


def toxic(words: str) -> Toxic:
    """Read a toxic: ``latency latency=100 jitter=10 stream=upstream toxicity=0.5``.

    The first word is a kind of Toxiproxy's, the others its attributes. Raises BadFileError.
    """
    kind, *rest = words.split() or [""]
    stream, toxicity, attributes = "downstream", 1.0, []
    for word in rest:
        key, equals, value = word.partition("=")
        if not equals or not value:
            raise BadFileError(f"toxic {kind}: expected NAME=VALUE, found {word!r}")
        try:
            if key == "stream":
                stream = value
            elif key == "toxicity":
                toxicity = float(value)
            else:
                attributes.append((key, int(value)))
        except ValueError:
            raise BadFileError(
                f"toxic {kind}: {key}: expected a whole number, found {value!r}"
            ) from None
    return Toxic(kind, stream, tuple(sorted(attributes)), toxicity)


def _read(key: str, value: Any) -> float | int:
    try:
        return WORDS[key].kind.read(str(value))
    except BadFileError as error:
        raise BadFileError(f"{key}: {error}") from None

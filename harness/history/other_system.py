"""Another system than its files name may be under test; what it cannot be asked is left out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from harness.choices import any_of, listed


@dataclass(frozen=True, slots=True, kw_only=True)
class OtherSystem:
    """Which system is under test, instead of which one, and what was left out of the files for it.

    `streams`: those of operations that it does not have, as metadata.json says a stream; `until`:
    phase → the condition that was to end it; `options`: option of nodes that it does not know →
    how many nodes were to have it.
    """

    name: str
    instead_of: str
    streams: tuple[Mapping[str, Any], ...] = ()
    until: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, int] = field(default_factory=dict)

    @property
    def words(self) -> tuple[str, ...]:
        """The operations that were asked for and it does not have, each once."""
        return tuple(dict.fromkeys(one["operation"] for one in self.streams))

    def lacking(self, phase: str) -> tuple[str, ...]:
        """Return the operations that a phase was to send and it does not have, each once."""
        mine = (one["operation"] for one in self.streams if one["phase"] == phase)
        return tuple(dict.fromkeys(mine))

    def has_no(self, words: Iterable[str]) -> str:
        """Say that it does not have these: ``serf has no dht_put or dht_get``."""
        return f"{self.name} has no {any_of(words)}"

    def sentences(self) -> Iterator[str]:
        """Say what is left out, a sentence a thing."""
        for word in self.words:
            phases = [one["phase"] for one in self.streams if one["operation"] == word]
            named = listed(phases)
            yield f"{self.has_no([word])}: left out of phase{'s' * (',' in named)} {named}"
        for phase, condition in self.until.items():
            yield f"phase {phase} is not ended by {condition!r}, which {self.name} cannot show"
        for option, count in self.options.items():
            nodes = f"{count:,} node{'s' * (count > 1)}"
            yield f"{self.name} has no option {option}: left out of {nodes}"

    def as_json(self) -> dict[str, Any]:
        """Return what metadata.json says of it."""
        return {
            "name": self.name,
            "instead_of": self.instead_of,
            "streams": [dict(one) for one in self.streams],
            "until": dict(self.until),
            "options": dict(self.options),
        }

    @classmethod
    def from_json(cls, said: Mapping[str, Any] | None) -> OtherSystem | None:
        """Read what `as_json` said; None: the system is that of the files, as in older folders.

        Raises KeyError, TypeError, ValueError for what is none.
        """
        return None if said is None else cls(**{**said, "streams": tuple(said["streams"])})

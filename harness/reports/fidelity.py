"""How near a replay came to its original, as fidelity.json holds it, in sentences. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from harness.errors import BadFileError
from harness.topology.quantities import number, percent

DIFFERENCES_MOST = 8


class Line(NamedTuple):
    """A part, and how near it came (of 1; None: it is not known); or what else there is to say."""

    part: str
    score: str
    what: str


def lines(found: Mapping[str, Any]) -> list[Line]:
    """Say what fidelity.json holds, part by part. Raises BadFileError for what is none."""
    try:
        return [*map(_part, found["parts"].items()), *_remarks(found)]
    except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
        raise BadFileError(f"fidelity.json: {type(error).__name__}: {error}") from None


def whole(found: Mapping[str, Any]) -> str:
    """Say how near a replay came."""
    least = found["fidelity"]
    return "not known" if least is None else f"{_score(least)} of 1: the least of its parts"


def _part(one: tuple[str, Mapping[str, Any]]) -> Line:
    name, part = one
    score = part["score"]
    return Line(
        name,
        "–" if score is None else _score(score),
        part.get("unknown") or SENTENCES[name](part),
    )


def _remarks(found: Mapping[str, Any]) -> list[Line]:
    said = [f"{what}: {was} → {now}" for what, was, now in found["differs"][:DIFFERENCES_MOST]]
    if left := len(found["differs"][DIFFERENCES_MOST:]):
        said.append(f"… and {left} more, in fidelity.json")
    every = [Line("differs", "", one) for one in said]
    return every + [Line("remark", "", str(one)) for one in found["remarks"]]


def _score(value: float) -> str:
    """Show a score; what is less than 1 is not shown as 1."""
    return number(value, 0.0, 1.0)


def _moments(part: Mapping[str, Any]) -> str:
    said = f"{len(part['errors'])} events"
    if part["errors"]:
        said += (
            f": median {part['median_ms']:.1f} ms, p99 {part['p99_ms']:.1f} ms, worst "
            f"{part['worst_ms']:+.1f} ms ({part['worst']})"
        )
    for word in ("missing", "extra"):
        if part[word]:
            said += f"; {word}: {', '.join(part[word][:3])}"
            said += f" and {len(part[word]) - 3} more" if len(part[word]) > 3 else ""
    return said


def _load(part: Mapping[str, Any]) -> str:
    if not part["streams"]:
        return "no stream"
    worst = max(part["streams"], key=lambda one: one["error"])
    return (
        f"{len(part['streams'])} streams; furthest: {worst['operation']} of {worst['phase']}, "
        f"{number(worst['original_per_s'])} → {number(worst['replay_per_s'])} a second "
        f"({percent(worst['error'])} off)"
    )


def _faults(part: Mapping[str, Any]) -> str:
    if not part["seen"]:
        return "no fault"
    worst = min(part["seen"], key=lambda one: one["score"])
    was, now = (
        number(value) if isinstance(value, float) else str(value)
        for value in (worst["original"], worst["replay"])
    )
    furthest = f"{worst['what']} of {worst['fault']}, {was} → {now}"
    return f"{len(part['seen'])} things seen of faults; furthest: {furthest}"


def _findings(part: Mapping[str, Any]) -> str:
    said = f"{part['of'] - len(part['changed'])} of {part['of']} have the same answer"
    changes = (
        f"{one['name']}{_of(one['phase'])}: {one['original']} → {one['replay']}"
        for one in part["changed"]
    )
    return "; ".join([said, *changes])


def _of(phase: str) -> str:
    return f" ({phase})" if phase else ""


SENTENCES = {"moments": _moments, "load": _load, "faults": _faults, "findings": _findings}

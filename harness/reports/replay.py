"""A replay for a terminal: how near it came to its original, and verdicts side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from harness.checks.verdict import Answer
from harness.reports.terminal import Plain, plain
from harness.reports.text import COLOURS
from harness.topology.quantities import number, percent

DIFFERENCES_MOST = 8
JUDGED = frozenset({Answer.PASS, Answer.FAIL, Answer.UNKNOWN})  # what only tells is no answer
MOMENTS_TOLD = {
    "missing": "missing",
    "extra": "extra",
    "not compared, for it went as the run was closed": "not_compared",
}


def fidelity(found: Mapping[str, Any]) -> RenderableType:
    """Lay out what fidelity.json holds."""
    table = Plain(header_style="bold", expand=False)
    table.add_column("part", no_wrap=True)
    table.add_column("of 1", justify="right", no_wrap=True)
    table.add_column("what", overflow="fold")
    for row in rows(found):
        table.add_row(*row)
    return Group(table, Text.assemble(("fidelity ", "bold"), whole(found)))


def rows(found: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Say what fidelity.json holds, part by part: the part, how near it came (of 1), and what; and
    what else there is to say.
    """
    told = []
    for name, part in found["parts"].items():
        score = part["score"]
        said = part.get("unknown") or SENTENCES[name](part)
        told.append((name, "–" if score is None else _score(score), said))
    for what, was, now in found["differs"][:DIFFERENCES_MOST]:
        told.append(("differs", "", f"{what}: {was} → {now}"))
    if found["differs"][DIFFERENCES_MOST:]:
        left = len(found["differs"]) - DIFFERENCES_MOST
        told.append(("differs", "", f"… and {left} more, in fidelity.json"))
    return [*told, *(("remark", "", remark) for remark in found["remarks"])]


def whole(found: Mapping[str, Any]) -> str:
    """Say how near a replay came."""
    least = found["fidelity"]
    if least is None:
        return "not known"
    lacking = [
        part.get("not_known", name)
        for name, part in found["parts"].items()
        if "unknown" in part or "not_known" in part
    ]
    known = f" that are known: not {', '.join(lacking)}" if lacking else ""
    return f"{_score(least)} of 1: the least of its parts{known}"


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
    for word, key in MOMENTS_TOLD.items():
        if part[key]:
            said += f"; {word}: {_some(part[key])}"
    if part["starts"]:
        most = max(part["starts"], key=lambda one: abs(one["replay_ms"] - one["original_ms"]))
        said += (
            f"; nodes started in {most['replay_ms']:.0f} ms instead of {most['original_ms']:.0f} "
            f"({most['what']})"
        )
    return said


def _load(part: Mapping[str, Any]) -> str:
    if not part["streams"]:
        return "no stream"
    worst = min(part["streams"], key=lambda one: (one["score"], -one["error"]))
    said = (
        f"{len(part['streams'])} streams; furthest: {worst['operation']} of {worst['phase']}, "
        f"{number(worst['original_per_s'])} → {number(worst['replay_per_s'])} a second "
        f"({percent(worst['error'])} off)"
    )
    if worst.get("moved"):
        said += (
            f", {worst['moved']:,} of {worst['both']:,} operations at another moment (furthest "
            f"{worst['furthest_ms']:+,} ms)"
        )
    if worst.get("only_one"):
        said += f", {worst['only_one']:,} in one of the two only"
    return f"{said}; {part['not_known']} is not known" if "not_known" in part else said


def _faults(part: Mapping[str, Any]) -> str:
    if not part["seen"]:
        return "no fault"
    known = [one for one in part["seen"] if one["score"] is not None]
    unseen = sorted({one["fault"] for one in part["seen"] if one["score"] is None})
    said = [f"{len(known)} things seen of faults"]
    if known:
        worst = min(known, key=lambda one: one["score"])
        was, now = (
            number(value) if isinstance(value, float) else str(value)
            for value in (worst["original"], worst["replay"])
        )
        said.append(f"furthest: {worst['what']} of {worst['fault']}, {was} → {now}")
    if unseen:
        said.append(f"not all of it seen in either run: {_some(unseen)}")
    return "; ".join(said)


def _findings(part: Mapping[str, Any]) -> str:
    said = [f"{part['of'] - len(part['changed'])} of {part['of']} have the same answer"]
    if unknown := part.get("unknown_in_both"):
        said.append(f"{unknown} more are UNKNOWN in both")
    changes = (
        f"{one['name']}{_of(one['phase'])}: {one['original']} → {one['replay']}"
        for one in part["changed"]
    )
    if part.get("as_kept"):
        said.append("the original's as its bundle keeps them, not judged again")
    return "; ".join([*said, *changes])


def _some(names: Sequence[str]) -> str:
    """List the first of some names."""
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return f"{', '.join(names[:3])}{more}"


def _of(phase: str) -> str:
    return f" ({phase})" if phase else ""


SENTENCES = {"moments": _moments, "load": _load, "faults": _faults, "findings": _findings}


def side_by_side(names: Sequence[str], rows: Sequence[Sequence[Any]]) -> RenderableType:
    """Lay out verdicts beside each other, a row a finding; ≠ where they answer differently.

    Each of `rows` has the finding as each of `names` has it: phase, name, answer, measured.
    """
    table = Plain(header_style="bold", expand=False)
    table.add_column("", no_wrap=True)
    table.add_column("phase", no_wrap=True)
    table.add_column("promise", overflow="fold")
    for name in names:
        table.add_column(plain(name), overflow="fold")
    changed = 0
    for row in rows:
        differs = len({one.answer if one.answer in JUDGED else "" for one in row}) > 1
        changed += differs
        cells = (_cell(one.answer, one.measured) for one in row)
        table.add_row("≠" if differs else "", row[0].phase or "–", row[0].name, *cells)
    return Group(table, plain(f"{changed} of {len(rows)} findings have another answer (≠)"))


def _cell(answer: str, measured: str) -> Text:
    style = COLOURS[Answer(answer)] if answer in set(Answer) else "dim"
    return Text.assemble(
        (answer, style), plain(f" {measured}" if measured not in ("", "–") else "")
    )

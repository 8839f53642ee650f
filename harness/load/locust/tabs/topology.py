"""The "Topology" tab: nodes on a ring, by region; links; the sides of a cut, at a glance."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from math import cos, pi, sin
from typing import Any

from harness.faults.fault import Condition
from harness.load.locust.tabs import blocks, faults
from harness.load.locust.tabs.banner import whom
from harness.load.locust.tabs.blocks import Block
from harness.load.locust.tabs.desk import Desk

SIZE, RADIUS = 640, 270
ASIDE = 60  # room for names beside the ring
LINKS_MAX = 3000  # of more, every so many is drawn
LABELS_MAX = 60
COLOURS = 6


def view(desk: Desk, wanted: str) -> list[Block]:
    """The tab; `wanted`: nodes whose name has this are marked."""
    nodes = sorted(desk.status()["nodes"], key=lambda node: (node["region"], node["index"]))
    standing = desk.faults()
    cuts = [fault for fault in standing if fault.get("sides")]
    sides = [_side_of(cut) for cut in cuts]
    colours = _colours(sides)
    nodes.sort(key=lambda node: colours.get(node["name"], -1))  # a side is one arc
    parted = [side for cut, side in zip(cuts, sides, strict=True) if cut.get("mutual")]
    step = max(1, -(-len(desk.links) // LINKS_MAX))
    said = [blocks.text(f"{fault['name']}: {whom(fault)}", "bad") for fault in cuts]
    held = faults.limited(standing)
    said += [blocks.text(one, "warn") for one in _conditions(nodes, held)]
    picture = _drawing(nodes, desk.links[::step], colours, parted, held, wanted)
    return [blocks.text(_legend(nodes, desk.links, step, colours)), *said, blocks.svg(picture)]


def _conditions(nodes: list[dict[str, Any]], held: dict[str, str]) -> Iterator[str]:
    """Say which nodes do not run as usual, and how each kind of them looks in the picture."""
    looks = {"out": "a ring with a cross", "paused": "a ring with two bars"}
    by_condition: dict[str, list[str]] = {}
    for node in nodes:
        by_condition.setdefault(node["condition"], []).append(node["name"])
    for condition, names in sorted(by_condition.items()):
        if look := looks.get(_out(condition)):
            yield f"{condition}: {faults.names(names)} ({look})"
    if held:
        each = [f"{name} ({limits})" for name, limits in sorted(held.items())]
        yield f"limited: {faults.names(each)} (a dashed rim)"


def _out(condition: str) -> str:
    """The class of a node that does not run; empty for one that does."""
    if condition == Condition.RUNNING:
        return ""
    return "paused" if condition == Condition.PAUSED else "out"


def _legend(
    nodes: list[dict[str, Any]], links: list[tuple[str, str]], step: int, colours: dict[str, int]
) -> str:
    drawn = f"{len(links):,} links" if links else "its links are known once a run begins"
    some = f", one in {step} is drawn" if step > 1 else ""
    again = f", used again after {COLOURS}" if len(set(colours.values())) > COLOURS else ""
    return (
        f"{len(nodes):,} nodes, {drawn}{some}; each side of a cut has a colour{again}, a node on "
        "none is grey; a dashed link is cut in both directions"
    )


def _side_of(cut: dict[str, Any]) -> dict[str, int]:
    """Node → the number of its side."""
    return {name: number for number, names in enumerate(cut["sides"]) for name in names}


def _colours(sides: list[dict[str, int]]) -> dict[str, int]:
    """Node → the number of its colour: one for the same sides of all cuts, none for no side."""
    of = {name: tuple(side.get(name, -1) for side in sides) for side in sides for name in side}
    order = {key: number for number, key in enumerate(sorted(set(of.values())))}
    return {name: order[key] for name, key in of.items()}


def _drawing(
    nodes: list[dict[str, Any]],
    links: list[tuple[str, str]],
    colours: dict[str, int],
    parted: list[dict[str, int]],
    held: dict[str, str],
    wanted: str,
) -> str:
    at = {}
    for place, node in enumerate(nodes):
        angle = 2 * pi * place / max(1, len(nodes)) - pi / 2
        at[node["name"]] = (SIZE / 2 + RADIUS * cos(angle), SIZE / 2 + RADIUS * sin(angle))
    drawn = [f'<svg class="p2p-net" viewBox="{-ASIDE} 0 {SIZE + 2 * ASIDE} {SIZE}" role="img">']
    for one, other in links:
        if one in at and other in at:
            (x1, y1), (x2, y2) = at[one], at[other]
            is_cut = any(one in of and other in of and of[one] != of[other] for of in parted)
            kind = "cut" if is_cut else "link"
            drawn.append(
                f'<line class="{kind}" x1="{x1:.0f}" y1="{y1:.0f}" x2="{x2:.0f}" y2="{y2:.0f}"/>'
            )
    dot = 9 if len(nodes) <= LABELS_MAX else 4 if len(nodes) <= 300 else 2
    for node in nodes:
        (x, y), name = at[node["name"]], escape(node["name"])
        out = _out(node["condition"])
        kind = out or _class(colours, node["name"]) + " slow" * (node["name"] in held)
        found = " found" if wanted and wanted in node["name"] else ""
        said = ", ".join(filter(None, (node["region"], node["condition"], held.get(node["name"]))))
        drawn.append(
            f'<circle class="{kind}{found}" cx="{x:.1f}" cy="{y:.1f}" r="{dot}">'
            f"<title>{name}, {escape(said)}</title></circle>{_mark(out, x, y, dot / 2)}"
        )
        if len(nodes) <= LABELS_MAX or found:
            aside = (x - SIZE / 2) / RADIUS
            anchor = "middle" if abs(aside) < 0.3 else "start" if aside > 0 else "end"
            x, y = (SIZE / 2 + (each - SIZE / 2) * 1.08 for each in (x, y))
            drawn.append(f'<text x="{x:.0f}" y="{y + 4:.0f}" text-anchor="{anchor}">{name}</text>')
    return "".join([*drawn, "</svg>"])


def _mark(out: str, x: float, y: float, size: float) -> str:
    """What tells a node that is down from one that is paused, beside the colour."""
    if not out:
        return ""
    if out == "paused":
        lines = f"M{x - size / 2:.1f} {y - size:.1f}v{2 * size:.1f}m{size:.1f} 0v{-2 * size:.1f}"
    else:
        there = f"{2 * size:.1f} {2 * size:.1f}"
        back = f"{-2 * size:.1f} {2 * size:.1f}"
        lines = f"M{x - size:.1f} {y - size:.1f}l{there}M{x + size:.1f} {y - size:.1f}l{back}"
    return f'<path class="mark {out}" d="{lines}"/>'


def _class(colours: dict[str, int], name: str) -> str:
    """The class of a node that runs; without a cut they all have one colour."""
    if not colours:
        return "s0"
    return f"s{colours[name] % COLOURS}" if name in colours else "none"

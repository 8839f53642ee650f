"""The "Topology" tab: nodes on a ring, by region; links; the sides of a cut, at a glance."""

from __future__ import annotations

from html import escape
from math import cos, pi, sin
from typing import Any

from harness.load.locust.tabs import blocks
from harness.load.locust.tabs.banner import whom
from harness.load.locust.tabs.blocks import Block
from harness.load.locust.tabs.desk import Desk

SIZE, RADIUS = 640, 270
LINKS_MAX = 3000  # more are one grey disc
LABELS_MAX = 60


def view(desk: Desk, wanted: str) -> list[Block]:
    """The tab; `wanted`: nodes whose name has this are marked."""
    nodes = sorted(desk.status()["nodes"], key=lambda node: (node["region"], node["index"]))
    standing = desk.faults()
    cuts = [fault for fault in standing if fault.get("sides")]
    side = _sides(cuts)
    nodes.sort(key=lambda node: side.get(node["name"], -1))  # a side is one arc
    links = f"{len(desk.links):,} links" if desk.links else "its links are known once a run begins"
    drawn = blocks.text(f"{len(nodes):,} nodes, {links}; each side of a cut has a colour")
    said = [blocks.text(f"{fault['name']}: {whom(fault)}", "bad") for fault in cuts]
    return [drawn, *said, blocks.svg(_drawing(nodes, desk.links, side, wanted))]


def _sides(cuts: list[dict[str, Any]]) -> dict[str, int]:
    """Node → the number of its side, of all cuts together."""
    of: dict[str, tuple[int, ...]] = {}
    for cut in cuts:
        for number, names in enumerate(cut["sides"]):
            for name in names:
                of[name] = (*of.get(name, ()), number)
    order = {key: number for number, key in enumerate(sorted(set(of.values())))}
    return {name: order[key] for name, key in of.items()}


def _drawing(
    nodes: list[dict[str, Any]], links: list[tuple[str, str]], side: dict[str, int], wanted: str
) -> str:
    at = {}
    for place, node in enumerate(nodes):
        angle = 2 * pi * place / max(1, len(nodes)) - pi / 2
        at[node["name"]] = (SIZE / 2 + RADIUS * cos(angle), SIZE / 2 + RADIUS * sin(angle))
    drawn = [f'<svg class="p2p-net" viewBox="0 0 {SIZE} {SIZE}" role="img">']
    step = max(1, len(links) // LINKS_MAX)
    for one, other in links[::step]:
        if one in at and other in at:
            (x1, y1), (x2, y2) = at[one], at[other]
            kind = "cut" if side.get(one) != side.get(other) else "link"
            drawn.append(
                f'<line class="{kind}" x1="{x1:.0f}" y1="{y1:.0f}" x2="{x2:.0f}" y2="{y2:.0f}"/>'
            )
    dot = 9 if len(nodes) <= LABELS_MAX else 4 if len(nodes) <= 300 else 2
    for node in nodes:
        (x, y), name = at[node["name"]], escape(node["name"])
        kind = "out" if node["condition"] != "running" else f"s{side.get(node['name'], 0) % 6}"
        found = " found" if wanted and wanted in node["name"] else ""
        drawn.append(
            f'<circle class="{kind}{found}" cx="{x:.1f}" cy="{y:.1f}" r="{dot}">'
            f"<title>{name}, {escape(node['region'])}, {escape(node['condition'])}</title></circle>"
        )
        if len(nodes) <= LABELS_MAX or found:
            x, y = (SIZE / 2 + (each - SIZE / 2) * 1.1 for each in (x, y))
            drawn.append(f'<text x="{x:.0f}" y="{y + 4:.0f}" text-anchor="middle">{name}</text>')
    return "".join([*drawn, "</svg>"])

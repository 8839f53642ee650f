"""A topology: nodes in their groups, links between them, and those that a cut took."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from harness.reports.series.graph import WIDTH, Dot, Graph, Group

DOT_MOST, DOT_LEAST = 6.0, 1.8


def draw(graph: Graph) -> str:
    """Draw the picture for a view that scales."""
    radius = max(DOT_LEAST, min(DOT_MOST, 90 / max(len(graph.dots), 1) ** 0.5 / 2))
    label = escape(f"{graph.title}: {graph.note}", quote=True)
    parts = [
        (
            f'<svg class="topology" viewBox="0 0 {WIDTH:g} {graph.height:.0f}" role="img" '
            f'aria-label="{label}">'
        ),
        *map(_group, graph.groups),
        f'<path class="link" d="{_links(graph, graph.links)}"/>',
        f'<path class="link cut" d="{_links(graph, graph.cut)}"/>',
        *(_dot(dot, number, radius) for number, dot in enumerate(graph.dots)),
        "</svg>",
    ]
    return "".join(parts)


def _group(group: Group) -> str:
    return (
        f'<circle class="side" cx="{group.x:.1f}" cy="{group.y:.1f}" r="{group.radius:.1f}"/>'
        f'<text x="{group.x:.1f}" y="{group.y - group.radius - 6:.1f}" '
        f'text-anchor="middle">{escape(group.name)}</text>'
    )


def _links(graph: Graph, ends: Iterable[tuple[int, int]]) -> str:
    dots = graph.dots
    return "".join(
        f"M{dots[a].x:.1f} {dots[a].y:.1f}L{dots[b].x:.1f} {dots[b].y:.1f}" for a, b in ends
    )


def _dot(dot: Dot, number: int, radius: float) -> str:
    kind = f" k-{escape(dot.kind, quote=True)}" if dot.kind else ""
    return (
        f'<circle class="node{kind}" data-node="{number}" cx="{dot.x:.1f}" cy="{dot.y:.1f}" '
        f'r="{radius:.1f}"><title>{escape(dot.says)}</title></circle>'
    )

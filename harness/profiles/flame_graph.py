"""A flame graph of stacks, as one SVG file that opens anywhere, offline. Pure.

Each box is a function, as wide as its share of the whole, above the one that called it (Gregg 2011,
drawn from the top down: callers first). A click on one makes it as wide as the picture.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from html import escape

from harness.profiles.stacks import Stacks, function_of

WIDTH = 1200  # px
ROW = 17  # px, of one function
HEAD = 58  # px, above the first one
LETTER = 6.6  # px, of the font
NARROWEST = 0.3  # px; what is narrower is not drawn, and counted in its caller
STYLE = (
    "svg{background:#fff}text{font:11px ui-monospace,monospace;fill:#111}"
    ".t{font:600 15px system-ui,sans-serif}.s{font:12px system-ui,sans-serif;fill:#555}"
    "rect{stroke:#fff;stroke-width:.5}g.f{cursor:pointer}g.f text{pointer-events:none}"
)
# A click on a box zooms; one on the first box shows all again. Boxes carry their place in
# data-x and data-w (shares of the whole) and their row in data-y.
SCRIPT = """
const boxes=[...document.querySelectorAll('g.f')].map(g=>({g,r:g.querySelector('rect'),
t:g.querySelector('text'),x:+g.dataset.x,w:+g.dataset.w,y:+g.dataset.y,n:g.dataset.n}));
function show(to){for(const b of boxes){const above=b.y<to.y,inside=b.x>=to.x-1e-9&&
b.x+b.w<=to.x+to.w+1e-9,around=b.x<=to.x+1e-9&&b.x+b.w>=to.x+to.w-1e-9;
const shown=above?around:inside;b.g.style.display=shown?'':'none';if(!shown)continue;
const x=above?0:(b.x-to.x)/to.w*W,w=above?W:b.w/to.w*W;b.r.setAttribute('x',x);
b.r.setAttribute('width',w);b.t.setAttribute('x',x+3);const fits=Math.floor((w-6)/L);
b.t.textContent=fits<3?'':b.n.length<=fits?b.n:b.n.slice(0,fits-1)+'…'}}
for(const b of boxes)b.g.addEventListener('click',()=>show(b));
"""


@dataclass(slots=True)
class _Box:
    """A function below its callers; `count` is its own and all that it called."""

    count: int = 0
    inside: dict[str, _Box] = field(default_factory=dict)


def draw(stacks: Stacks, title: str, says: str) -> str:
    """Draw the stacks; `says` stands below the title."""
    root = _tree(stacks)
    boxes = list(_boxes("all", root, 0.0, 0, max(root.count, 1)))
    rows = 1 + max((row for _, _, _, _, row in boxes), default=0)
    height = HEAD + rows * ROW + 8
    drawn = "".join(
        _drawn(name, count, left, share, row, stacks) for name, count, left, share, row in boxes
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" '
        f'viewBox="0 0 {WIDTH} {height}"><style>{STYLE}</style>'
        f'<text class="t" x="4" y="22">{escape(title)}</text>'
        f'<text class="s" x="4" y="42">{escape(says)}</text>{drawn}'
        f"<script><![CDATA[const W={WIDTH},L={LETTER};{SCRIPT}]]></script></svg>\n"
    )


def _tree(stacks: Stacks) -> _Box:
    root = _Box()
    for stack, count in stacks.counts.items():
        root.count += count
        box = root
        for frame in stack:
            box = box.inside.setdefault(frame, _Box())
            box.count += count
    return root


def _boxes(
    name: str, box: _Box, left: float, row: int, total: int
) -> Iterator[tuple[str, int, float, float, int]]:
    """Yield name, count, left edge, share and row of all boxes that are wide enough to be seen."""
    waiting = [(name, box, left, row)]
    while waiting:
        name, box, left, row = waiting.pop()
        share = box.count / total
        if share * WIDTH < NARROWEST and row:
            continue
        yield name, box.count, left, share, row
        at = left
        for inner in sorted(box.inside):
            waiting.append((inner, box.inside[inner], at, row + 1))
            at += box.inside[inner].count / total


def _drawn(name: str, count: int, left: float, share: float, row: int, stacks: Stacks) -> str:
    x, width, y = left * WIDTH, share * WIDTH, HEAD + row * ROW
    fits = int((width - 6) / LETTER)
    shown = "" if fits < 3 else name if len(name) <= fits else f"{name[: fits - 1]}…"
    said = f"{name}: {count:,} {stacks.unit}, {share:.1%}"
    return (
        f'<g class="f" data-x="{left:.8f}" data-w="{share:.8f}" data-y="{row}" '
        f'data-n="{escape(name)}"><title>{escape(said)}</title>'
        f'<rect x="{x:.2f}" y="{y}" width="{width:.2f}" height="{ROW - 1}" fill="{_colour(name)}"/>'
        f'<text x="{x + 3:.2f}" y="{y + 12}">{escape(shown)}</text></g>'
    )


def _colour(name: str) -> str:
    """A warm colour, the same for a function wherever it stands."""
    number = zlib.crc32(function_of(name).encode("utf-8", "replace"))
    return f"hsl({number % 45 + 8} {70 + number // 45 % 20}% {62 + number // 900 % 14}%)"

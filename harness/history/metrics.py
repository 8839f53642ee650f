"""What nodes told of themselves once a second, as pages of metrics (Prometheus), and the stretches
in which they did not.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from harness.history.gaps import Gap, Life, Part, unseen

if TYPE_CHECKING:
    from harness.history.history import History

TAKEN = (
    pa.field("at_ns", pa.int64(), nullable=False),  # when the node was asked
    pa.field("took_ns", pa.int64(), nullable=False),  # until it had answered
    pa.field("node", pa.uint16(), nullable=False),  # position in the topology
)
VALUES = pa.schema(
    [
        *TAKEN,
        pa.field("series", pa.uint32(), nullable=False),  # row of SERIES
        pa.field("value", pa.float64(), nullable=False),
    ]
)
SERIES = pa.schema(
    [
        pa.field("series", pa.string(), nullable=False),  # name{label="value",…}
        pa.field("type", pa.string(), nullable=False),  # as told; empty: none
    ]
)
SCRAPES = pa.schema(
    [
        *TAKEN,
        pa.field("bytes", pa.int64(), nullable=False),
        pa.field("series", pa.int32(), nullable=False),  # how many were kept
        pa.field("error", pa.string()),  # null: the page is believed
    ]
)
LABEL = re.compile(r'([A-Za-z_][A-Za-z0-9_]*)="((?:[^"\\]|\\.)*)"')
ESCAPED = re.compile(r"\\(.)")
QUOTED = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n"})
MEANT = {"n": "\n"}
TOLD = ("pages of metrics", "told no metrics")


class Files(StrEnum):
    """The files of a run folder that hold it."""

    VALUES = "metrics/values.arrow"
    SERIES = "metrics/series.arrow"
    SCRAPES = "metrics/scrapes.arrow"


@dataclass(frozen=True, slots=True)
class Series:
    """One thing that nodes tell: its name, its labels, and what kind of metric they call it."""

    name: str
    labels: frozenset[tuple[str, str]] = frozenset()
    type: str = ""

    @classmethod
    def read(cls, text: str, type_: str = "") -> Series:
        """Read ``name{label="value",…}``. Raises ValueError."""
        name, brace, rest = text.partition("{")
        inside, at = rest.removesuffix("}").strip(), 0
        labels = set()
        if brace and not rest.endswith("}"):
            raise ValueError("expected a } at its end")
        while at < len(inside):
            found = LABEL.match(inside, at)
            if found is None:
                raise ValueError(f'expected label="value", found {inside[at:]!r}')
            labels.add((found[1], ESCAPED.sub(lambda one: MEANT.get(one[1], one[1]), found[2])))
            after = inside[found.end() :].lstrip()
            if after and not after.startswith(","):
                raise ValueError(f"expected a comma between labels, found {after!r}")
            at = len(inside) - len(after.removeprefix(",").lstrip()) if after else len(inside)
        return cls(name, frozenset(labels), type_)

    def __str__(self) -> str:
        labels = ((key, value.translate(QUOTED)) for key, value in sorted(self.labels))
        inside = ", ".join(f'{key}="{value}"' for key, value in labels)
        return f"{self.name}{{{inside}}}" if inside else self.name


@dataclass(frozen=True, slots=True, kw_only=True)
class Metrics:
    """What was told: `values` has the columns of VALUES, whose `series` are positions in `series`;
    `scrapes` has those of SCRAPES. `is_asked`: whether the run asked nodes for metrics at all.
    """

    values: pa.Table = field(default_factory=VALUES.empty_table)
    series: tuple[Series, ...] = ()
    scrapes: pa.Table = field(default_factory=SCRAPES.empty_table)
    is_asked: bool = False


def gaps(history: History, lived: Mapping[str, Sequence[Life]]) -> list[Gap]:
    """Find the stretches in which a node ran and told nothing that is believed."""
    told = history.metrics
    if not told.is_asked:
        return []
    node, at_ns = (told.scrapes.column(name).to_numpy() for name in ("node", "at_ns"))
    errors = told.scrapes.column("error")
    is_whole = errors.is_null().to_numpy()
    found = []
    for index, name in enumerate(history.nodes):
        mine = node == index
        good = np.sort(at_ns[mine & is_whole])
        for from_ns, to_ns, why in unseen(good, lived[name], history.phases, TOLD):
            within = mine & ~is_whole & (at_ns >= from_ns) & (at_ns < to_ns)
            said = Counter(errors.filter(pa.array(within)).to_pylist()).most_common(1)
            because = f": {said[0][0]}" if said else ""
            found.append(
                Gap(
                    what=frozenset({Part.METRICS}),
                    of=(name,),
                    from_ns=from_ns,
                    to_ns=to_ns,
                    why=f"{name} {why}{because}",
                )
            )
    return found

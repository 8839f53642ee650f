"""Stacks of a profile, and how often each was seen: the folded form that flame graphs and
speedscope read. Pure.

A line is ``outermost;…;innermost COUNT`` (Gregg's stackcollapse format).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from harness.errors import BadFileError

Stack = tuple[str, ...]  # from the outermost frame to the innermost
DEPTH_MOST = 512  # of a stack; what is deeper is cut at its innermost end, and says so
CUT = "(deeper frames are left out)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stacks:
    """Stacks and their counts; `unit` is what is counted (samples, bytes)."""

    counts: Mapping[Stack, int]
    unit: str

    @property
    def total(self) -> int:
        """What was counted in all."""
        return sum(self.counts.values())

    def folded(self) -> str:
        """Write them, a line each, in order."""
        lines = (f"{';'.join(stack)} {count}\n" for stack, count in sorted(self.counts.items()))
        return "".join(lines)

    def hottest(self, most: int) -> list[tuple[str, float]]:
        """Return the functions in which most was counted themselves, and their shares."""
        own: Counter[str] = Counter()
        for stack, count in self.counts.items():
            own[function_of(stack[-1])] += count
        total = self.total or 1
        ordered = sorted(own.items(), key=lambda one: (-one[1], one[0]))
        return [(name, count / total) for name, count in ordered[:most]]


def merged(parts: Mapping[str, Stacks], unit: str) -> Stacks:
    """Put the stacks of several processes together, each below its name where there are more."""
    counts: Counter[Stack] = Counter()
    for name, part in parts.items():
        for stack, count in part.counts.items():
            counts[(clean(name), *stack) if len(parts) > 1 else stack] += count
    return Stacks(counts=counts, unit=unit)


def parse(text: str, unit: str) -> Stacks:
    """Read folded stacks. Raises BadFileError with the number of a line that is none."""
    counts: Counter[Stack] = Counter()
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        frames, _, count = line.rstrip().rpartition(" ")
        if not frames or not count.isdecimal():
            raise BadFileError(f"line {number}: expected frames and a count, found {line[:80]!r}")
        counts[stack_of(frames.split(";"))] += int(count)
    return Stacks(counts=+counts, unit=unit)


def stack_of(frames: Iterable[str]) -> Stack:
    """Make a stack of frames, outermost first, each cleaned of what the form cannot hold."""
    found = tuple(clean(frame) for frame in frames)
    return found if len(found) <= DEPTH_MOST else (*found[: DEPTH_MOST - 1], CUT)


def clean(frame: str) -> str:
    """Make a frame fit for a line: the process under test chose its name."""
    text = "".join(letter if letter.isprintable() else "?" for letter in frame)
    return text.replace(";", ":").strip() or "?"


def function_of(frame: str) -> str:
    """Name a frame's function and file, without the line: ``hot (node.py:12)`` is of two lines."""
    name, is_placed, place = frame.rpartition(" (")
    if not is_placed or not place.endswith(")"):
        return frame
    file, is_lined, line = place[:-1].rpartition(":")
    return f"{name} ({file})" if is_lined and line.isdecimal() else frame

"""Makes a profile's files of what profilers recorded, in a process of its own: reading and drawing
take CPU time that the supervisor must not miss.

In: a JSON object on standard input (`Asked`). Out: one on standard output (`Rendered`).
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from harness import profiles
from harness.errors import HarnessError, UnavailableError
from harness.profiles import flame_graph
from harness.profiles.stacks import merged

HOTTEST = 5
WITHIN_S = 180.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What is to be made: of the raw files of these processes, by name, `STEM.folded` and
    `STEM.svg`.
    """

    tool: str
    raw: Mapping[str, str]
    stem: str
    title: str
    says: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendered:
    """What was made: how much was counted, and the functions with most of it."""

    count: int
    unit: str
    hottest: Mapping[str, float]


def render(asked: Asked) -> Rendered:
    """Write both files. Raises HarnessError, OSError."""
    profiler = profiles.named(asked.tool)
    parts = {name: profiler.read(Path(file)) for name, file in asked.raw.items()}
    stacks = merged(parts, profiler.unit)
    says = f"{asked.says} · {stacks.total:,} {stacks.unit}"
    Path(f"{asked.stem}.folded").write_text(stacks.folded())
    Path(f"{asked.stem}.svg").write_text(flame_graph.draw(stacks, asked.title, says))
    hottest = dict(stacks.hottest(HOTTEST))
    return Rendered(count=stacks.total, unit=stacks.unit, hottest=hottest)


def aside(asked: Asked) -> Rendered:
    """Have a process of lowest priority do it. Raises UnavailableError with its words."""
    command = ["nice", "-n", "19", sys.executable, "-m", __name__]
    text = json.dumps(asdict(asked))
    try:
        done = subprocess.run(
            command, input=text, capture_output=True, text=True, timeout=WITHIN_S, check=True
        )
        return Rendered(**json.loads(done.stdout))
    except subprocess.CalledProcessError as error:
        said = (error.stderr.strip().splitlines() or [f"code {error.returncode}"])[-1]
        raise UnavailableError(f"what was recorded could not be drawn: {said}") from error
    except subprocess.TimeoutExpired as error:
        raise UnavailableError(f"it was not drawn within {WITHIN_S:.0f} s") from error
    except (ValueError, TypeError) as error:
        raise UnavailableError(f"what was drawn is not known: {error}") from error


def main() -> int:
    """Do what standard input asks for; return the exit code."""
    asked: dict[str, Any] = json.load(sys.stdin)
    try:
        print(json.dumps(asdict(render(Asked(**asked)))))
    except (HarnessError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

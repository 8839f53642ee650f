"""Pure functions from a judged run to text. Each renderer is a file and a row of FORMATS, loaded
when it is named.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from harness.choices import one_of
from harness.errors import UsageError

if TYPE_CHECKING:  # numpy and Arrow: a command that renders nothing must not wait for them
    from harness.checks.verdict import Verdict
    from harness.history.history import History
    from harness.reports.suite_part import SuitePart

# format → (module with a `render`, the file that `judge` writes into the run folder)
FORMATS: dict[str, tuple[str, str]] = {
    "html": ("harness.reports.html", "report.html"),
    "junit": ("harness.reports.junit", "junit.xml"),
    "markdown": ("harness.reports.markdown", "summary.md"),
    "csv": ("harness.reports.csv", "findings.csv"),
}


def render(
    format_: str,
    verdict: Verdict,
    facts: Mapping[str, Any],
    run: str,
    history: History | None = None,
    parts: Sequence[SuitePart] = (),
) -> str:
    """Render a verdict in one of FORMATS. Without `history` a report has no charts, but for those
    of a suite's `parts`. Raises UsageError for another format.
    """
    if format_ not in FORMATS:
        raise UsageError(f"format: {one_of(format_, FORMATS)}")
    module = importlib.import_module(FORMATS[format_][0])
    text: str = module.render(verdict, facts, run, history, parts)
    return text

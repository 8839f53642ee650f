"""CSV: one line a finding, with a header, for spreadsheets and databases.

A spreadsheet runs what begins like a formula, so such a cell begins with an apostrophe, as OWASP
advises; a number stays one.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping, Sequence
from typing import Any

from harness.checks.verdict import Verdict
from harness.history.history import History
from harness.reports.suite_part import SuitePart

COLUMNS = (
    "run",
    "scenario",
    "phase",
    "name",
    "answer",
    "promised",
    "measured",
    "value",
    "cause",
    "sentence",
    "source",
)


FORMULA = re.compile(r"\s*[=+\-@＝＋－＠]|[\t\r\n]")
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|[+-]?inf|nan")


def harmless(cell: str) -> str:
    """Return a cell that no spreadsheet takes for a formula; numbers are left as they are."""
    return f"'{cell}" if FORMULA.match(cell) and not NUMBER.fullmatch(cell) else cell


def render(
    verdict: Verdict,
    facts: Mapping[str, Any],
    run: str,
    history: History | None = None,
    parts: Sequence[SuitePart] = (),
) -> str:
    """Write the file's text; `value` is a number in the row's unit, empty where there is none."""
    del history, parts
    output = io.StringIO()
    writer = csv.writer(output, lineterminator="\n", quoting=csv.QUOTE_ALL)
    writer.writerow(COLUMNS)
    for one in verdict.findings:
        writer.writerow(
            harmless(cell)
            for cell in (
                run,
                facts["name"],
                one.phase or "",
                one.name,
                one.answer,
                one.promised,
                one.measured,
                "" if one.value is None else repr(float(one.value)),
                one.cause or "",
                one.sentence,
                one.source,
            )
        )
    return output.getvalue()

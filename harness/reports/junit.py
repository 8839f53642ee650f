"""JUnit XML: each row is a test case. FAIL is a failure, UNKNOWN an error and never a skip; a row
that nobody asked for is one; a row that promises nothing says so.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any
from xml.etree import ElementTree as ET

from harness.checks.verdict import Answer, Finding, Verdict
from harness.history.history import History
from harness.reports import headline
from harness.reports.suite_part import SuitePart

FORBIDDEN = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # XML 1.0 §2.2


def render(
    verdict: Verdict,
    facts: Mapping[str, Any],
    run: str,
    history: History | None = None,
    parts: Sequence[SuitePart] = (),
) -> str:
    """Write the file's text."""
    counts = verdict.counts()
    numbers = {
        "tests": str(len(verdict.findings)),
        "failures": str(counts[Answer.FAIL]),
        "errors": str(counts[Answer.UNKNOWN]),
        "skipped": str(counts[Answer.NOT_ASKED]),
    }
    root = ET.Element("testsuites", {"name": "p2p-harness", **numbers})
    suite = ET.SubElement(
        root,
        "testsuite",
        {
            "name": _text(str(facts["name"])),
            "timestamp": str(facts.get("started", ""))[:19],
            **numbers,
        },
    )
    properties = ET.SubElement(suite, "properties")
    for name, value in (
        ("run", run),
        ("answer", str(verdict.answer)),
        ("topology", facts["topology"]),
        ("runtime", facts["runtime"]["name"]),
        ("not-asked", headline.not_asked(verdict)),
        ("judged-by", str(facts.get(headline.JUDGED_BY, ""))),
        ("unsealed", headline.unsealed(history, parts)),
    ):
        if not value:
            continue
        ET.SubElement(properties, "property", name=name, value=_text(str(value)))
    for finding in verdict.findings:
        _case(suite, str(facts["name"]), finding)
    ET.indent(root)
    return ET.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _case(suite: ET.Element, name: str, finding: Finding) -> None:
    case = ET.SubElement(
        suite,
        "testcase",
        classname=_text(f"{name}.{finding.phase or 'run'}"),
        name=_text(finding.name),
        time="0",
    )
    said = _text(f"promised {finding.promised}, measured {finding.measured}: {finding.sentence}")
    if finding.answer is Answer.FAIL:
        ET.SubElement(case, "failure", type="FAIL", message=said)
    elif finding.answer is Answer.UNKNOWN:
        ET.SubElement(case, "error", type=str(finding.cause or "UNKNOWN"), message=said)
    elif finding.answer is Answer.NOT_ASKED:
        ET.SubElement(case, "skipped", message=said)
    else:
        ET.SubElement(case, "system-out").text = said


def _text(value: str) -> str:
    return FORBIDDEN.sub("\ufffd", value)

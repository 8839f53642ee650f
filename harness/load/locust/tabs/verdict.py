"""The "Verdict" tab: every row of the budget as of now, and the final verdict with its report."""

from __future__ import annotations

import json
from collections import Counter
from time import monotonic_ns
from typing import Any

from harness.history.plan import judged_of
from harness.load.locust.tabs import blocks, quantities
from harness.load.locust.tabs.blocks import Block
from harness.load.locust.tabs.desk import Desk
from harness.load.plan import RunPlan

COLUMNS = ("Row", "Answer", "Measured", "Promised", "Why")
LEVELS = {"PASS": "good", "FAIL": "bad", "UNKNOWN": "warn"}
ORDER = {"FAIL": 0, "UNKNOWN": 1, "PASS": 2, "MEASURED": 3}  # worst first
REPORT = "report.html"


def view(desk: Desk, wanted: str) -> list[Block]:
    """The tab; `wanted`: only rows whose name or answer has this."""
    if desk.run is None:
        return [blocks.text("no run was begun yet")]
    final = _final(desk)
    if final is not None:
        head = [blocks.text(f"{final['answer']}: the final verdict", LEVELS[final["answer"]])]
        if (desk.run / REPORT).is_file():
            head.append(blocks.link("./p2p/report", "the report of this run"))
        return [*head, *_rows(final, wanted)]
    if desk.master.plan is None:  # over, and its judge has said nothing that is written down
        again = f"`harness judge {desk.run}` tells why"
        return [blocks.text(f"UNKNOWN: the run is over and has no verdict; {again}", "warn")]
    newest = desk.judge.newest
    if newest is None:
        why = desk.judge.problem or "the first look of the judge is not there yet"
        return [blocks.text(f"UNKNOWN: {why}", "warn")]
    so_far = newest["verdict"]
    if newest["is_final"]:
        what = "the run is over"
    elif desk.master.is_over:
        what = "so far; the run is over and is being judged, nothing is final"
    else:
        what = "so far; the run goes on, nothing is final"
    said = f"{so_far['answer']}, {quantities.seconds(newest['at_s'])} into the run: {what}"
    head = [blocks.text(said, LEVELS[so_far["answer"]]), *_under_way(desk.master.plan)]
    problem = [blocks.text(desk.judge.problem, "warn")] if desk.judge.problem else []
    return [*head, *problem, *_rows(so_far, wanted)]


def _under_way(plan: RunPlan) -> list[Block]:
    """Say which phase goes on, what it is for, and what is judged of it; nothing of the one phase
    of a load by hand.
    """
    now_ns = monotonic_ns()
    for phase, (begin_ns, end_ns) in zip(plan.phases, plan.bounds_ns(), strict=True):
        if end_ns is not None and begin_ns <= now_ns < end_ns:
            kind = f" ({phase.kind})" if phase.kind is not None else ""
            left = (
                f"{'at most ' if phase.until else ''}{quantities.seconds((end_ns - now_ns) / 1e9)}"
            )
            until = f", until {phase.until}" if phase.until else ""
            judged = judged_of(phase.kind, phase.until)
            said = f"phase {phase.name}{kind}{until}, {left} left; judged of it: {judged}"
            return [blocks.text(said, "soft")]
    return []


def newest(desk: Desk) -> tuple[str, list[dict[str, Any]]]:
    """The newest findings of this run, and as of when they are; none where nobody has judged."""
    final = None if desk.run is None else _final(desk)
    if final is not None:
        return "the final verdict", final["findings"]
    if desk.run is None or desk.judge.newest is None:
        return "", []
    seen = desk.judge.newest
    return f"as of {quantities.seconds(seen['at_s'])} into the run", seen["verdict"]["findings"]


def told(desk: Desk) -> dict[str, str] | None:
    """Say the newest run's verdict in a line, with a link to its report, or that it is being
    judged; None while it goes on, and of a run that came to nothing.
    """
    if desk.run is None:
        return None
    if desk.master.plan is not None:
        judging = {"text": "the run is over, and is being judged", "level": "soft"}
        return judging if desk.master.is_over else None
    final = _final(desk)
    if final is None:
        return None
    answer = final["answer"]
    why = next((one for one in final["findings"] if one["answer"] == answer != "PASS"), None)
    said = f"{answer}: the verdict of {desk.run.parent.name} {desk.run.name}"
    said += f"; {_name(why)}: {_why(why)}" if why else ""
    report = {"href": "./p2p/report"} if (desk.run / REPORT).is_file() else {}
    return {"text": said, "level": LEVELS[answer], **report}


def _final(desk: Desk) -> dict[str, Any] | None:
    """The verdict that the folder holds; None while the run goes on, or is being judged."""
    assert desk.run is not None
    if desk.master.plan is not None:
        return None
    try:
        found: dict[str, Any] = json.loads((desk.run / "verdict.json").read_text())
    except (OSError, ValueError):
        return None
    return found


def _rows(verdict: dict[str, Any], wanted: str) -> list[Block]:
    findings = verdict["findings"]
    counts = Counter(finding["answer"] for finding in findings)
    said = ", ".join(f"{count} {answer}" for answer, count in sorted(counts.items()))
    rows = [
        row(finding)
        for finding in sorted(findings, key=lambda one: ORDER.get(one["answer"], 4))
        if wanted in f"{_name(finding)} {finding['answer']}"
    ]
    of = verdict["rows"]
    judged = f"{of['judged']} of {of['of']} rows of the budget judged; "
    told = f"{judged if of['of'] else ''}{len(findings)} findings: {said}"
    return [blocks.text(told), blocks.table(COLUMNS, rows)]


def row(finding: dict[str, Any]) -> Block:
    """The row of a finding."""
    return blocks.row(
        _name(finding),
        blocks.marked(finding["answer"], LEVELS.get(finding["answer"], "soft")),
        str(finding.get("measured") or quantities.NOTHING),
        str(finding.get("promised") or quantities.NOTHING),
        _why(finding),
    )


def _why(finding: dict[str, Any]) -> str:
    return ": ".join(str(finding[key]) for key in ("cause", "sentence") if finding.get(key))


def _name(finding: dict[str, Any]) -> str:
    return ", ".join(str(finding[key]) for key in ("name", "phase") if finding.get(key))

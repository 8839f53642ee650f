from __future__ import annotations

import pytest

from harness.checks.verdict import Answer, Finding, Verdict
from harness.reports import soak

FACTS = {
    "name": "soak-x",
    "nodes": [],
    "topology": "x",
    "adapter": "meshnode",
    "runtime": {"name": "netns"},
    "host": {"cores": 2, "cpu": "c", "kernel": "k"},
    "seed": 1,
}
ROW = {
    "number": 1,
    "seconds": 600.0,
    "began_s": 0.0,
    "stage": "played",
    "answer": "PASS",
    "counts": {},
    "faults": ["cut halves"],
    "pause_s": None,
    "page": None,
    "summary": "windows/0001/summary.txt",
    "raw": False,
    "problem": "",
    "notes": ["<b>no churn</b>"],
}
DETAILS = {
    "asked": {"raw_s": 3600.0},
    "windows": [
        ROW,
        {**ROW, "number": 2, "page": "windows/0002/x/t/report.html", "raw": True, "pause_s": 7.0},
        {**ROW, "number": 3, "answer": None, "stage": "not begun", "summary": None},
    ],
    "slopes": [{"of": "n", "resource": "rss", "leaks": True, "says": "n: rss +2.0 MB/h"}],
    "series": 44,
    "pauses": {"mean_s": 7.0, "most_s": 9.5, "total_s": 14.0},
    "cost": {
        "bytes": 22_900_000,
        "planned_bytes": 50_400_000,
        "raw_bytes_an_hour": 83.9e6,
        "summary_bytes_an_hour": 1.2e6,
        "after_all": {"bytes": 23e6, "low": 22e6, "high": 23.4e6, "for_s": 960.0},
        "after_8h": {"bytes": 1.2e9, "low": 1.1e9, "high": 1.3e9, "for_s": 28_800.0},
    },
}
PASSED = Finding(name="x", answer=Answer.PASS, promised="", measured="", sentence="")


def test_a_page_links_what_is_kept_and_escapes():
    page = soak.render(Verdict(findings=(PASSED,)), FACTS, "runs/x", DETAILS)
    assert "<a href='windows/0002/x/t/report.html'>2</a>" in page
    assert "<a href='windows/0001/summary.txt'>1</a>" in page
    assert "href='None'" not in page
    assert "&lt;b&gt;no churn" in page
    assert "<b>no churn" not in page
    assert "not judged" in page
    assert "44 series were looked at" in page


def test_the_cost_is_told_with_its_interval():
    said = list(soak.costs(DETAILS))
    assert said[0] == "Its folder holds 22.9 MB; 50.4 MB at most were planned."
    assert "8 h would take 1.2 GB [1.1, 1.3]." in said
    assert "16 min would take 23 MB [22, 23.4]." in said
    assert said[-1] == (
        "Between windows no load was sent for 7.0 s on average, 9.5 s at most, 14 s in all."
    )


@pytest.mark.parametrize(
    ("one", "said"),
    [
        ({"bytes": 104e6, "low": 96e6, "high": 112e6}, "8 h would take 104 MB [96, 112]."),
        (
            {"bytes": 950.0, "low": None, "high": None},
            "8 h would take 950 B (too few windows for an interval).",
        ),
    ],
)
def test_an_extrapolation(one, said):
    assert soak.extrapolated({**one, "for_s": 28_800.0}) == said

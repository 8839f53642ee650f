from __future__ import annotations

import pytest
from kit.run_folders import good

from harness.experiments import judge
from harness.experiments.soak import summary
from harness.operations import Outcome


def test_a_summary_has_all_operations_of_a_run(tmp_path):
    judged = judge.judge(good(tmp_path))
    made = summary.summary(3, judged.history, judged.facts, judged.verdict)
    assert made["answer"] == str(judged.verdict.answer)
    assert sum(made["counts"].values()) == len(judged.verdict.findings)
    assert made["t0_ns"] == judged.facts["t0_ns"]
    assert made["over_ns"] > made["t0_ns"]
    rows = made["minutes"]
    assert sum(row["due"] for row in rows) == judged.history.operations.num_rows
    for row in rows:
        assert row["due"] == sum(row[word.name] for word in Outcome)
        assert ("p50_ms" in row) == (row["OK"] > 0)
        if "p50_ms" in row:
            assert 0 < row["p50_ms"] <= row["p99_ms"]


@pytest.mark.parametrize("minute_ns", [1_000_000_000, 60_000_000_000])
def test_minutes_are_counted_from_the_runs_clock(tmp_path, monkeypatch, minute_ns):
    monkeypatch.setattr(summary, "MINUTE_NS", minute_ns)
    judged = judge.judge(good(tmp_path))
    rows = summary.minutes(judged.history, judged.facts["t0_ns"])
    due_ns = judged.history.column("intended_ns") - judged.facts["t0_ns"]
    assert {row["minute"] for row in rows} == set((due_ns // minute_ns).tolist())

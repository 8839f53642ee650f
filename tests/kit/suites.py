"""Run folders of a suite's parts, made by hand: ten seconds of samples, 100 MB at each node."""

from __future__ import annotations

import pyarrow as pa

from harness.history import history as h
from harness.history.events import PhaseBegan, PhasesOver, RunEnded
from harness.history.folder import RunFolder
from kit.histories import SECOND, sample
from kit.verdicts import FACTS

PLAN = {"t0_ns": SECOND, "plan": [{"name": "load", "begin_s": 0.0, "end_s": 10.0}]}


def part_run(runs, name, bound_mb, *, planned=False):
    """The run folder of a part whose own budget promises so much; `planned`: it says its phase."""
    folder = RunFolder(runs, name)
    folder.write_text("budget.toml", BUDGET.format(bound=bound_mb, name=name))
    folder.write_json(
        "metadata.json",
        {
            **FACTS,
            "version": 1,
            "name": name,
            "load": {},
            **(PLAN if planned else {}),
            "nodes": [{"name": "n", "wire_id": "00" * 32}],
        },
    )
    folder.event(PhaseBegan(at_ns=SECOND, phase="load", planned_ns=SECOND))
    folder.event(PhasesOver(at_ns=11 * SECOND))
    folder.event(RunEnded())
    rows = [sample(1 + at, 0, rss_bytes=100_000_000) for at in range(10)]
    folder.append("samples.arrow", pa.RecordBatch.from_pylist(rows, h.SAMPLES))
    folder.close()
    return folder.path


BUDGET = """
[[row]]
name = "memory"
metric = "rss"
statistic = "max"
unit = "MB"
bound = {bound}
phase = "load"
scenario = "{name}"
"""

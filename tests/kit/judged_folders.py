"""Folders of judged runs without their records: what the history reads of them."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

FIRST = datetime(2026, 3, 1, 2, 0, tzinfo=UTC)
HOST = {"cpu": "a CPU", "cores": 2, "machine": "x86_64", "kernel": "6.18", "python": "3.11"}
STREAMS = [{"phase": "load", "operation": "private_message", "rate_per_s": 10.0}]


def row(value: float | None, answer: str = "PASS", **changes: Any) -> dict[str, Any]:
    """A finding of verdict.json: a latency."""
    return {
        "name": "p95",
        "answer": answer,
        "promised": "< 50 ms",
        "measured": f"{value} ms",
        "sentence": "said",
        "cause": "host limited" if answer == "UNKNOWN" else None,
        "phase": "load",
        "value": value,
        "source": "",
        "metric": "private_message.end_to_end",
        "statistic": "p95",
        "unit": "ms",
        "bound": 50.0,
        **changes,
    }


def metadata(name: str, begun: datetime, **changes: Any) -> dict[str, Any]:
    """metadata.json, as far as the history reads it."""
    return {
        "version": 1,
        "name": name,
        "started": begun.isoformat(),
        "t0_ns": int(begun.timestamp() * 1e9),
        "cluster": "main",
        "adapter": "meshnode",
        "topology": "cluster-3",
        "nodes": [{}, {}, {}],
        "runtime": {"name": "netns"},
        "host": {**HOST, "versions": {"meshnode": "0.1.0"}},
        "network": {"tcp_congestion_control": "bbr"},
        "load": {"workers": [{}], "streams": STREAMS},
        "plan": [{"name": "load", "begin_s": 0.0, "end_s": 10.0}],
        **changes,
    }


def run(
    root: Path,
    number: int,
    rows: Sequence[Mapping[str, Any]],
    *,
    name: str = "small",
    answer: str = "PASS",
    folder: Path | None = None,
    latest: bool = True,
    **facts: Any,
) -> Path:
    """The folder of the run of day `number`, judged when it had been played."""
    begun = FIRST + timedelta(days=number)
    path = folder or root / name / begun.strftime("%Y-%m-%dT%H-%M-%S")
    path.mkdir(parents=True)
    (path / "metadata.json").write_text(json.dumps(metadata(name, begun, **facts)))
    judge(path, rows, answer, begun)
    if latest:
        point(root, path)
    return path


def judge(path: Path, rows: Sequence[Mapping[str, Any]], answer: str, when: datetime) -> None:
    """Write a verdict, with the time at which that was."""
    said = {"version": 1, "run": str(path), "answer": answer, "findings": list(rows)}
    (path / "verdict.json").write_text(json.dumps(said))
    at_s = when.timestamp() + 60
    for one in path.iterdir():
        os.utime(one, (at_s, at_s))


def point(root: Path, path: Path) -> None:
    """Point ``latest`` at a folder."""
    (root / "latest").unlink(missing_ok=True)
    (root / "latest").symlink_to(path.relative_to(root))


def suite(root: Path, number: int, parts: Mapping[str, Path], answer: str = "PASS") -> Path:
    """The folder of a suite of these parts."""
    begun = FIRST + timedelta(days=number)
    path = root / "all" / begun.strftime("%Y-%m-%dT%H-%M-%S")
    path.mkdir(parents=True)
    relative = {name: os.path.relpath(part, path) for name, part in parts.items()}
    (path / "suite.json").write_text(json.dumps({"version": 1, "name": "all", "parts": relative}))
    judge_suite(path, answer, begun)
    return path


def judge_suite(path: Path, answer: str, when: datetime) -> None:
    """Write the verdict of a suite."""
    said = {"version": 1, "answer": answer, "findings": [row(9.0, phase="small/load")]}
    (path / "verdict.json").write_text(json.dumps(said))
    at_s = when.timestamp() + 60
    for one in path.iterdir():
        os.utime(one, (at_s, at_s))


def soak(root: Path, number: int, values: Sequence[float]) -> Path:
    """The folder of a soak, with a window for each value, whose runs are gone."""
    begun = FIRST + timedelta(days=number)
    path = root / "steady" / begun.strftime("%Y-%m-%dT%H-%M-%S")
    (path / "inputs").mkdir(parents=True)
    (path / "inputs" / "scenario.toml").write_text("seed = 1")
    asked = {"name": "steady", "for_s": 1200.0, "started": begun.isoformat(), "cluster": "main"}
    (path / "soak.json").write_text(json.dumps({"version": 1, "workers": 1, **asked}))
    facts = metadata("steady", begun)
    kept = {key: facts[key] for key in ("host", "nodes", "topology", "adapter", "runtime")}
    (path / "facts.json").write_text(json.dumps(kept))
    for place, value in enumerate(values, 1):
        window, at = path / "windows" / f"{place:04}", begun + timedelta(minutes=10 * place)
        window.mkdir(parents=True)
        said = {"started": at.isoformat(), "t0_ns": place}
        (window / "summary.json").write_text(json.dumps(said))
        (window / "window.json").write_text(json.dumps({"number": place, "seconds": 600.0}))
        judge(window, [row(value)], "PASS", at)
    judge_suite(path, "PASS", begun)
    return path

"""A bench whose times were missed while other processes had the host says that it does not know."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest

from harness.experiments import bench

BUDGET = """[[row]]
name = "{name}"
metric = "project.{name}"
statistic = "max"
bound = {bound}
unit = "{unit}"
phase = "bench"
"""
CORES = 2
WHOLE_NS = 20_000_000_000  # both cores, over ten seconds


@pytest.fixture
def judged(tmp_path, monkeypatch):
    """Judge a set-up of 200 s, promised in 120, and a wheel of 11 MB, promised in 10."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(CORES)))

    def judge(host, setup_s=200):
        budget = tmp_path / "b.toml"
        rows = (("setup", 120, "s"), ("wheel", 10, "MB"))
        budget.write_text(
            "".join(BUDGET.format(name=name, bound=bound, unit=unit) for name, bound, unit in rows)
        )
        found = bench.record(
            "mine",
            {"project.setup": [setup_s * 1e9], "project.wheel": [11e6]},
            budget=budget,
            runs=tmp_path / "runs",
            begun_ns=time.monotonic_ns() - 20_000_000_000,
            runtime={"name": "host"},
            host=host,
        )
        by_name = {one.name: one for one in found.verdict.findings}
        assert by_name["wheel"].answer == "FAIL"  # no host makes it larger
        return by_name["setup"]

    return judge


def used(busy, own):
    """What was said of the host at two moments ten seconds apart; shares of both cores."""
    now_ns = time.monotonic_ns()
    return [
        {
            **bench.host_use(),
            "at_ns": now_ns - age_ns,
            "cpu_busy_ns": round(gained * busy * WHOLE_NS),
            "cpu_steal_ns": 0,
            "load_cpu_ns": [(bench.PHASE, round(gained * own * WHOLE_NS))],
        }
        for age_ns, gained in ((11_000_000_000, 0), (1_000_000_000, 1))
    ]


def test_others_had_the_host(judged):
    found = judged(used(busy=0.98, own=0.3))
    assert (found.answer, found.cause) == ("UNKNOWN", "host limited")
    assert "68% of the host" in found.sentence
    assert judged(used(busy=0.98, own=0.3), setup_s=100).answer == "PASS"


@pytest.mark.parametrize("busy", [0.5, 0.98])
def test_a_bench_that_is_slow_by_itself_is_missed(judged, busy):
    assert judged(used(busy=busy, own=busy - 0.05)).answer == "FAIL"


def test_who_does_not_say_how_the_host_was_used_is_not_excused(judged):
    assert judged([]).answer == "FAIL"


def test_what_a_child_took_is_its_own():
    """That of others is not; and a child counts with what it started."""
    spin = "import time; end = time.process_time() + 0.3\nwhile time.process_time() < end: pass"
    start = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {spin!r}])"
    before = bench.host_use()
    subprocess.run([sys.executable, "-c", start], check=True)
    after = bench.host_use()
    own_ns = [dict(one["load_cpu_ns"])[bench.PHASE] for one in (before, after)]
    assert own_ns[1] - own_ns[0] >= 300_000_000
    assert after["cpu_busy_ns"] - before["cpu_busy_ns"] >= 250_000_000

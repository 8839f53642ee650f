"""A load worker against null nodes: real processes and sockets, without Locust."""

from __future__ import annotations

import pytest

from harness.errors import UnavailableError
from harness.experiments.trial import Trial, measure
from harness.systems.null_nodes import null_nodes


@pytest.mark.parametrize("rate_per_s", [500, 6_000])
def test_each_operation_is_answered_once(tmp_path, rate_per_s):
    """Below 2,000 a second each is sent by itself; above it they are sent together."""
    with null_nodes(tmp_path, 5):
        trial = Trial(folder=str(tmp_path), nodes=5, rate_per_s=rate_per_s, seconds=1)
        found = measure(trial)
    assert (found.asked, found.ok) == (rate_per_s, rate_per_s)
    assert found.lag_p50_us is not None
    assert found.p50_us is not None
    assert found.lag_p50_us <= found.p50_us
    assert found.per_cpu_second > 0


def test_null_nodes_end_with_their_user(tmp_path):
    with null_nodes(tmp_path, 2) as process:
        pass
    assert process.returncode == 0


def test_without_nodes_nothing_is_answered(tmp_path):
    found = measure(Trial(folder=str(tmp_path), nodes=3, rate_per_s=100, seconds=0.5))
    assert (found.asked, found.ok, found.p50_us) == (50, 0, None)


def test_a_worker_that_breaks_is_an_error(tmp_path):
    with pytest.raises(UnavailableError, match="the load worker of a trial ended with code"):
        measure(Trial(folder=str(tmp_path), nodes=1, rate_per_s=100))

"""Default rates of a plain `locust`: as documented up to a hundred nodes, what fits above."""

from __future__ import annotations

import pytest

from harness.load.locust import default_rates, options
from harness.operations import Operation


def test_small_clusters_get_the_documented_rates_on_any_host():
    assert [default_rates.share(nodes, 0.1) for nodes in (2, 10, 100)] == [1, 1, 1]


def test_a_large_cluster_gets_what_fits_it_and_the_host():
    found = [default_rates.share(1000, cores) for cores in (2, 1, 32)]
    assert found == pytest.approx([0.01, 0.005, 0.16])
    assert default_rates.share(200, 64.0) == 1
    assert default_rates.share(10_000, 0.0) > 0


def test_a_rate_that_fits_is_a_default_and_not_asked_for(monkeypatch):
    monkeypatch.setattr(default_rates, "share_here", lambda: 0.0123)
    assert default_rates.rate(100.0) == 1.2
    given = type("Given", (), {"broadcast_rate": 0.025, "private_message_rate": 100.0})
    assert not options.is_asked_for(given, Operation.BROADCAST)
    assert options.is_asked_for(given, Operation.PRIVATE_MESSAGE)

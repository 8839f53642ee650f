"""A family of metrics, as the modules beside this one make them of what was seen.

Names are those of Prometheus: base units at their end (_seconds, _bytes), _total for what only
rises. A family without a sample is left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)

from harness.monitoring.counts import BOUNDS_S, Times

Samples = Iterable[tuple[Sequence[str], float | None]]  # values of the labels, value


def gauge(name: str, says: str, labels: Sequence[str], samples: Samples) -> Metric:
    """A family of values that rise and fall; None is not told."""
    made = GaugeMetricFamily(name, says, labels=labels)
    for values, value in samples:
        if value is not None:
            made.add_metric(values, value)
    return made


def counter(name: str, says: str, labels: Sequence[str], samples: Samples) -> Metric:
    """A family of totals; None is not told. `name` without its _total."""
    made = CounterMetricFamily(name, says, labels=labels)
    for values, value in samples:
        if value is not None:
            made.add_metric(values, value)
    return made


def value(name: str, says: str, known: float | None) -> Metric:
    """A gauge without labels."""
    return gauge(name, says, (), [((), known)])


def total(name: str, says: str, known: float | None) -> Metric:
    """A counter without labels."""
    return counter(name, says, (), [((), known)])


def states(of: str, possible: Iterable[str], *labels: str) -> list[tuple[Sequence[str], float]]:
    """The samples of a state set: 1 for the one that is so, 0 for the others."""
    return [((*labels, one), float(one == of)) for one in possible]


def times(name: str, says: str, by_label: str, found: Mapping[str, Times]) -> Metric:
    """A histogram, by one label."""
    made = HistogramMetricFamily(name, says, labels=[by_label])
    for label, each in found.items():
        sums, upto = [], 0
        for bound, count in zip((*map(str, BOUNDS_S), "+Inf"), each.counts, strict=True):
            upto += int(count)
            sums.append((bound, float(upto)))
        made.add_metric([label], sums, each.sum_ns / 1e9)
    return made

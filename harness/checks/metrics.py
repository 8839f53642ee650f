"""The metrics that a budget's row may name: one table, put together from those of
operations, nodes, resources and benches.
"""

from __future__ import annotations

from harness.checks.measurements import MEASURED_METRICS
from harness.checks.metric import Metric
from harness.checks.node_metrics import NODE_METRICS
from harness.checks.operation_metrics import OPERATION_METRICS
from harness.checks.resource_metrics import RESOURCE_METRICS

METRICS: dict[str, Metric] = {
    **OPERATION_METRICS,
    **NODE_METRICS,
    **RESOURCE_METRICS,
    **MEASURED_METRICS,
}

"""Starting a cluster."""

from __future__ import annotations

import subprocess
import sys


def test_what_starts_a_cluster_loads_nothing_that_judges():
    """It would be a third of what `harness up` imports before anything starts."""
    code = (
        "import sys, harness, harness.cli.cluster; harness.down; "
        "print(*(name for name in sys.modules "
        "if name.startswith(('harness.checks', 'harness.reports.html', 'pyarrow'))))"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.split() == []

"""Locust's rates are those of the load: from t0 to its stop, however late the last answers come."""

from __future__ import annotations

import json
import subprocess
import sys

FEED = """
import json, time
import numpy as np
from locust.env import Environment
from harness.load.locust.statistics import feed, wall_s
from harness.operations import Operation

environment = Environment(user_classes=[])
environment.create_local_runner()
environment.stats.clear_all()
began_s = time.time() - 76  # 66 s of load, and 10 s until the last operation timed out
rows = np.zeros((6600, 11), np.int64)
rows[:, 3], rows[:, 4], rows[:, 6], rows[:, 10] = 1, 10**9, 10**9 + 47_000, -1
feed(environment.stats, Operation.PRIVATE_MESSAGE, rows, [], since_s=began_s, until_s=began_s + 66)
entry = environment.stats.entries["private_message", "P2P"]
print(json.dumps([entry.total_rps, environment.stats.total.total_rps, time.time() - wall_s(
    time.monotonic_ns())]))
"""


def test_what_ends_after_the_load_does_not_thin_its_rate():
    done = subprocess.run(
        [sys.executable, "-c", FEED], check=True, stdout=subprocess.PIPE, text=True
    )
    of_operation, total, apart_s = json.loads(done.stdout.splitlines()[-1])
    assert round(of_operation, 6) == round(total, 6) == 100.0
    assert abs(apart_s) < 1

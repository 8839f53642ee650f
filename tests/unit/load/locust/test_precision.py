"""47 µs is 0.047 ms wherever Locust shows it. In a subprocess: importing locust patches the
interpreter.
"""

from __future__ import annotations

import csv
import io
import json
import re
import subprocess
import sys

import pytest

SHOW = """
import csv, io, json, sys
from harness.load.locust import precision
precision.install()
import numpy as np
from locust import stats as locust_stats
from locust.env import Environment
from locust.html import get_html_report
from harness.load.locust.statistics import feed
from harness.operations import Operation

environment = Environment(user_classes=[])
environment.create_local_runner()
environment.stats.clear_all()
rows = np.zeros((1000, 11), np.int64)
rows[:, 0], rows[:, 3], rows[:, 4], rows[:, 6], rows[:, 10] = 1, 256, 10**9, 10**9 + 47_000, -1
rows[990:, 7], rows[990:, 10] = 2, 0
feed(environment.stats, Operation.PRIVATE_MESSAGE, rows, ["no answer within 10 ms"],
     since_s=environment.stats.start_time, until_s=float("inf"))
written = io.StringIO()
writer = locust_stats.StatsCSV(environment, locust_stats.PERCENTILES_TO_REPORT)
writer.requests_csv(csv.writer(written))
failures = io.StringIO()
writer.failures_csv(csv.writer(failures))
entry = environment.stats.entries["private_message", "P2P"]
print(json.dumps({
    "csv": written.getvalue(), "failures": failures.getvalue(), "ui": entry.to_dict(),
    "console": locust_stats.get_stats_summary(environment.stats, current=False),
    "percentiles": locust_stats.get_percentile_stats_summary(environment.stats),
    "html": get_html_report(environment), "json": environment.stats.serialize_stats(),
}))
"""


@pytest.fixture(scope="module")
def shown():
    done = subprocess.run([sys.executable, "-c", SHOW], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_csv(shown):
    for row in csv.DictReader(io.StringIO(shown["csv"])):
        assert row["Request Count"] == "1000"
        assert row["Failure Count"] == "10"
        for column in (
            "Median Response Time",
            "Min Response Time",
            "Max Response Time",
            "50%",
            "95%",
            "99.9%",
            "100%",
        ):
            assert float(row[column]) == 0.047, column
        assert float(row["Average Response Time"]) == pytest.approx(0.047)


def test_web_ui(shown):
    ui = shown["ui"]
    assert ui["min_response_time"] == ui["max_response_time"] == ui["median_response_time"] == 0.047
    assert ui["response_time_percentile_0.99"] == 0.047
    assert ui["avg_content_length"] == 256


def test_console(shown):
    line = next(line for line in shown["console"] if "private_message" in line)
    assert re.findall(r"(?<=[ |])0\.047(?= )", line) == ["0.047"] * 4
    percentiles = next(line for line in shown["percentiles"] if "private_message" in line)
    assert percentiles.split()[2:] == ["0.047"] * 11 + ["1000"]


def test_html(shown):
    arguments = json.loads(
        re.search(
            r"window\.templateArgs = (\{.*?\})\s*(?:;|window|</script>)", shown["html"], re.DOTALL
        )[1]
    )
    told = arguments["response_time_statistics"][0]
    assert {told[key] for key in ("0.5", "0.99", "1.0")} == {0.047}
    assert arguments["requests_statistics"][0]["max_response_time"] == 0.047


def test_json_and_failures(shown):
    entry = next(each for each in shown["json"] if each["name"] == "private_message")
    assert entry["response_times"] == {"0.047": 990}
    assert "UNKNOWN: no answer within 10 ms,10," in shown["failures"]


def test_another_locust_is_refused():
    code = """
import locust
locust.__version__ = "3.0.0"
from harness.errors import HarnessError
from harness.load.locust import precision
try:
    precision.install()
except HarnessError as error:
    print(error)
locust.__version__ = "2.47.9"
locust.stats.StatsEntry.percentile = lambda self, extra: None
try:
    precision.install()
except HarnessError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert re.fullmatch(
        r".*expected version 2\.47\.x.*found 3\.0\.0\n.*StatsEntry\.percentile.*found \['self', "
        r"'extra'\]\n",
        done.stdout,
    )

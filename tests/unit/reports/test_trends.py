"""The page and the table of the history: every row, what got worse first, nothing from outside."""

from __future__ import annotations

import csv
import io
import json
import math
import re
from html.parser import HTMLParser
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from kit import judged_folders as folders

from harness.errors import UsageError
from harness.history.entry import of_folder
from harness.history.series import series
from harness.reports import history_export, text, trend_table
from harness.reports.html import trends
from harness.reports.svg import trend as drawing

EVIL = "<script>alert(1)</script>\x1b[31m[bold]=1+1"


def entries(root, *, evil=""):
    """Twenty runs: a latency that drifts, one of which is UNKNOWN, a share, and a check."""
    rng = np.random.default_rng(1)
    made = []
    for number in range(20):
        drifting = 20 * 1.02**number * (1 + 0.01 * rng.normal(0, 1))
        unknown = number == 7
        rows = [
            folders.row(drifting, "UNKNOWN" if unknown else "PASS", name=f"p95{evil}"),
            folders.row(
                99.0, name="share", metric="x.delivered", unit="%", promised="≥", bound=None
            ),
            folders.row(
                None, "FAIL" if number == 19 else "PASS", name="check", metric="", bound=None
            ),
        ]
        host = {**folders.HOST, "versions": {"meshnode": "2" if number > 9 else "1"}}
        path = folders.run(root, number, rows, host=host)
        made.append(of_folder(path, root))
    return made


@pytest.fixture
def found(tmp_path):
    return series(entries(tmp_path))


class Loads(HTMLParser):
    def __init__(self):
        super().__init__()
        self.found, self.ids, self.links = [], [], []

    def handle_starttag(self, _, attributes):
        said = dict(attributes)
        self.found += [said[key] for key in ("src", "data", "poster") if key in said]
        self.ids += [said["id"]] if "id" in said else []
        self.links += [said["href"]] if "href" in said else []


def test_the_page_asks_the_network_for_nothing_and_its_links_lead_somewhere(found):
    loads = Loads()
    page = trends.render(found, "runs")
    loads.feed(page)
    assert loads.found == []
    assert "default-src 'none'" in page
    assert all(link.startswith("#") and link[1:] in loads.ids for link in loads.links)
    assert len(loads.ids) == len(set(loads.ids))


def test_what_got_worse_comes_first(found):
    page = trends.render(found, "runs")
    first = page.split("What got worse</h2>")[1].split("</ul>")[0]
    assert re.search(r"small: p95 \(load\)</a>: drifts \+[12]\.\d% a run", first)
    assert "share" not in first


def test_every_row_has_its_picture(found):
    page = trends.render(found, "runs")
    assert page.count("<figure") == 2
    assert page.count('class="strip"') == 1
    assert "promised &lt; 50 ms" in page


def test_a_picture_marks_what_is_not_known_and_what_changed(found):
    one = next(each for each in found if each.key.name == "p95")
    picture = drawing.draw(one, one.degraded())
    tree = ET.fromstring(picture)
    dots = [each for each in tree.iter("circle") if each.get("class", "").startswith("dot")]
    assert len(dots) == 20
    assert [each.get("class") for each in dots].count("dot doubt") == 1
    assert picture.count('class="news"') == 1
    assert "meshnode 1 → 2" in picture
    assert picture.count('class="change worse"') == 1
    assert picture.count('class="bound"') == 1
    line = next(each.get("d") for each in tree.iter("path") if each.get("class") == "line c0")
    assert line.count("M") == 2, "the unknown run leaves a gap"


@pytest.mark.parametrize("values", [[5.0], [0.0] * 3, [math.inf] * 3, [-3.0, 4.0], [1e-12, 1e12]])
def test_any_values_can_be_drawn(tmp_path, values):
    made = [
        of_folder(folders.run(tmp_path, number, [folders.row(value)]), tmp_path)
        for number, value in enumerate(values)
    ]
    [one] = series(made)
    assert "nan" not in drawing.draw(one, ())
    ET.fromstring(drawing.draw(one, ()))
    assert text.to_text(trend_table.render([one]))


def test_what_a_run_says_is_no_markup(tmp_path):
    made = series(entries(tmp_path, evil=EVIL))
    page = trends.render(made, "runs")
    assert "<script>alert" not in page
    said = text.to_text(trend_table.render(made))
    assert "alert(1)" in said
    assert "\x1b" not in said


def test_the_table_says_the_same(found):
    said = text.to_text(trend_table.render(found))
    assert "1 of 3 rows got worse and stayed so" in said
    assert "▁" in said
    assert "✓✕" in said


def test_an_empty_history_has_a_page(tmp_path):
    assert "Nothing that lasts" in trends.render([], "runs")
    assert "0 of 0 rows" in text.to_text(trend_table.render([]))


def test_benchmarks_are_what_the_action_reads(tmp_path):
    made = entries(tmp_path)
    smaller = json.loads(history_export.as_benchmarks(made, history_export.SMALLER))
    bigger = json.loads(history_export.as_benchmarks(made, history_export.BIGGER))
    assert [one["name"].partition(" @ ")[0] for one in smaller] == ["small / load / p95"]
    assert [one["name"].partition(" @ ")[0] for one in bigger] == ["small / load / share"]
    [one] = smaller
    assert set(one) == {"name", "unit", "value", "range", "extra"}
    assert one["unit"] == "ms"
    assert one["value"] == made[-1].rows[0].value
    assert re.fullmatch(r"± [\d.]+", one["range"])
    assert made[-1].run in one["extra"]


def test_what_is_not_known_is_no_benchmark(tmp_path):
    for number, row in enumerate([folders.row(3.0), folders.row(math.inf, "FAIL")]):
        folders.run(tmp_path, number, [row])
    paths = sorted((tmp_path / "small").iterdir())
    made = [of_folder(path, tmp_path) for path in paths]
    assert json.loads(history_export.as_benchmarks(made, history_export.SMALLER)) == []
    with pytest.raises(UsageError, match="customSmallerIsBetter"):
        history_export.as_benchmarks(made, "smaller")


def test_hosts_are_told_apart_in_the_names_of_benchmarks(tmp_path):
    here = of_folder(folders.run(tmp_path, 0, [folders.row(3.0)]), tmp_path)
    host = {**folders.HOST, "kernel": "6.19"}
    there = of_folder(folders.run(tmp_path, 1, [folders.row(3.0)], host=host), tmp_path)
    names = [
        json.loads(history_export.as_benchmarks([one], history_export.SMALLER))[0]["name"]
        for one in (here, there)
    ]
    assert len(set(names)) == 2
    [newest] = json.loads(history_export.as_benchmarks([here, there], history_export.SMALLER))
    assert newest["name"] == names[1]


def test_csv_has_a_line_a_row(tmp_path):
    made = entries(tmp_path, evil=EVIL)
    lines = list(csv.DictReader(io.StringIO(history_export.as_csv(made))))
    assert len(lines) == 60
    assert float(lines[0]["value"]) == made[0].rows[0].value
    assert "kernel=6.18" in lines[0]["environment"]

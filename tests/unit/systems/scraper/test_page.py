"""A page of metrics is believed as a whole, or not at all, and says why."""

from __future__ import annotations

import math

import pytest
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from harness.history.metrics import Series
from harness.systems.scraper import page
from harness.systems.scraper.page import PageError, Reader

NOW_S = 1_000_000.0


def told(text: str, reader: Reader | None = None) -> dict[str, float]:
    reader = Reader() if reader is None else reader
    found = reader.read(text, NOW_S)
    return {reader.series[at][0]: one for at, one in zip(*found, strict=True)}


def test_what_a_real_exporter_tells_is_read():
    """Twice: the second time each line is known, and only its value is read anew."""
    registry, reader = CollectorRegistry(), Reader()
    sent = Counter("sent", "…", ["to"], registry=registry)
    Gauge("links", "…", registry=registry).set(3)
    took = Histogram("took_seconds", "…", buckets=(0.1, 1.0), registry=registry)
    for value, expected in ((0.05, 1.0), (0.5, 2.0)):
        sent.labels('a "b" \\ } \n').inc()
        took.observe(value)
        found = told(generate_latest(registry).decode(), reader)
        assert found['sent_total{to="a \\"b\\" \\\\ } \\n"}'] == expected
        assert found["links"] == 3
        assert found['took_seconds_bucket{le="+Inf"}'] == expected
    assert found['took_seconds_bucket{le="0.1"}'] == 1
    types = {Series.read(name).name: type_ for name, type_ in reader.series}
    assert types["sent_total"] == "counter"
    assert types["links"] == "gauge"
    assert types["took_seconds_bucket"] == types["took_seconds_sum"] == "histogram"


def test_an_exemplar_is_no_value():
    """What stood behind it was read as the value of the series."""
    text = (
        'sent_total 10 # {trace_id="a # {b}"} 1.0\n'
        'took_bucket{le="1",to="} # {"} 5 # {trace_id="c"} 0.3 1520879607.789\n'
        "links 3\n# EOF\n"
    )
    assert told(text) == {"sent_total": 10, 'took_bucket{le="1",to="} # {"}': 5, "links": 3}
    with pytest.raises(PageError, match="expected a metric and its value"):
        told('sent_total # {trace_id="a"} 1.0\n')


def test_a_series_is_read_as_it_was_written():
    for value in ("plain", 'a "b"', "back\\slash", "a\nb", "a, b}", "a\\nb", ""):
        text = page.written("name", {"b": value, "a": "1"})
        assert Series.read(text) == Series("name", frozenset({("a", "1"), ("b", value)}))


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "it is empty"),
        ("# HELP nothing here\n", "it tells no metric"),
        ("a 1\nb 12", "its last line has no end"),
        ("a 1\na 2\n", "it tells a twice"),
        ('a{x="1",y="2"} 1\na{y="2",x="1"} 1\n', "twice"),
        ("<html>\n", "expected a metric and its value"),
        ("a\n", "expected a metric and its value"),
        ("a one\n", "expected a metric and its value"),
        ("a 1_0\n", "expected a metric and its value"),
        ('a{x="1} 1\n', "expected a metric and its value"),
        ("a 1 999000000\n", "its a is of another time: 1,000 s off"),
        ("a 1 NaN\n", "of another time"),
        (f'a{{x="{"y" * 2_000}"}} 1\n', "characters"),
        ('{"a.b", x="1"} 1\n', "expected names of letters"),
        ("".join(f"a{number} 1\n" for number in range(page.SERIES_MAX + 1)), "metrics.only"),
    ],
)
def test_a_page_that_cannot_be_believed_says_why(text, why):
    with pytest.raises(PageError, match=why):
        told(text)


def test_a_known_line_is_no_way_around_the_rules():
    """A line that begins as one that was read has its value, and its time, looked at all the
    same.
    """
    reader = Reader()
    told("a 1\n", reader)
    for text in ("a\n", "a 1_0\n", "a 1 2 3\n", "a 1 999000000000\n", "a } 1\n"):
        with pytest.raises(PageError):
            told(text, reader)
    assert told("a NaN\n", reader).keys() == {"a"}
    assert math.isnan(told("a NaN\n", reader)["a"])


def test_only_names_that_are_wanted_are_kept():
    text = "".join(f"raft_{at} 1\nother_{at} 1\n" for at in range(page.SERIES_MAX // 2))
    assert told(text + "x 1\n", Reader(["raft_1", "x*"])).keys() == {"raft_1", "x"}


def test_labels_that_are_new_each_second_come_to_an_end():
    """What nodes tell is bounded over a run, and the page beyond that is not believed."""
    reader, most = Reader(), page.KNOWN_MAX // page.SERIES_MAX
    for second in range(most):
        told("".join(f'a{{x="{second}-{at}"}} 1\n' for at in range(page.SERIES_MAX)), reader)
    with pytest.raises(PageError, match="different series in this run"):
        told('a{x="new"} 1\n', reader)
    assert told('a{x="0-0"} 2\n', reader) == {'a{x="0-0"}': 2.0}

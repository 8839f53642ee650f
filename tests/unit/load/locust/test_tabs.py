"""What the tabs say, of plain values: quantities, words of a form, banners, files half written."""

from __future__ import annotations

import json
import time
from argparse import Namespace

import numpy as np
import pyarrow as pa
import pytest

from harness.errors import BadFileError, UsageError
from harness.faults.spec import WORDS
from harness.history.history import SAMPLES
from harness.load.locust.tabs import banner, blocks, faults, figures, form, quantities
from harness.load.locust.tabs.desk import Desk
from harness.load.locust.tabs.tail import Proofs, Samples
from harness.load.tally import Tally
from harness.operations import Outcome


@pytest.mark.parametrize(
    ("value_s", "said"),
    [
        (9.8985574, "9.90 s"),
        (0.0027, "2.70 ms"),
        (47.2e-6, "47.2 µs"),
        (200, "3 min 20 s"),
        (None, "–"),
        (0, "0 s"),
        (0.9999, "1.00 s"),
    ],
)
def test_a_time_has_the_unit_that_fits(value_s, said):
    assert quantities.seconds(value_s) == said


def test_the_form_has_a_field_for_every_word_that_is_said_by_hand():
    assert [field["name"] for field in faults.form()["fields"]] == [
        name for name in WORDS if name != "at_s"
    ]


def test_what_was_left_empty_is_not_said():
    given = {"cut": "isolate", "of": "node-1; node-2", "for_s": "20s", "one_way": "true", "up": " "}
    assert faults.words(given) == {
        "cut": "isolate",
        "of": ["node-1", "node-2"],
        "for_s": 20.0,
        "one_way": True,
    }


@pytest.mark.parametrize(
    "given", [{"where": "all", "loss": "lots"}, {"for_s": "soon", "cut": "halves"}, {}, {"x": "1"}]
)
def test_a_bad_value_is_refused_before_the_supervisor_is_asked(given):
    with pytest.raises(BadFileError):
        faults.words(given)


def test_the_banner_names_the_nodes_that_are_cut_off():
    fault = {"sides": [["node-3"], ["node-0", "node-1", "node-2"]], "nodes": [], "paths": 6}
    said = "node-3 cannot reach node-0, node-1, node-2, nor the other way"
    assert banner.whom(fault) == said
    fault["sides"] = [["a"], ["b"], ["c", "d"]]
    assert banner.whom(fault).startswith("groups of 1 / 1 / 2 nodes cannot all reach each other: a")


def test_how_long_a_fault_stays_is_not_guessed():
    assert faults.left({}) == "time left not told"
    assert faults.left({"left_s": None}) == "until it is healed"
    assert faults.left({"left_s": 12.34}) == "12.3 s left"


def test_a_table_of_a_thousand_rows_shows_some_and_says_so():
    table = blocks.table(("Node",), [blocks.row(str(number)) for number in range(1000)])
    assert len(table["rows"]) == blocks.ROWS
    assert "1,000" in table["note"]


def test_samples_are_read_batch_by_batch_and_none_twice(tmp_path):
    sink = pa.BufferOutputStream()
    names = [field.name for field in SAMPLES]
    with pa.ipc.new_stream(sink, SAMPLES) as writer:
        for second in range(3):
            values = [dict.fromkeys(names, second)]
            writer.write_batch(pa.RecordBatch.from_pylist(values, SAMPLES))
    whole, path = sink.getvalue().to_pybytes(), tmp_path / "samples.arrow"
    samples = Samples(tmp_path)
    samples.read()
    for end in range(0, len(whole) + 1, 7):
        path.write_bytes(whole[:end])
        samples.read()
    path.write_bytes(whole)
    samples.read()
    assert [one["at_ns"] for each in samples.nodes.values() for one in each] == [0, 1, 2]


def test_a_torn_line_of_proofs_waits_for_its_rest(tmp_path):
    line = json.dumps({"fault": "f", "what": "cut", "path": ["a", "b"], "at_ns": 5}) + "\n"
    path, proofs = tmp_path / "proofs.jsonl", Proofs(tmp_path)
    path.write_text(line[:20])
    proofs.read()
    assert proofs.newest == {}
    path.write_text(line)
    proofs.read()
    assert proofs.newest["f"]["cut", "a", "b"]["at_ns"] == 5


def test_what_is_in_flight_counts_with_its_age():
    tally, now_ns = Tally(), 20_000_000_000
    tally.count_in_flight(np.array([13_000_000_000, 19_900_000_000], np.int64), now_ns)
    both = Tally()
    both.merge(Tally.from_wire(tally.to_wire()))
    assert (both.in_flight, both.late) == (2, 1)
    assert both.oldest_s(now_ns) == 7.0
    assert both.with_waiting().percentile_us(0.99) == pytest.approx(7e6, rel=0.01)
    tally.forget_in_flight()
    assert tally.oldest_s(now_ns) is None


def late() -> Tally:
    """150 came true, 50 wait."""
    tally = Tally(outcomes={**dict.fromkeys(Outcome, 0), Outcome.OK: 150})
    tally.count_in_flight(np.full(50, 1, np.int64), 7_000_000_001)
    return tally


def answer() -> dict:
    row = {
        "num_requests": 150,
        "num_failures": 0,
        "avg_response_time": 2.0,
        "response_time_percentile_0.99": 2.7,
        "median_response_time": 2.0,
        "max_response_time": 3.0,
    }
    return {
        "stats": [{"name": "private_message", **row}, {"name": "Aggregated", **row}],
        "fail_ratio": 0.0,
        "total_rps": 15.0,
        "current_response_time_percentiles": {
            "response_time_percentile_0.5": 2.0,
            "response_time_percentile_0.99": 2.7,
        },
    }


def test_locusts_figures_count_what_waits_as_failed_and_with_its_age():
    shown = answer()
    for _ in range(2):  # Locust keeps an answer for two seconds, and gives it again
        shown = figures.corrected(shown, {"private_message": late()})
    assert shown["fail_ratio"] == 0.25
    row = shown["stats"][0]
    assert (row["num_requests"], row["num_failures"]) == (200, 50)
    assert row["avg_response_time"] == pytest.approx(7000, rel=0.01)
    assert shown["stats"][0]["response_time_percentile_0.99"] == pytest.approx(7000, rel=0.01)
    now = shown["current_response_time_percentiles"]
    assert now["response_time_percentile_0.5"] == 2.0
    assert now["response_time_percentile_0.99"] == pytest.approx(7000, rel=0.01)


def test_locusts_figures_are_left_alone_where_nothing_waits():
    assert figures.corrected(answer(), {"private_message": Tally()}) == answer()


@pytest.mark.parametrize(
    ("of_runner", "is_starting", "plan", "told"),
    [
        ("stopping", False, None, "running"),
        ("cleanup", False, None, "running"),
        ("stopped", False, None, "stopped"),
        ("ready", False, None, "ready"),
        ("ready", True, None, "spawning"),
        ("stopped", True, None, "spawning"),
        ("stopped", True, "a run", "spawning"),
        ("stopped", False, "a run", "running"),
        ("spawning", False, "a run", "running"),
    ],
)
def test_a_page_that_is_told_of_anything_else_would_ask_no_more(of_runner, is_starting, plan, told):
    """A start takes longer than the page's first look; a runner is stopped before it is judged."""
    desk = Desk(Namespace(plan=plan), Namespace(is_under_way=is_starting))
    assert figures.state(of_runner, desk) == told


def test_the_form_says_which_value_is_no_number():
    before = Namespace(private_message_rate=1.0, seed=1, budget="auto")
    assert form.filled(before, {"seed": "7", "budget": "demo"}).seed == 7
    with pytest.raises(UsageError, match="private_message_rate: expected a number, found 'x'"):
        form.filled(before, {"private_message_rate": "x"})


def look(
    what: str, answer: str = "in force", *, fault: str = "wan", backend: str = "netem"
) -> dict:
    path = None if what == "read back" else ["a", "b"]
    said = {"fault": fault, "what": what, "path": path, "backend": backend, "answer": answer}
    return said | {"at_ns": time.monotonic_ns(), "sentence": "it is gone"}


@pytest.mark.parametrize(
    ("looks", "said", "level"),
    [
        ([], "not proven yet", "warn"),
        ([look("read back")], "not proven yet", "warn"),
        ([look("delay")], "not proven yet: loss not shown", "warn"),
        ([look("delay"), look("loss")], "proven by 2 looks", "good"),
        (
            [
                look("delay"),
                look("loss"),
                look("read back", "not in force", backend="nftables"),
                look("read back", backend="kernel"),
            ],
            "NOT in force: read back: it is gone",
            "bad",
        ),
        (
            [look("delay"), look("loss"), look("read back", "not in force", fault="all")],
            "NOT in force: read back: it is gone",
            "bad",
        ),
    ],
)
def test_a_fault_is_proven_by_what_was_shown_of_all_that_it_does(tmp_path, looks, said, level):
    at_ns = time.monotonic_ns()
    lines = [json.dumps(one | {"at_ns": at_ns}) + "\n" for one in looks]
    (tmp_path / "proofs.jsonl").write_text("".join(lines))
    seen = Desk(Namespace(plan="a run goes on"), Namespace(is_under_way=False))
    seen.proofs = Proofs(tmp_path)
    seen.proofs.read()
    fault = {"name": "wan", "does": "delay 50 ms, loss 5 %"}
    found, how = seen._proven(fault, time.monotonic(), 1.0)
    assert found.startswith(said)
    assert how == level

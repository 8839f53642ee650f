"""What the tabs say, of plain values: quantities, words of a form, banners, files half written."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from argparse import Namespace
from contextlib import nullcontext
from dataclasses import replace
from itertools import combinations
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from harness.errors import BadFileError, UsageError
from harness.faults import limits
from harness.faults.spec import parse
from harness.faults.words import WORDS
from harness.history.history import SAMPLES
from harness.history.tail import Proofs, Samples
from harness.load.locust.tabs import banner, blocks, faults, figures, form, quantities, topology
from harness.load.locust.tabs.desk import Desk
from harness.load.tally import Tally
from harness.network.network import Network
from harness.operations import Outcome
from harness.topology.topology import Node


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


def test_who_looks_at_the_tabs_is_not_patched_by_gevent():
    """Locust patches whoever imports it: tests in one process with these waited for ever."""
    code = "import sys, harness.load.locust.tabs; sys.exit('locust' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_form_has_a_field_for_every_word_that_is_said_by_hand():
    form = faults.form()
    names = [name for name in WORDS if name != "at_s"]
    assert [field["name"] for field in form["fields"]] == names
    offered = {name for kind in form["kinds"] for name in (*kind["fields"], *kind["says"])}
    assert offered == set(names)


def test_the_form_offers_of_each_kind_of_fault_what_a_fault_of_it_takes():
    fields = {kind["title"]: set(kind["fields"]) for kind in faults.form()["kinds"]}
    beside = {"where", "name", "for_s", "flap_s"}
    assert fields["nodes paused"] == beside
    assert fields["nodes killed"] == fields["nodes crashed"] >= beside | {"state"}
    assert fields["nodes restarted"] == fields["nodes killed"] - {"for_s", "flap_s"}  # a moment
    assert fields["nodes limited"] == beside | set(limits.WORDS)
    assert {"cut", "of", "one_way", "jitter"} <= fields["cut"]
    assert "where" not in fields["cut"]
    assert {"where", "jitter", "up", "toxic"} <= fields["paths: delay, loss, rate …"]
    assert not {"cut", "of", "state", "cpu"} & fields["paths: delay, loss, rate …"]


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


NODES = [Node(name=f"node-{number}") for number in range(5)]
FIRST = "node-0, node-1, node-2"


def row(**words: Any) -> dict[str, Any]:
    """The row of a fault as the network tells it."""
    fault = replace(parse(words).resolve(NODES, 1), name="cut")
    [found] = Network.rows(SimpleNamespace(_lock=nullcontext(), faults={"cut": fault}))
    return found


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            {"of": ["node-3"]},
            f"node-3 cannot reach {FIRST}, node-4, nor the other way",
        ),
        (
            {"of": ["node-3"], "one_way": True},
            f"in this direction: node-3 cannot reach node-4; {FIRST} cannot reach node-3",
        ),
        (
            {"cut": "halves", "one_way": True},
            "in this direction: node-0, node-1 cannot reach node-2, node-3, node-4",
        ),
        (
            {"of": ["node-0", "node-1"]},
            f"groups of 1 / 1 / 3 nodes cannot reach each other: {FIRST}, node-3, node-4",
        ),
        ({"cut": "bridge"}, "node-0, node-1 cannot reach node-3, node-4, nor the other way"),
    ],
)
def test_the_banner_says_who_cannot_reach_whom_and_in_which_direction(words, said):
    assert banner.whom(row(**{"cut": "isolate", **words})) == said


def test_of_a_cut_without_sides_each_direction_is_said_while_they_are_few():
    ring = row(cut="majority-ring")
    assert not ring["mutual"]
    assert banner.whom(ring).count(" cannot reach ") == 5
    assert "node-0" in banner.whom(ring | {"lost": []})
    assert banner.whom(ring | {"lost": []}).endswith(" send does not reach all others")


def drawn(cut: dict[str, Any]) -> tuple[dict[str, str], set[tuple[str, str]], str]:
    """What the topology tab draws of a cut: node → class, the links that are dashed, the text."""
    nodes = [
        {"name": node.name, "region": "", "index": number, "condition": "running"}
        for number, node in enumerate(NODES)
    ]
    links = [(one["name"], other["name"]) for one, other in combinations(nodes, 2)]
    seen = SimpleNamespace(status=lambda: {"nodes": nodes}, faults=lambda: [cut], links=links)
    *said, picture = topology.view(seen, "")
    dots = re.findall(
        '<circle class="([^"]*)" cx="([^"]*)" cy="([^"]*)"[^>]*><title>([^,]*)', picture["svg"]
    )
    at = {(f"{float(x):.0f}", f"{float(y):.0f}"): name for _, x, y, name in dots}
    lines = re.findall('class="cut" x1="(.*?)" y1="(.*?)" x2="(.*?)" y2="(.*?)"', picture["svg"])
    dashed = {tuple(sorted((at[x1, y1], at[x2, y2]))) for x1, y1, x2, y2 in lines}
    return {name: kind for kind, _, _, name in dots}, dashed, said[0]["text"]


def test_a_node_that_is_down_paused_or_slowed_shows_it_and_says_it():
    conditions = ("killed", "crashed", "paused", "running", "running")
    nodes = [
        {"name": node.name, "region": "eu", "index": number, "condition": condition}
        for number, (node, condition) in enumerate(zip(NODES, conditions, strict=True))
    ]
    held = {"name": "slow", "does": "cpu 20 %", "nodes": ["node-3"]}
    seen = SimpleNamespace(status=lambda: {"nodes": nodes}, faults=lambda: [held], links=[])
    *said, picture = topology.view(seen, "")
    assert [one["text"] for one in said[1:]] == [
        "crashed: node-1 (a ring with a cross)",
        "killed: node-0 (a ring with a cross)",
        "paused: node-2 (a ring with two bars)",
        "limited: node-3 (cpu 20 %) (a dashed rim)",
    ]
    dots = re.findall('<circle class="([^"]*)"[^>]*><title>([^<]*)', picture["svg"])
    assert dots == [
        ("out", "node-0, eu, killed"),
        ("out", "node-1, eu, crashed"),
        ("paused", "node-2, eu, paused"),
        ("s0 slow", "node-3, eu, running, cpu 20 %"),
        ("s0", "node-4, eu, running"),
    ]
    assert re.findall('<path class="mark ([a-z]*)"', picture["svg"]) == ["out", "out", "paused"]


def test_a_node_on_no_side_looks_like_none_and_its_links_work():
    colours, dashed, _ = drawn(row(cut="bridge"))
    assert colours["node-2"] == "none"
    assert len(set(colours.values())) == 3
    assert dashed == {
        (one, other) for one in ("node-0", "node-1") for other in ("node-3", "node-4")
    }


def test_what_a_cut_in_one_direction_leaves_is_not_drawn_as_cut():
    colours, dashed, _ = drawn(row(cut="halves", one_way=True))
    assert colours == {
        "node-0": "s0", "node-1": "s0", "node-2": "none", "node-3": "none", "node-4": "none",
    }  # fmt: skip
    assert not dashed


def test_of_many_links_some_are_drawn_and_the_page_says_so(monkeypatch):
    assert "10 links;" in drawn(row(cut="halves"))[2]
    monkeypatch.setattr(topology, "LINKS_MAX", 4)
    assert "10 links, one in 3 is drawn;" in drawn(row(cut="halves"))[2]


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


def of_node(node: int, answer: str, at_s: float) -> str:
    said = {"fault": "wan", "what": "condition", "path": None, "backend": "proc", "answer": answer}
    said |= {"at_ns": round(at_s * 1e9), "sentence": f"node-{node} is {answer}"}
    return json.dumps(said) + "\n"


def test_of_a_fault_of_nodes_no_look_at_one_speaks_for_another(tmp_path):
    """What was seen of the node looked at last hid that another one was not paused."""
    now_s = time.monotonic()
    seen = Desk(Namespace(plan="a run goes on"), Namespace(is_under_way=False))
    seen.proofs, path = Proofs(tmp_path), tmp_path / "proofs.jsonl"
    fault = {"name": "wan", "does": "paused"}
    good = [of_node(node, "in force", now_s - 1 + node / 100) for node in range(3)]
    rounds = [of_node(7, "not in force", now_s - 1.01), *good]
    path.write_text("".join(rounds))
    seen.proofs.read()
    found, how = seen._proven(fault, now_s, 5.0)
    assert (found, how) == ("NOT in force: condition: node-7 is not in force", "bad")
    path.write_text("".join([of_node(7, "not in force", now_s - 4), *rounds[1:]]))
    seen.proofs = Proofs(tmp_path)
    seen.proofs.read()
    found, how = seen._proven(fault, now_s, 5.0)
    assert found.startswith("proven by 3 looks")

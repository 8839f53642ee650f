"""The search for the highest rate, or number of nodes, that holds: where it ends, and what it says
it knows.
"""

from __future__ import annotations

import json
import math
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kit.histories import history, operation, record

from harness import checks
from harness.checks import nodes as nodes_alive
from harness.checks.verdict import Answer, Cause, Finding, Verdict
from harness.errors import HarnessError, UnavailableError, UsageError
from harness.experiments.judge import Judged
from harness.experiments.saturate import Saturating, _tried, saturate
from harness.experiments.saturation import (
    NEAR,
    NODES,
    RATE,
    Saturation,
    Try,
    promise,
    rates_for,
    rows,
    search,
)
from harness.history.plan import PhaseKind
from harness.operations import Operation, Outcome
from harness.reports import saturation as page
from harness.scenario import files, shipped

MESSAGE = Operation.PRIVATE_MESSAGE


def searched(limit, *, first=100.0, tries=40, repeats=3, above=Answer.FAIL, over=RATE):
    """Search on a system that holds up to a limit."""

    def attempt(rate):
        answer = Answer.PASS if rate <= limit else above
        return Try(at=rate, answer=answer, why=f"at {rate:g}", values={"p99": rate})

    return search(attempt, first, tries=tries, repeats=repeats, searched=over)


@given(st.floats(2, 900_000), st.floats(1, 100_000))
def test_the_limit_lies_between_what_holds_and_what_does_not(limit, first):
    found = searched(limit, first=first)
    assert found.answer is Answer.PASS
    low, high = found.holds_at, found.fails_at
    assert low <= limit < high
    assert high / low <= 1.12
    assert len(found.of(low)) == 3
    assert len(found.tries) <= 30


def test_a_search_that_was_cut_short_does_not_say_that_a_rate_holds():
    found = searched(1_000, tries=3)
    assert found.answer is Answer.UNKNOWN
    assert (found.holds_at, found.fails_at) == (400, None)
    assert found.sentence() == "400/s held in its only try; no rate that was tried did not"
    assert Saturation().answer is Answer.UNKNOWN
    assert Saturation().sentence() == "nothing was tried"


def test_no_rate_is_tried_that_is_too_low_to_tell():
    """Of fewer than a hundred samples nobody knows a p99: lower rates would end as this one."""
    over = rates_for(promise("p99 < 50 ms", MESSAGE), 8.0)
    found = searched(0, above=Answer.UNKNOWN, over=over)
    assert min(one.at for one in found.tries) == over.least
    assert 100 < over.least * 8 < 120
    assert rates_for(promise("mean < 50 ms", MESSAGE), 8.0).least == 1


def test_where_nothing_holds_the_system_failed_only_if_a_try_says_so():
    assert searched(0).answer is Answer.FAIL
    found = searched(0, above=Answer.UNKNOWN)
    assert found.answer is Answer.UNKNOWN
    assert found.as_json()["system_missed_there"] is False
    assert found.sentence() == "no rate that was tried is known to hold, down to 1/s (at 1)"
    assert searched(0).sentence() == "no rate held that was tried, down to 1/s (at 1)"


def test_a_limit_of_the_generator_is_not_said_to_be_the_systems():
    assert "is not known to (at " in searched(700, above=Answer.UNKNOWN).sentence()
    assert "did not (at " in searched(700).sentence()


def test_a_rate_that_holds_only_sometimes_does_not_hold():
    seen = {}

    def attempt(rate):
        seen[rate] = seen.get(rate, 0) + 1
        shaky = 400 < rate <= 800 and seen[rate] > 1
        answer = Answer.FAIL if rate > 800 or shaky else Answer.PASS
        return Try(at=rate, answer=answer, why="", values={})

    found = search(attempt, 100.0, tries=60, repeats=3)
    assert found.holds_at <= 400 < found.fails_at


@pytest.mark.parametrize(
    ("text", "metric", "statistic", "bound", "unit"),
    [
        ("p99 < 50 ms", "private_message.end_to_end", "p99", 50, "ms"),
        ("p99.9<=1.5s", "private_message.end_to_end", "p99.9", 1.5, "s"),
        ("private_message.burst max < 2 s", "private_message.burst", "max", 2, "s"),
    ],
)
def test_a_promise_is_read(text, metric, statistic, bound, unit):
    row = promise(text, MESSAGE)
    assert (row.metric, row.statistic, row.bound, row.unit) == (metric, statistic, bound, unit)
    assert [one.bound for one in rows(row)] == [bound, None, None, None, None]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("fast", "expected such as 'p99 < 50 ms', found 'fast'"),
        ("p98 < 50 ms", "statistic: expected one of p50"),
        ("p99 < 50 MB", "unit: expected one of ns"),
        ("p99 < 5.0.0 ms", "bound: expected a number"),
        ("p99 < 0 ms", "bound: expected more than 0 ms, found '0'"),
        ("dht_get.response p99 < 5 ms", "metric: expected one of private_message."),
        ("p99 > 50 ms", "expected such as"),
        ("private_message.linearity p99 < 5 ms", "metric: expected one of private_message.burst"),
    ],
)
def test_a_promise_that_is_none_is_refused(text, words):
    with pytest.raises(UsageError, match=words.replace(".", r"\.")):
        promise(text, MESSAGE)


def asked(tmp_path, name="demo", word="private_message", until="p99 < 50 ms", nodes=False):
    scenario = name if isinstance(name, Path) else shipped.find(name, "scenarios")
    return Saturating(
        scenario,
        word,
        until,
        runs=tmp_path,
        system=None,
        seconds=4,
        tries=5,
        repeats=2,
        nodes=nodes,
    )


def test_a_try_is_a_scenario_that_can_be_run(tmp_path):
    made = asked(tmp_path, "first-budget", "broadcast")
    read = files.read_scenario(made._written(tmp_path, 1, 12.5))
    assert [phase.name for phase in read.phases] == ["warm", "load"]
    assert [phase.kind for phase in read.phases] == [PhaseKind.WARM_UP, None]
    [stream] = [one for one in read.phases[1].streams if one.operation is Operation.BROADCAST]
    assert stream.rate_per_s == 12.5
    assert read.topology.digest() == made.planned.topology.digest()
    assert files.read_budget(read.budget).rows[0].statistic == "p99"


def test_a_try_has_the_streams_of_its_scenario(tmp_path):
    """Their `keys` were left out: puts and gets shared none."""
    made = asked(tmp_path, "split-brain-writes", "dht_get")
    read = files.read_scenario(made._written(tmp_path, 1, made.first))
    assert read.phases[1].streams == tuple(made.streams)
    assert [one.keys for one in read.phases[1].streams] == [4, 4]


def test_a_try_of_nodes_is_the_same_load_on_another_topology(tmp_path):
    made = asked(tmp_path, nodes=True)
    assert made.first == 100
    read = files.read_scenario(made._written(tmp_path, 1, 40))
    assert read.topology.name == "cluster-100-of-40"
    assert len(read.topology.nodes) == 40
    assert read.phases[1].streams == tuple(made.streams)


@given(st.integers(5, 50_000), st.integers(5, 1_000))
def test_the_highest_number_of_nodes_is_found(limit, first):
    searching = replace(NODES, least=4)
    found = searched(limit, first=first, over=searching)
    low, high = found.holds_at, found.fails_at
    assert low <= limit < high
    assert high / low <= NEAR or high - low <= 2
    assert all(one.at == first or one.at % 2 == 0 for one in found.tries)
    facts = found.as_json()
    assert (facts["holds_at_nodes"], facts["fails_at_nodes"]) == (low, high)
    assert f"{low:,g} nodes held in 3 of 3 tries" in found.sentence()


def test_fewer_nodes_than_the_shape_can_have_are_not_tried():
    found = searched(0, first=100, over=replace(NODES, least=10))
    assert found.fails_at == 10
    assert found.answer is Answer.FAIL


def test_a_topology_whose_nodes_are_listed_has_no_number_to_search(tmp_path):
    (tmp_path / "listed.toml").write_text('[[node]]\nname = "a"\n[[node]]\nname = "b"\n')
    scenario = tmp_path / "scenario.toml"
    text = shipped.find("demo", "scenarios").read_text()
    scenario.write_text(text.replace('topology = "cluster-100"', 'topology = "listed.toml"'))
    with pytest.raises(UsageError, match="expected a line `count"):
        asked(tmp_path, scenario, nodes=True)


@pytest.mark.parametrize(
    ("name", "word", "words"),
    [
        ("demo", "fly", "--stream: expected one of private_message"),
        ("demo", "connect", "no phase of demo has connect; it has broadcast"),
    ],
)
def test_what_cannot_be_searched_is_refused(tmp_path, name, word, words):
    with pytest.raises(HarnessError, match=words):
        asked(tmp_path, name, word)


def test_a_stream_that_begins_after_a_try_is_refused(tmp_path):
    scenario = tmp_path / "late.toml"
    scenario.write_text(
        'topology = "cluster-10"\n[[phase]]\nname = "a"\nduration_s = 9\n[[phase.stream]]\n'
        'operation = "private_message"\nrate_per_s = 5\nafter_s = 4\n'
    )
    with pytest.raises(UsageError, match="--seconds: expected more than 4"):
        asked(tmp_path, scenario)


def breaking(monkeypatch, tmp_path, good: int):
    """A search whose tries hold, until the harness breaks."""
    tries = iter(range(100))

    def run(*_: object, **__: object) -> Judged:
        if next(tries) >= good:
            raise UnavailableError("the supervisor is gone")
        row = Finding(
            name="p99 < 50 ms", answer=Answer.PASS, promised="", measured="1 ms", sentence="kept"
        )
        return Judged(run=tmp_path.resolve(), verdict=Verdict(findings=(row,)), facts={})

    monkeypatch.setattr("harness.experiments.run.run", run)
    monkeypatch.setattr("harness.experiments.saturate.new_folder", lambda *_: tmp_path)
    monkeypatch.setattr("harness.experiments.saturate.point_latest", lambda *_: None)
    return asked(tmp_path)


def test_a_broken_try_ends_the_search_with_what_is_known(tmp_path, monkeypatch):
    """The harness broke, and not the system: of the value that was tried nothing is known."""
    made = breaking(monkeypatch, tmp_path, 2)
    _, found, is_interrupted = made.play({}, lambda *_: None)
    assert [one.answer for one in found.tries] == [Answer.PASS, Answer.PASS, Answer.UNKNOWN]
    assert (found.holds_at, found.fails_at) == (2 * made.first, 4 * made.first)
    assert "is not known to (the try broke: the supervisor is gone)" in found.sentence()
    assert (found.answer, is_interrupted) == (Answer.UNKNOWN, False)


def test_a_first_try_that_breaks_is_an_error(tmp_path, monkeypatch):
    """Nothing is known then, and the exit code says whose fault it is."""
    with pytest.raises(UnavailableError, match="is gone"):
        breaking(monkeypatch, tmp_path, 0).play({}, lambda *_: None)


def tried(tmp_path, until, of, seconds=1.0):
    """What is said of a try at 10/s with this record, and what its own verdict says."""
    row = promise(until, MESSAGE)
    verdict = checks.judge(history(*of, seconds=seconds), rows(row))
    judged = Judged(run=tmp_path.resolve(), verdict=verdict, facts={})
    return _tried(10.0, row, judged, tmp_path), verdict


def sent(count, failed=0, **changes):
    """The operations and journal of a run in which the first ones failed."""
    bad = {"outcome": int(Outcome.FAILED), "error": "no route"}
    operations = [operation(n, **(bad if n < failed else {}), **changes) for n in range(count)]
    return operations, [record(n) for n in range(failed, count)]


def test_a_try_is_in_doubt_where_operations_of_its_stream_failed(tmp_path):
    """40 % FAILED, no row says how many may, and the median was in time: "held"."""
    made, verdict = tried(tmp_path, "p50 < 1 s", sent(1_000, failed=400))
    assert verdict.answer is Answer.UNKNOWN
    assert made.answer is Answer.UNKNOWN
    assert made.why.startswith("operations that came true: private_message: 600 of 1,000; ")
    assert "no route" in made.why
    assert tried(tmp_path, "max < 1 s", sent(1_000, failed=400))[0].answer is Answer.FAIL


def test_how_many_of_other_operations_failed_is_no_doubt_of_a_try(tmp_path):
    operations, journal = sent(1_000)
    bad = {"kind": Operation.CONNECT, "outcome": int(Outcome.FAILED)}
    operations += [operation(n, **bad) for n in range(1_000, 1_100)]
    made, verdict = tried(tmp_path, "p50 < 1 s", (operations, journal), seconds=2)
    assert verdict.answer is Answer.UNKNOWN
    assert made.answer is Answer.PASS, made.why


def test_what_only_the_curve_has_too_few_samples_for_is_no_doubt_of_a_try(tmp_path):
    """p99.9 wants 1,000: with fewer each try was UNKNOWN, and the search went down."""
    made, verdict = tried(tmp_path, "p50 < 1 s", sent(200))
    assert verdict.answer is Answer.UNKNOWN
    assert made.answer is Answer.PASS, made.why
    assert made.values.keys() == {"p50", "p95", "p99"}
    made, _ = tried(tmp_path, "p99.9 < 1 s", sent(200))
    assert made.answer is Answer.UNKNOWN
    assert "p99.9 wants at least 1,000 samples" in made.why


def test_a_node_that_ended_ends_the_search_of_a_rate(tmp_path, monkeypatch):
    """It is missing in each later try: what held before would not have held any more."""
    row = promise("p99 < 50 ms", MESSAGE)
    kept = Finding(name=row.name, answer=Answer.PASS, promised="", measured="", sentence="")
    dead = replace(kept, name=nodes_alive.NAME, answer=Answer.FAIL, sentence="node-3 ended")
    verdicts = iter([(kept,), (kept, dead), (kept, dead)])

    def run(*_: object, **__: object) -> Judged:
        return Judged(run=tmp_path.resolve(), verdict=Verdict(findings=next(verdicts)), facts={})

    found = played(monkeypatch, tmp_path, run)
    assert [one.answer for one in found.tries] == [Answer.PASS, Answer.FAIL]
    assert "did not (nodes: alive throughout" in found.sentence()
    verdicts = iter([(kept,), (kept, dead), (kept,), (kept,), (kept,)])
    found = played(monkeypatch, tmp_path, run, nodes=True)  # each try has a cluster of its own
    assert len(found.tries) == 5


def played(monkeypatch, tmp_path, run, **how):
    """What is known after a search with these runs."""
    monkeypatch.setattr("harness.experiments.run.run", run)
    monkeypatch.setattr("harness.experiments.saturate.new_folder", lambda *_: tmp_path)
    monkeypatch.setattr("harness.experiments.saturate.point_latest", lambda *_: None)
    return asked(tmp_path, **how).play({}, lambda *_: None)[1]


@pytest.mark.parametrize("nodes", [False, True])
def test_each_try_is_on_the_runtime_that_was_asked_for(tmp_path, monkeypatch, nodes):
    """Where the cluster had ended meanwhile, a try started another one on any."""
    heard = {}

    def play(_: Saturating, settings, __: object):
        heard.update(settings)
        return tmp_path, Saturation(), False

    monkeypatch.setenv("HARNESS_STATE", str(tmp_path))
    monkeypatch.setattr(Saturating, "play", play)
    monkeypatch.setattr("harness.experiments.run.up", lambda *_, **__: {})
    monkeypatch.setattr("harness.experiments.run.down", lambda *_: False)
    demo = shipped.find("demo", "scenarios")
    saturate(demo, "private_message", "p99 < 50 ms", runtime_name="netns", nodes=nodes)
    assert heard["runtime_name"] == "netns"


@pytest.mark.parametrize(
    ("change", "shown"),
    [
        ({"measured": "3 ms", "value": 3.0}, 3.0),
        ({"measured": "∞ ms"}, math.inf),
        ({"measured": "–"}, None),  # of nobody's, and not the system's
        ({"answer": Answer.UNKNOWN, "cause": Cause.NOT_MEASURED}, None),
    ],
)
def test_what_never_arrived_is_not_what_was_not_measured(tmp_path, change, shown):
    row = promise("p99 < 50 ms", MESSAGE)
    kept = Finding(name=row.name, answer=Answer.PASS, promised="", measured="", sentence="")
    of_p99 = replace(kept, name=f"{row.metric} p99", **{"answer": Answer.MEASURED, **change})
    judged = Judged(run=tmp_path.resolve(), verdict=Verdict(findings=(kept, of_p99)), facts={})
    made = _tried(10.0, row, judged, tmp_path)
    assert made.values.get("p99") == shown
    if shown == math.inf:
        [one] = Saturation(tries=(made,)).as_json()["tries"]
        assert one["values"] == {"p99": None}


class Tags(HTMLParser):
    """Counts the tags of a page."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def handle_starttag(self, tag, _attrs):
        self.seen.append(tag)


@pytest.mark.parametrize("limit", [700, 0, math.inf])
def test_the_page_shows_each_try(tmp_path, limit):
    found = searched(limit, tries=9)
    made = asked(tmp_path)
    made.write(tmp_path, found, is_interrupted=True)
    facts = json.loads((tmp_path / "saturation.json").read_text())
    assert len(facts["tries"]) == len(found.tries)
    tags = Tags()
    tags.feed((tmp_path / "saturation.html").read_text())
    assert tags.seen.count("circle") == len(found.tries)
    assert tags.seen.count("tr") == len(found.tries) + 1
    assert "interrupted" in page.render(facts)


def test_a_page_of_nothing_is_one(tmp_path):
    made = asked(tmp_path)
    assert "Nothing was tried" in page.render(made.facts(Saturation(), is_interrupted=True))


def test_a_search_says_under_which_faults_it_was():
    """A fault that was set by hand stood all the while, and nothing of the answer said so."""
    first = Try(at=10, answer=Answer.PASS, why="", values={}, under="all delay 40ms")
    plain = Saturation(tries=(replace(first, under=""),))
    found = Saturation(tries=(first, replace(first, under="")))
    assert plain.sentence() == "10/s held in its only try; no rate that was tried did not"
    said = "1 of 2 tries were under faults set by hand: all delay 40ms"
    assert found.sentence().endswith(f"; {said}")

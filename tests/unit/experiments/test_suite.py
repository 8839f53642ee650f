"""Suites: every row of the budget is answered by the part it names, and one that nobody measured is
UNKNOWN.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from kit.suites import BUDGET, part_run

from harness.checks.verdict import Answer, Cause, Finding, Verdict
from harness.errors import BadFileError, InterruptedByUserError, UnavailableError
from harness.experiments import suite
from harness.scenario import files
from harness.scenario.budget import Conditions, Row

ROOT = Path(__file__).parents[3]


def row(name, scenario, phase="load"):
    return Row(
        name=name,
        metric="rss",
        statistic="max",
        unit="MB",
        bound=50.0,
        conditions=Conditions(phase=phase, scenario=scenario),
    )


def finding(name, answer=Answer.PASS, phase="load"):
    return Finding(
        name=name, answer=answer, promised="< 50 MB", measured="1 MB", sentence="kept", phase=phase
    )


def test_every_row_is_answered_once_by_the_part_that_it_names():
    parts = {
        "a": Verdict(findings=(finding("x"), finding("load: dht_get"))),
        "b": Verdict(findings=(finding("x", Answer.FAIL), finding("y"))),
    }
    found = suite.findings(
        (row("x", "a"), row("y", "b"), row("x", "b", "idle"), row("z", "c")),
        parts,
        {"c": "NodeStartError: no"},
    )
    answers = [(one.name, one.phase, one.answer) for one in found]
    assert answers[:4] == [
        ("x", "a/load", Answer.PASS),
        ("y", "b/load", Answer.PASS),
        ("x", "b/idle", Answer.UNKNOWN),
        ("z", "c/load", Answer.UNKNOWN),
    ]
    # Nothing a part found is lost.
    assert answers[4:] == [
        ("load: dht_get", "a/load", Answer.PASS),
        ("x", "b/load", Answer.FAIL),
    ]
    assert (found[3].cause, found[3].sentence) == (Cause.NOT_MEASURED, "NodeStartError: no")


def test_a_part_that_broke_is_unknown_also_where_no_row_is_about_it():
    parts = {"a": Verdict(findings=(finding("x"),))}
    found = suite.findings((row("x", "a"),), parts, {"b": "NodeStartError: no"})
    assert [(one.name, one.phase, one.answer, one.sentence) for one in found] == [
        ("x", "a/load", Answer.PASS, "kept"),
        ("part: played", "b", Answer.UNKNOWN, "NodeStartError: no"),
    ]
    assert Verdict(findings=tuple(found)).answer is Answer.UNKNOWN
    both = suite.findings((row("x", "a"), row("y", "b")), parts, {"b": "NodeStartError: no"})
    assert [one.name for one in both] == ["x", "y"]


def plays(runs, **names):
    """What plays a part, which is recorded from when it begins; `names`: of parts by their files'
    names, where they differ.
    """

    def play(part, *, began, **_):
        run = part_run(runs, names.get(part.stem, part.stem), 500)
        began(run)
        return SimpleNamespace(run=run)

    return play


def test_a_part_that_is_only_played_leaves_a_suite_its_answer(two_parts, monkeypatch):
    """Part b went well, and the suite has no row about it: "0 of 1 rows are about this run"."""
    runs = two_parts / "runs"
    (two_parts / "strict.toml").write_text(BUDGET.format(bound=200, name="a"))
    monkeypatch.setattr(suite.single_run, "run", plays(runs))
    judged = suite.run(two_parts / "s.toml", runs=runs)
    verdict = judged.verdict
    assert verdict.answer is Answer.PASS, verdict
    # The page shows each part as the suite takes it, with its charts.
    shown = {part.name: part.verdict.answer for part in judged.parts}
    assert shown == {"a": Answer.PASS, "b": Answer.PASS}
    page = (judged.run / "report.html").read_text()
    assert 'id="part-b-resource-rss-bytes"' in page
    (said,) = [one for one in verdict.findings if one.name == "budget"]
    assert (said.answer, said.phase) == (Answer.MEASURED, "b")
    assert (
        said.sentence
        == "no row of the suite promises anything of it: it is held to what every run is"
    )


def test_a_part_that_is_only_played_is_held_to_what_every_run_is():
    broke = Finding(
        name="nodes: alive throughout", answer=Answer.FAIL, promised="", measured="", sentence="x"
    )
    parts = {
        "a": Verdict(findings=(finding("x"),)),
        "b": Verdict(findings=(unjudged("there is none"), broke)),
    }
    found = suite.findings((row("x", "a"),), parts, {})
    assert Verdict(findings=tuple(found)).answer is Answer.FAIL
    # A load of which nobody said how much may fail is judged by nobody in a suite either.
    lost = replace(unjudged("3 did not"), name="operations that came true: broadcast")
    parts["b"] = Verdict(findings=(lost,))
    found = suite.findings((row("x", "a"),), parts, {})
    assert Verdict(findings=tuple(found)).answer is Answer.UNKNOWN


def test_a_part_of_which_a_row_promises_something_that_was_not_judged_is_not_only_played():
    """Its only row is of its warm-up: the suite said that none promises anything of it, PASS."""
    parts = {
        "a": Verdict(findings=(finding("x"),)),
        "b": Verdict(findings=(finding("w", Answer.MEASURED, "warm"), unjudged("1 of 1 rows"))),
    }
    found = suite.findings((row("x", "a"), row("w", "b", "warm")), parts, {})
    assert Verdict(findings=tuple(found)).answer is Answer.UNKNOWN


@pytest.mark.parametrize("rows", [(), (replace(row("x", "a"), bound=None),)])
def test_a_suite_that_promises_nothing_has_no_verdict(rows):
    parts = {
        "a": Verdict(findings=(unjudged("nothing was sent"), finding("x", Answer.MEASURED))),
        "b": Verdict(findings=(unjudged("nothing was sent"), finding("nodes: alive throughout"))),
    }
    found = suite.findings(rows, parts, {})
    assert Verdict(findings=tuple(found)).answer is Answer.UNKNOWN


def unjudged(sentence):
    return Finding(
        name="budget",
        answer=Answer.UNKNOWN,
        promised="rows about this run",
        measured="not judged",
        sentence=sentence,
        cause=Cause.NOT_JUDGED,
    )


def test_a_suite_whose_budget_is_gone_is_not_judged_by_those_of_its_parts(two_parts, monkeypatch):
    """100 MB, the suite promised less than 50: without its budget.toml it was PASS."""
    runs = two_parts / "runs"
    monkeypatch.setattr(suite.single_run, "run", plays(runs))
    folder = suite.run(two_parts / "s.toml", runs=runs).run
    (folder / "budget.toml").write_text(BUDGET.format(bound=5000, name="a"))
    changed = suite.judge(folder).verdict
    assert changed.answer is Answer.UNKNOWN
    (folder / "budget.toml").unlink()
    gone = suite.judge(folder).verdict
    assert gone.answer is Answer.UNKNOWN
    for verdict, why in ((changed, "is not as it was"), (gone, "is missing")):
        (said,) = [one for one in verdict.findings if one.name == "record: whole"]
        assert (said.cause, said.sentence) == (Cause.GAP, f"budget.toml of the suite {why}")


@pytest.fixture
def two_parts(tmp_path):
    """A suite that promises 50 MB; the files of its parts promise 500."""
    (tmp_path / "ten.toml").write_text("[nodes]\ncount = 2\n[shape]\nkind = 'full-mesh'\n")
    for name in ("a", "b"):
        (tmp_path / f"{name}.toml").write_text(
            'topology = "ten.toml"\n[[phase]]\nname = "load"\nduration_s = 10\n'
        )
    (tmp_path / "strict.toml").write_text(BUDGET.format(bound=50, name="a"))
    (tmp_path / "s.toml").write_text('budget = "strict.toml"\nparts = ["a", "b"]\n')
    return tmp_path


def test_rows_are_those_of_the_suite_and_not_of_its_parts(two_parts, monkeypatch):
    """100 MB, the suite promises less than 50: the part's own 500 made it PASS."""
    runs = two_parts / "runs"
    monkeypatch.setattr(suite.single_run, "run", plays(runs))
    judged = suite.run(two_parts / "s.toml", runs=runs)
    (memory,) = [one for one in judged.verdict.findings if one.name == "memory"]
    assert (memory.answer, memory.promised) == (Answer.FAIL, "< 50 MB")


def test_a_part_that_broke_is_judged_by_what_it_recorded(two_parts, monkeypatch):
    """Its run folder was in no record: "scenario 'a' was not played", though it was."""
    runs = two_parts / "runs"

    def breaks(part, *, began, **_):
        began(part_run(runs, part.stem, 500))
        raise UnavailableError("the load generator ended with code 3")

    monkeypatch.setattr(suite.single_run, "run", breaks)
    verdict = suite.run(two_parts / "s.toml", runs=runs).verdict
    (memory,) = [one for one in verdict.findings if one.name == "memory"]
    assert (memory.answer, memory.measured) == (Answer.FAIL, "100 MB at n")
    broke = {one.phase: one.sentence for one in verdict.findings if one.name == "part: played"}
    why = "UnavailableError: the load generator ended with code 3"
    assert broke == {"a": why, "b": why}


@pytest.mark.parametrize("cut", [True, False])
def test_a_suite_that_was_killed_in_a_part_is_judged_by_it(two_parts, monkeypatch, cut):
    """The part was named only when it ended: "nothing was measured"."""
    runs = two_parts / "runs"

    class Killed(BaseException):
        pass

    def killed(part, *, began, **_):
        run = part_run(runs, part.stem, 500)
        began(run)
        if cut:
            (run / "metadata.json").unlink()
        raise Killed

    monkeypatch.setattr(suite.single_run, "run", killed)
    with pytest.raises(Killed):
        suite.run(two_parts / "s.toml", runs=runs)
    if cut:
        with pytest.raises(BadFileError, match="no part of the suite has a run folder"):
            suite.judge(runs)
        return
    verdict = suite.judge(runs).verdict
    said = {one.phase: one.sentence for one in verdict.findings if one.name == "part: played"}
    assert said == {
        "a": "a: it has begun and has not ended",
        "b": "scenario 'b' was not played: the suite was cut short",
    }
    assert verdict.answer is not Answer.PASS


def test_a_suites_report_says_only_what_all_parts_share(two_parts, monkeypatch):
    """It said "0 meshnode nodes", and the first part's seed and load as the suite's."""
    runs = two_parts / "runs"
    monkeypatch.setattr(suite.single_run, "run", plays(runs))
    judged = suite.run(two_parts / "s.toml", runs=runs)
    for format_ in ("text", "markdown", "html"):
        told = judged.rendered(format_)
        assert "0 meshnode nodes" not in told
        assert "seed" not in told
    assert "s · a, b on netns · 2 cores a CPU" in judged.rendered("text")
    page = judged.rendered("html")
    table = page[page.index('<section id="facts">') :]
    heads = re.findall(r'<tr><td data-label="what"><span>(.*?)</span>', table)
    assert " ".join(heads) == ("parts nodes runtime host kernel Python versions run folder again")


def test_a_part_is_known_by_the_name_in_its_file(two_parts, monkeypatch):
    """Rows name scenarios by it; by the file's name the row was "not played"."""
    file = two_parts / "a.toml"
    file.write_text('name = "first"\n' + file.read_text())
    (two_parts / "strict.toml").write_text(BUDGET.format(bound=200, name="first"))
    runs = two_parts / "runs"
    monkeypatch.setattr(suite.single_run, "run", plays(runs, a="first"))
    verdict = suite.run(two_parts / "s.toml", runs=runs).verdict
    assert verdict.answer is Answer.PASS, verdict


def test_parts_of_one_name_are_refused(two_parts):
    file = two_parts / "a.toml"
    file.write_text('name = "b"\n' + file.read_text())
    with pytest.raises(BadFileError, match="scenarios of different names, found 'b' twice"):
        suite.run(two_parts / "s.toml", runs=two_parts / "runs")


@pytest.mark.parametrize("interruption", [InterruptedByUserError("enough"), KeyboardInterrupt()])
def test_ctrl_c_ends_a_suite(two_parts, monkeypatch, interruption):
    runs, played = two_parts / "runs", []
    ends = plays(runs)

    def play(part, **settings):
        played.append(part.stem)
        if len(played) == 2:
            raise interruption
        return ends(part, **settings)

    (two_parts / "s.toml").write_text('budget = "strict.toml"\nparts = ["a", "b", "c"]\n')
    (two_parts / "c.toml").write_text((two_parts / "b.toml").read_text())
    (two_parts / "strict.toml").write_text(BUDGET.format(bound=200, name="a"))
    monkeypatch.setattr(suite.single_run, "run", play)
    with pytest.raises(type(interruption)):
        suite.run(two_parts / "s.toml", runs=runs)
    assert played == ["a", "b"]
    judged = suite.judge(runs)
    assert judged.verdict.answer is Answer.UNKNOWN
    left = [one for one in judged.verdict.findings if one.name == "part: played"]
    assert [(one.phase, one.sentence) for one in left] == [
        (name, f"scenario {name!r} was not played: the suite was cut short") for name in ("b", "c")
    ]


def test_a_suite_that_names_a_row_of_no_part_is_refused(tmp_path):
    (tmp_path / "s.toml").write_text('budget = "b.toml"\nparts = ["meshara-mesh"]\n')
    (tmp_path / "meshara-mesh.toml").write_text(
        (ROOT / "scenarios/meshara-mesh.toml")
        .read_text()
        .replace('"mesh-100"', f'"{ROOT}/topologies/mesh-100.toml"')
        .replace('"meshara"', '"b.toml"')
    )
    (tmp_path / "b.toml").write_text(
        '[[row]]\nname = "r"\nmetric = "rss"\nstatistic = "max"\nbound = 1\nunit = "MB"\nphase = '
        '"connected"\nscenario = "other"\n'
    )
    with pytest.raises(
        BadFileError, match="row r: scenario: expected one of meshara-mesh; found 'other'"
    ):
        suite.check(files.read_suite(tmp_path / "s.toml"))
    with pytest.raises(BadFileError, match="'meshara-mesh' stands twice"):
        (tmp_path / "s.toml").write_text(
            'budget = "b.toml"\nparts = ["meshara-mesh", "meshara-mesh"]\n'
        )
        files.read_suite(tmp_path / "s.toml")


def test_a_scenario_is_no_suite():
    assert files.read_suite(ROOT / "scenarios/demo.toml") is None


def test_the_tables_rows_all_have_a_phase_that_is_played():
    planned = files.read_suite(ROOT / "scenarios/meshara.toml")
    suite.check(planned)
    played = {
        part.stem: {phase.name for phase in files.read_scenario(part).phases}
        for part in planned.parts
    }
    for one in files.read_budget(planned.budget).rows:
        assert one.conditions.phase in played[one.conditions.scenario], one.name


def test_the_tables_bounds_are_those_of_the_source():
    """The issue's table, once more and by hand: a bound that somebody loosened is seen here."""
    rows = {
        one["name"]: one.get("bound")
        for one in tomllib.loads((ROOT / "budgets/meshara.toml").read_text())["row"]
    }
    latency = {
        "message creation (sign + encrypt)": (1, 2, 5, 10),
        "message verification (decrypt + verify)": (1, 2, 5, 10),
        "end-to-end private message": (10, 20, 50, 100),
        "broadcast propagation (10 nodes)": (50, 100, 200, 500),
        "routing table lookup": (100, 200, 500, 1000),
        "TLS handshake": (20, 50, 100, 200),
        "DHT lookup (1000 nodes)": (100, 200, 500, 1000),
    }
    for name, bounds in latency.items():
        assert tuple(rows[f"{name} {which}"] for which in ("p50", "p95", "p99", "p99.9")) == bounds
    resources = {
        "RSS": (50, 200, 500),
        "CPU of one core": (1, 30, 80),
        "file descriptors": (100, 1000, 10000),
        "network": (1, 10, 100),
    }
    for name, bounds in resources.items():
        assert tuple(rows[f"{name}, {phase}"] for phase in ("idle", "active", "peak")) == bounds
    assert rows["message operations p99"] == 50
    assert [
        rows[name]
        for name in (
            "messages per second, one node",
            "network throughput, one node",
            "concurrent connections",
            "routing table entries",
            "gossip fanout",
        )
    ] == [10_000, 100, 1_000, 100_000, 10]
    assert (
        rows["1000 private messages between two nodes"]
        == rows["1000 private messages between two nodes, average"]
        == 1
    )
    assert rows["1 node broadcasting to 100"] == 200

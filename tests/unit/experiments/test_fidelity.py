"""How near a replay came: the parts, and the number that is the least of them."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from kit import run_folders
from kit.histories import MS, SECOND

from harness.experiments import comparable, fidelity
from harness.experiments.comparable import Answered, Played, When
from harness.history import history
from harness.history.events import FaultChanged, NodeStarted, PhaseBegan, PhasesOver
from harness.history.history import PhaseWindow
from harness.history.proof import READ_BACK, Proof, ProofAnswer
from harness.reports import replay as reports

T0 = 500 * SECOND
FACTS = {
    "load": {"streams": [{"phase": "load", "operation": "broadcast"}]},
    "runtime": {"name": "netns"},
    "host": {"kernel": "6.1", "versions": {"p2p-harness": "1"}, "memory_bytes": 1},
}


def change(verb: str, at_ms: float, fault: str = "cut", took_ms: float = 1.0) -> FaultChanged:
    return FaultChanged(verb=verb, fault=fault, set_ns=T0 + round(at_ms * MS), took_ms=took_ms)


def phase(at_ms: float) -> PhaseBegan:
    return PhaseBegan(at_ns=T0 + round(at_ms * MS), phase="load")


def over(at_ms: float) -> PhasesOver:
    return PhasesOver(at_ns=T0 + round(at_ms * MS))


def look(what: str, achieved: float | None, **changes) -> Proof:
    return replace(
        Proof(
            at_ns=T0,
            fault="slow",
            what=what,
            asked=achieved and 50.0,
            achieved=achieved,
            n=20,
            tolerance=2.0,
            backend="netem",
            answer=ProofAnswer.IN_FORCE,
        ),
        **changes,
    )


FIRST = Played(
    facts=FACTS,
    happened=(phase(1), change("set", 5000), change("clear", 9000), over(20_000)),
    t0_ns=T0,
    phases=(PhaseWindow(name="load", begin_ns=T0, end_ns=T0 + 20 * SECOND),),
    proofs=(look("delay", 50.0), look("cut", None, fault="cut")),
    sent=(2000,),
    when=(When(np.arange(2000), np.arange(2000) * 10),),
    answers=(Answered("load", "latency", "PASS", "3 ms"), Answered("", "host", "PASS", "–")),
)


def compared(**changes):
    return fidelity.compare(FIRST, replace(FIRST, **changes))


def part(name: str, **changes):
    return compared(**changes)["parts"][name]


def test_a_run_is_as_near_to_itself_as_can_be():
    found = compared()
    assert found["fidelity"] == 1.0
    assert [one["score"] for one in found["parts"].values()] == [1.0] * 4
    assert (found["differs"], found["parts"]["findings"]["changed"]) == ([], [])


@pytest.mark.parametrize(("error", "score"), [(0, 1), (20, 1), (40, 0.5), (200, 0.1)])
def test_what_is_allowed_counts_whole_and_more_by_its_share(error, score):
    assert fidelity.closeness(error, 20) == pytest.approx(score)


def test_moments():
    """Each counts from its own run's t0; one is 60 ms late, two are on time, one 20 ms early."""
    later = replace(
        FIRST,
        t0_ns=T0 + SECOND,
        happened=(phase(1001), change("set", 6060), change("clear", 9980), over(21_000)),
    )
    found = fidelity.compare(FIRST, later)["parts"]["moments"]
    assert found["score"] == pytest.approx((1 + 1 / 3 + 1 + 1) / 4)
    assert found["worst_ms"] == pytest.approx(60)
    assert found["worst"] == "set cut"
    assert found["p99_ms"] == pytest.approx(60)
    assert found["median_ms"] == pytest.approx(10)


def test_a_moment_that_only_one_run_has():
    lacking = part("moments", happened=(phase(1), change("set", 5000), over(20_000)))
    assert (lacking["missing"], lacking["extra"]) == (["clear cut"], [])
    assert lacking["score"] == pytest.approx(3 / 4)
    more = part("moments", happened=(*FIRST.happened, change("set", 7000, "other")))
    assert (more["missing"], more["extra"]) == ([], ["set other"])
    assert more["score"] == pytest.approx(4 / 5)


def restart(began_ms: float, ready_ms: float) -> tuple[NodeStarted, FaultChanged]:
    """The end of a crash of one node, which starts then."""
    began_ns, ready_ns = (T0 + round(at_ms * MS) for at_ms in (began_ms, ready_ms))
    return (
        NodeStarted(at_ns=ready_ns - 1000, node="node-1"),
        FaultChanged(
            verb="clear",
            fault="crash",
            nodes=("node-1",),
            set_ns=ready_ns,
            took_ms=(ready_ns - began_ns) / MS,
        ),
    )


def test_how_long_a_node_takes_to_start_is_no_error_of_the_replay():
    first = replace(FIRST, happened=(phase(1), *restart(5000, 5200)))
    again = replace(FIRST, happened=(phase(1), *restart(5004, 5900)))
    found = fidelity.compare(first, again)["parts"]["moments"]
    assert found["worst_ms"] == pytest.approx(4)
    assert [(one["what"], one["original_ms"], one["replay_ms"]) for one in found["starts"]] == [
        ("clear crash", pytest.approx(200), pytest.approx(896))
    ]
    late = replace(FIRST, happened=(phase(1), *restart(5100, 5200)))
    assert fidelity.compare(first, late)["parts"]["moments"]["worst_ms"] == pytest.approx(100)


def test_what_goes_as_the_run_is_closed_is_compared_with_nothing_and_named():
    stood = (phase(1), change("set", 5000), over(20_000))
    for was, now, named in ((300, 900, True), (10, 900, False), (300, -100, False)):
        first, again = (
            replace(FIRST, happened=(*stood, change("clear", 20_000 + after)))
            for after in (was, now)
        )
        found = fidelity.compare(first, again)["parts"]["moments"]
        assert found["not_compared"] == (["clear cut"] if named else [])
        assert found["worst_ms"] == pytest.approx(0 if named else now - was)


def test_each_coming_is_compared_with_its_own():
    """A fault that comes twice has two moments, in order."""
    twice = (change("set", 1000), change("clear", 2000), change("set", 3000), change("clear", 4000))
    first = replace(FIRST, happened=twice)
    found = fidelity.compare(first, replace(first, happened=twice[:2]))["parts"]["moments"]
    assert found["missing"] == ["clear cut", "set cut"]
    assert [one["error_ms"] for one in found["errors"]] == [0, 0]


def test_what_stood_before_the_run_stands_at_its_beginning():
    early, earlier = change("set", -200), change("set", -900)
    first = replace(FIRST, happened=(early, phase(1)))
    found = fidelity.compare(first, replace(FIRST, happened=(earlier, phase(1))))
    assert found["parts"]["moments"]["worst_ms"] == 0


def test_what_goes_as_the_run_ends_need_not_have_been_seen_in_both():
    stood = (phase(1), change("set", 5000), over(20_000))
    gone = (*stood, change("clear", 20_003))
    for first, again in ((stood, gone), (gone, stood)):
        found = fidelity.compare(replace(FIRST, happened=first), replace(FIRST, happened=again))
        assert found["parts"]["moments"]["score"] == 1.0
    too_early = (*stood, change("clear", 19_500))
    found = fidelity.compare(replace(FIRST, happened=stood), replace(FIRST, happened=too_early))
    assert found["parts"]["moments"]["extra"] == ["clear cut"]


def test_other_events_are_no_moments():
    happened = (*FIRST.happened, NodeStarted(at_ns=T0, node="node-1"))
    assert part("moments", happened=happened)["score"] == 1.0


@pytest.mark.parametrize(("sent", "score"), [(1980, 1), (2020, 1), (1960, 0.5), (0, 0.01)])
def test_rates(sent, score):
    found = part("load", sent=(sent,))
    assert found["score"] == pytest.approx(score)
    [stream] = found["streams"]
    assert (stream["original_per_s"], stream["replay_per_s"]) == (100.0, sent / 20)


def test_one_operation_more_of_a_few_is_no_error():
    first = replace(FIRST, sent=(3,))
    assert fidelity.compare(first, replace(first, sent=(4,)))["parts"]["load"]["score"] == 1.0


def at_other_moments(later_ms, lost=()):
    """The load of the first run, each operation so much later, without some of them."""
    [was] = FIRST.when
    there = np.setdiff1d(was.number, lost)
    when = When(there, (was.at_ms + later_ms)[there])
    return part("load", sent=(len(there),), when=(when,))


@pytest.mark.parametrize(("later_ms", "score"), [(0, 1), (20, 1), (40, 0.5), (-400, 0.05)])
def test_each_operation_is_held_to_its_moment(later_ms, score):
    """Also where every second has as many as in the original."""
    assert at_other_moments(later_ms)["score"] == pytest.approx(score)


def test_jitter_is_no_error():
    jitter = np.random.default_rng(1).integers(-20, 21, 2000)
    assert at_other_moments(jitter)["score"] == 1.0


def test_a_load_generator_that_stood_still_sent_the_same_at_other_moments():
    """For 3 s of 20: what was due then was sent when it went on, as many as in the original."""
    due_ms = FIRST.when[0].at_ms
    found = at_other_moments(np.where((due_ms >= 5000) & (due_ms < 8000), 8000 - due_ms, 0))
    [stream] = found["streams"]
    assert (stream["original_per_s"], stream["replay_per_s"], stream["error"]) == (100, 100, 0)
    assert (stream["both"], stream["only_one"], stream["moved"]) == (2000, 0, 298)
    assert stream["furthest_ms"] == 3000
    assert 1 - 298 / 2000 < found["score"] < 0.9
    said = str(reports.rows(compared(when=(When(np.arange(2000), due_ms + 3000),))))
    assert "2,000 of 2,000 operations at another moment (furthest +3,000 ms)" in said


def test_as_many_others_are_not_the_same():
    """The original never sent what was due in one second, the replay what was in another."""
    was, now = (np.setdiff1d(np.arange(2000), np.arange(at, at + 100)) for at in (500, 900))
    first, again = (replace(FIRST, sent=(1900,), when=(When(one, one * 10),)) for one in (was, now))
    found = fidelity.compare(first, again)["parts"]["load"]
    assert found["score"] == pytest.approx(1800 / (1800 + 200 - 19))
    assert found["streams"][0]["only_one"] == 200


def test_one_in_a_hundred_that_was_not_sent_is_no_error():
    """And what comes after it is at its own moment."""
    assert at_other_moments(0, lost=range(0, 2000, 100))["score"] == 1.0


def test_of_what_does_not_say_when_it_was_sent_that_is_told():
    """As of a bundle of an older version: how much was sent is compared."""
    found = compared(when=None)
    assert found["parts"]["load"]["score"] == 1.0
    assert "0 % off); when each operation was sent is not known" in str(reports.rows(found))
    assert reports.whole(found).endswith("known: not when each operation was sent")


@pytest.mark.parametrize(("achieved", "score"), [(54.0, 1), (46.0, 1), (58.0, 0.5)])
def test_amounts_are_held_to_the_tolerances_of_both_looks(achieved, score):
    found = part("faults", proofs=(look("delay", achieved), FIRST.proofs[1]))
    assert found["score"] == pytest.approx((score + 1) / 2)


def test_an_amount_that_was_not_shown_is_none():
    unshown = look("delay", 5.0, answer=ProofAnswer.AMOUNT_NOT_SHOWN)
    found = part("faults", proofs=(unshown, FIRST.proofs[1]))
    assert found["score"] == pytest.approx(1 / 2)
    assert found["seen"][1]["replay"] == "amount not shown"


def test_what_is_no_amount_is_held_to_its_answer():
    wrong = look("cut", None, fault="cut", answer=ProofAnswer.NOT_IN_FORCE)
    found = part("faults", proofs=(*FIRST.proofs, wrong))
    assert found["score"] == pytest.approx(1 / 2)
    assert (found["seen"][0]["original"], found["seen"][0]["replay"]) == (
        "in force",
        "not in force",
    )


def test_a_fault_that_nobody_looked_at_again():
    assert part("faults", proofs=FIRST.proofs[:1])["score"] == pytest.approx(1 / 2)


def test_what_shows_no_amount_is_left_out():
    more = (
        look(READ_BACK, None),
        look("clear", None, answer=ProofAnswer.GONE),
        look("delay", 0.0, asked=0.0, answer=ProofAnswer.GONE),
    )
    assert part("faults", proofs=(*FIRST.proofs, *more))["score"] == 1.0


def test_what_neither_run_saw_is_not_compared_and_said():
    """Two faults of which no look shows anything are not the same because of it."""
    unshown = tuple(replace(one, answer=ProofAnswer.AMOUNT_NOT_SHOWN) for one in FIRST.proofs[:1])
    first = replace(FIRST, proofs=unshown)
    found = fidelity.compare(first, first)["parts"]["faults"]
    assert (found["score"], found["unknown"]) == (None, "neither run saw anything of its faults")
    assert [(one["fault"], one["original"]) for one in found["seen"]] == [
        ("cut", "no look"),
        ("slow", "amount not shown"),
    ]
    seen = replace(FIRST, proofs=FIRST.proofs[1:])
    more = (*FIRST.happened, change("set", 1, "short"))
    again = fidelity.compare(seen, replace(seen, happened=more))
    assert again["parts"]["faults"]["score"] == 1.0
    assert "not all of it seen in either run: short" in str(reports.rows(again))


def test_paths_that_no_fault_touches_are_no_fault():
    """A look that began before another fault went shows a delay on them, by chance."""
    other = look("delay", 50.0, fault="untouched")
    assert [one["fault"] for one in part("faults", proofs=(*FIRST.proofs, other))["seen"]] == [
        "cut",
        "slow",
    ]


def test_looks_that_are_lost_are_none_that_differ():
    found = fidelity.compare(replace(FIRST, proofs=None), FIRST)
    assert found["parts"]["faults"]["score"] is None
    assert found["fidelity"] == 1.0
    assert reports.whole(found).endswith("the least of its parts that are known: not faults")


def test_what_neither_verdict_knows_is_not_the_same():
    unknown = tuple(one._replace(answer="UNKNOWN") for one in FIRST.answers)
    first = replace(FIRST, answers=unknown)
    found = fidelity.compare(first, first)["parts"]["findings"]
    assert (found["score"], found["of"], found["unknown_in_both"]) == (None, 0, 2)
    assert found["unknown"] == "all findings are UNKNOWN in both verdicts"
    first = replace(FIRST, answers=(FIRST.answers[0], unknown[1]))
    again = fidelity.compare(first, first)
    assert again["parts"]["findings"]["score"] == 1.0
    assert "1 of 1 have the same answer; 1 more are UNKNOWN in both" in str(reports.rows(again))


def test_runs_of_other_streams_are_not_compared():
    found = fidelity.compare(FIRST, replace(FIRST, sent=(2000, 5)))["parts"]["load"]
    assert (found["score"], found["unknown"]) == (None, "the two had other streams")


def test_findings():
    others = (
        Answered("load", "latency", "FAIL", "9 ms"),
        Answered("", "host", "PASS", "–"),
        Answered("load", "more", "PASS", "1"),
    )
    found = part("findings", answers=others)
    assert found["of"] == 3
    assert found["score"] == pytest.approx(1 / 3)
    assert [(one["name"], one["original"], one["replay"]) for one in found["changed"]] == [
        ("latency", "PASS", "FAIL"),
        ("more", "–", "PASS"),
    ]


def test_what_only_tells_is_no_answer():
    """A finding that is MEASURED in one run, and not there in the other, has not changed."""
    tells = Answered("", "load generator, second by second", "MEASURED", "3 s in doubt")
    found = part("findings", answers=(*FIRST.answers, tells))
    assert (found["of"], found["changed"], found["score"]) == (2, [], 1.0)
    worse = tells._replace(answer="UNKNOWN")
    assert part("findings", answers=(*FIRST.answers, worse))["of"] == 3


def test_it_is_the_least_of_its_parts():
    assert compared(sent=(1960,))["fidelity"] == pytest.approx(0.5)
    assert compared(sent=(1960,), answers=())["fidelity"] == 0.0


def test_what_nobody_knows_is_left_out_and_said():
    found = compared(sent=None, answers=None, proofs=())
    assert found["parts"]["load"]["score"] is None
    assert "not all operations" in found["parts"]["load"]["unknown"]
    assert "not judged" in found["parts"]["findings"]["unknown"]
    assert found["fidelity"] == found["parts"]["faults"]["score"] == 0.0
    nothing = replace(FIRST, happened=(), proofs=(), sent=None, answers=None)
    assert fidelity.compare(nothing, nothing)["fidelity"] is None


def test_differences():
    other = {
        **FACTS,
        "runtime": {"name": "docker", "image": "sha256:1"},
        "host": {"kernel": "6.1", "versions": {"p2p-harness": "2"}, "memory_bytes": 2},
    }
    assert compared(facts=other)["differs"] == [
        ["host.versions.p2p-harness", "1", "2"],
        ["runtime.image", "–", "sha256:1"],
        ["runtime.name", "netns", "docker"],
    ]


def test_side_by_side_keeps_rows_apart_that_have_one_name():
    twice = [Answered("a", "row", "PASS", "1"), Answered("a", "row", "FAIL", "2")]
    once = [Answered("a", "row", "PASS", "1")]
    rows = fidelity.side_by_side([twice, once])
    assert [[one.answer for one in row] for row in rows] == [["PASS", "PASS"], ["FAIL", "–"]]


# ---- of folders ----------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path):
    made = run_folders.good(tmp_path / "runs")
    finding = {"phase": "load", "name": "latency", "answer": "PASS", "measured": "2 ms"}
    (made / "verdict.json").write_text(json.dumps({"findings": [finding]}))
    return made


def test_a_folder_is_read(folder):
    """Each stream of it sent all that its schedule has."""
    found = comparable.read(folder)
    assert found.answers == [Answered("load", "latency", "PASS", "2 ms")]
    assert [one.name for one in found.phases] == ["idle", "load", "settle"]
    assert len(found.proofs) > 4
    planned = [stream for phase in run_folders.SCENARIO.phases for stream in phase.streams]
    assert len(found.sent) == len(planned)
    assert found.sent[0] == 20 * 12
    assert sum(found.sent) == sum(_rows(folder))
    assert fidelity.compare(found, found)["fidelity"] == 1.0


def _rows(folder):
    for file in (folder / "load").glob("operations-*.arrow"):
        yield pa.ipc.open_stream(str(file)).read_all().num_rows


def test_what_was_never_sent_does_not_count(folder):
    file = folder / "load" / "operations-0.arrow"
    table = pa.ipc.open_stream(file.read_bytes()).read_all()
    whole = comparable.read(folder).sent
    sent_ns = table.column("sent_ns").to_numpy().copy()
    sent_ns[:7] = 0
    place = table.schema.get_field_index("sent_ns")
    changed = table.set_column(place, history.OPERATIONS.field("sent_ns"), pa.array(sent_ns))
    with pa.ipc.new_stream(str(file), table.schema) as writer:
        writer.write_table(changed)
    (folder / "manifest.json").unlink()
    facts = json.loads((folder / "metadata.json").read_text())
    (folder / "metadata.json").write_text(json.dumps({**facts, "manifest": False}))
    assert sum(whole) - sum(comparable.read(folder).sent) == 7


def test_without_operations_a_bundle_says_what_was_sent(folder):
    """Also one of an older version, which does not say when."""
    first = comparable.read(folder)
    whole, when = first.sent, first.when
    shutil.rmtree(folder / "load")
    assert comparable.read(folder).sent is None
    (folder / comparable.SENT).write_text(json.dumps(whole))
    assert comparable.read(folder).sent == whole
    assert comparable.read(folder).when is None
    (folder / comparable.SENT).write_text(json.dumps(comparable.Sent(whole, when).as_json()))
    again = comparable.read(folder)
    assert again.sent == whole
    for one, other in zip(when, again.when, strict=True):
        assert (one.number.tolist(), one.at_ms.tolist()) == tuple(map(list, other))


def test_when_operations_were_sent(folder):
    """By their numbers in the stream, whichever worker sent them."""
    number, at_ms = comparable.read(folder).when[0]
    assert number.tolist() == list(range(20 * 12))
    assert np.abs(at_ms - 4000 - number * 50).max() <= 20


def when(*streams: object) -> str:
    """A bundle's sent.json, of streams of which one sent something, or says nonsense."""
    none = {"number": [], "at_ms": []}
    return json.dumps({"counts": [1, 2, 3, 4], "when": [none, none, none, *streams]})


@pytest.mark.parametrize(
    "said",
    [
        *("null", "{", "[1]", "{}", '"x"'),
        *('[1, 2, 3, "4"]', "[NaN, 1, 2, 3]", "[-1, 1, 2, 3]"),
        '{"counts": [1, 2, 3, 4]}',
        '{"counts": [1, 2, 3], "when": null}',
        '{"counts": [1, 2, 3, 4], "when": 3}',
        when(),
        when({}),
        when({"number": [1], "at_ms": []}),
        when({"number": [1, 0], "at_ms": [1, 1]}),
        when({"number": [1.5], "at_ms": [1]}),
    ],
)
def test_a_bundle_that_does_not_say_it_of_each_stream_says_nothing(folder, said):
    shutil.rmtree(folder / "load")
    (folder / comparable.SENT).write_text(said)
    assert comparable.read(folder).sent is None


def test_operations_that_are_there_are_counted_whatever_a_bundle_would_say(folder):
    """No manifest holds what a bundle says."""
    whole = comparable.read(folder).sent
    (folder / comparable.SENT).write_text("[1, 2, 3, 4]")
    assert comparable.read(folder).sent == whole


def test_what_is_no_verdict_answers_nothing(folder):
    one = {"phase": "load", "name": "a", "answer": "PASS", "measured": "1"}
    for wrong in ({"name": {}}, {"answer": "GREAT"}, {"measured": 3}):
        (folder / "verdict.json").write_text(json.dumps({"findings": [{**one, **wrong}]}))
        assert comparable.answers(folder) is None
    (folder / "verdict.json").write_text(json.dumps({"findings": [one]}))
    assert comparable.answers(folder) == [Answered(**one)]


def test_looks_that_are_damaged_are_not_told(folder):
    """A look that is lost is none that was not made: the replay is not blamed for it."""
    assert comparable.read(folder).proofs
    (folder / "proofs.jsonl").write_text("torn\n")
    assert comparable.read(folder).proofs is None


def test_a_run_that_was_not_judged_has_no_answers(folder):
    (folder / "verdict.json").unlink()
    assert comparable.read(folder).answers is None


def test_no_operation_is_none_of_every_stream(folder):
    for file in (folder / "load").glob("operations-*.arrow"):
        with pa.ipc.new_stream(str(file), history.OPERATIONS) as writer:
            writer.write_table(history.OPERATIONS.empty_table())
    facts = json.loads((folder / "metadata.json").read_text())
    (folder / "metadata.json").write_text(json.dumps({**facts, "manifest": False}))
    (folder / "manifest.json").unlink()
    assert comparable.read(folder).sent == [0] * len(facts["load"]["streams"])
    assert np.sum(comparable.read(folder).sent) == 0

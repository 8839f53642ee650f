from __future__ import annotations

import json
from dataclasses import asdict, replace

import numpy as np
import pytest

from harness.checks import leaks
from harness.checks.leaks import Watched
from harness.checks.slope import Life
from harness.checks.verdict import Answer, Cause, Finding, Verdict
from harness.errors import BadFileError
from harness.experiments.soak import verdict as verdicts
from harness.experiments.soak.folder import Stage, Window
from harness.experiments.soak.verdict import Seen, whole

ROW = Finding(
    name="delivered",
    answer=Answer.PASS,
    promised=">= 99 %",
    measured="100 %",
    sentence="",
    phase="steady",
    value=100.0,
    metric="private_message.delivered",
    statistic="mean",
    unit="%",
    bound=99.0,
)


def finding(answer: Answer = Answer.PASS, value: float = 100.0, **others) -> Finding:
    cause = Cause.HOST_LIMITED if answer is Answer.UNKNOWN else None
    return replace(ROW, answer=answer, cause=cause, value=value, measured=f"{value:g} %", **others)


def seen(number: int, *findings: Finding, stage: Stage = Stage.PLAYED, problem: str = "") -> Seen:
    window = Window(number=number, seconds=600.0, stage=stage, problem=problem)
    return Seen(window=window, verdict=Verdict(findings=findings) if findings else None)


def judged(planned: int, *some: Seen, trends=(), ended: str | None = "", is_played=False):
    return whole(planned, some, trends, ended, is_played=is_played)


def windows_of(verdict: Verdict) -> Finding:
    return next(one for one in verdict.findings if one.name == verdicts.WINDOWS)


def test_all_windows_good():
    found = judged(2, seen(1, finding()), seen(2, finding(value=99.5)))
    assert found.answer is Answer.PASS
    assert windows_of(found).measured == "2 played, 2 judged"
    [row] = [one for one in found.findings if one.metric]
    assert (row.value, row.sentence) == (99.5, "the worst of 2 windows: 2")


@pytest.mark.parametrize("answer", [Answer.FAIL, Answer.UNKNOWN])
def test_one_window_of_many_decides(answer):
    others = [seen(number, finding()) for number in range(2, 49)]
    found = judged(48, seen(1, finding(answer, 90.0, sentence="why")), *others)
    assert found.answer is answer
    [row] = [one for one in found.findings if one.metric]
    assert row.sentence == "window 1 of 48; 1: why"
    assert row.value == 90.0


def test_of_what_promises_nothing_the_range_is_told():
    def one(value):
        return finding(Answer.MEASURED, value, bound=None, sentence="measured, not promised")

    found = judged(3, seen(1, one(80.0)), seen(2, one(70.0)), seen(3, one(90.0)), seen(4, ROW))
    row = found.findings[1]
    assert row.measured == "100 %"  # one of them is PASS
    row = judged(3, seen(1, one(80.0)), seen(2, one(70.0)), seen(3, one(90.0))).findings[1]
    assert row.measured == "70 % to 90 %"
    assert row.sentence.startswith("from window 2 to window 3")


def test_a_window_that_could_not_begin_is_said():
    broken = seen(2, stage=Stage.BROKEN, problem="the cluster died")
    found = judged(3, seen(1, finding()), broken, seen(3, finding()))
    assert found.answer is Answer.UNKNOWN
    assert windows_of(found).sentence == "window 2: not begun: the cluster died"
    assert windows_of(found).measured == "2 played, 2 judged"


def test_a_cut_window_is_said_though_it_was_judged():
    cut = seen(2, finding(), stage=Stage.CUT, problem="it was interrupted")
    found = windows_of(judged(3, seen(1, finding()), cut, ended="it was interrupted in window 2"))
    assert found.answer is Answer.UNKNOWN
    assert found.sentence == (
        "ended early: it was interrupted in window 2; window 2: cut short: it was interrupted; "
        "1 of 3 windows were not begun"
    )


def test_killed_and_under_way_are_not_the_same():
    killed = windows_of(judged(3, seen(1, finding()), ended=None))
    assert killed.cause is Cause.NOT_MEASURED
    assert "was killed" in killed.sentence
    now = seen(2, stage=Stage.PLAYING)
    played = windows_of(judged(3, seen(1, finding()), now, ended=None, is_played=True))
    assert played.cause is Cause.UNDER_WAY
    assert played.sentence == ("window 2: is being played; 1 of 3 windows were not begun")
    assert "killed" not in played.sentence


def test_a_window_that_was_not_judged_is_no_pass():
    found = judged(2, seen(1, finding()), seen(2))
    assert found.answer is Answer.UNKNOWN
    assert "window 2: not judged" in windows_of(found).sentence


def test_nothing_played_is_unknown():
    assert judged(3, ended="the cluster died").answer is Answer.UNKNOWN


def test_many_windows_make_no_long_sentence():
    some = [seen(n, stage=Stage.BROKEN, problem="x") for n in range(1, 49)]
    assert windows_of(judged(48, *some)).sentence.endswith("and 40 more windows")


def series(of: str, per_h: float, *, is_node: bool = True) -> Watched:
    at_s = np.arange(0, 7200.0, 10)
    values = 50e6 + per_h * at_s / 3600 + np.random.default_rng(1).normal(0, 1e5, len(at_s))
    life = Life(at_s=at_s, values=values, process=1)
    return Watched(of=of, resource="rss", lives=(life,), is_node=is_node)


def test_a_leak_of_a_node_fails_a_soak_whose_windows_passed():
    trends = leaks.found([series("node-1", 20e6), series("node-2", 0)])
    found = judged(1, seen(1, finding()), trends=trends)
    assert found.answer is Answer.FAIL
    said = "; ".join(one.sentence for one in found.findings if one.answer is Answer.FAIL)
    assert "node-1: rss +20" in said
    assert "node-2" not in said


def uneven(of: str) -> Watched:
    at_s = np.arange(0, 7200.0, 10)
    values = np.interp(at_s, [1440, 3600, 7200], [182e6, 147e6, 150e6])
    return Watched(of=of, resource="rss", lives=(Life(at_s=at_s, values=values, process=1),))


def test_a_node_that_is_too_uneven_leaves_open_whether_any_leaks():
    """Where the file asks; one that was restarted again and again is only named."""
    trends = leaks.found([uneven("node-1"), series("node-2", 0)])
    for asked, answer in ((True, Answer.UNKNOWN), (False, Answer.PASS)):
        [found] = verdicts.of_nodes(trends, asked=asked)
        assert found.answer is answer
        assert "node-1: too uneven to tell" in found.sentence
    assert verdicts.of_nodes(trends, asked=True)[0].measured == "1 of 3 told"  # nor is their mean
    flat = np.full(60, 50e6)
    lives = [Life(at_s=100.0 * at + np.arange(60.0), values=flat, process=at) for at in range(70)]
    churned = Watched(of="node-3", resource="rss", lives=tuple(lives))
    [found] = verdicts.of_nodes(leaks.found([churned, series("node-2", 0)]), asked=True)
    assert found.answer is Answer.PASS
    assert found.sentence.endswith("node-3: restarted too often to tell")


def young(of: str, per_h: float) -> Watched:
    """Memory of a quarter of an hour."""
    at_s = np.arange(0, 900.0, 10)
    lives = (Life(at_s=at_s, values=50e6 + per_h * at_s / 3600, process=1),)
    return Watched(of=of, resource="memory", lives=lives)


def test_a_node_that_may_still_fill_fails_nothing_and_is_not_said_not_to_grow():
    trends = leaks.found([young("node-1", 4e6), young("node-2", 0)])
    for asked, answer in ((True, Answer.UNKNOWN), (False, Answer.MEASURED)):
        [found] = verdicts.of_nodes(trends, asked=asked)
        assert (found.answer, found.measured) == (answer, "1 of 3 told")
        said = "node-1, mean of all nodes: too early to tell, for it may still fill"
        assert found.sentence.endswith(said)
    assert judged(1, seen(1, finding()), trends=trends).answer is Answer.PASS


def test_of_the_harness_it_is_said_why_nobody_can_tell():
    """Two hours are not too short."""
    own = replace(uneven("harness: supervisor"), is_node=False)
    [found] = verdicts.of_own(leaks.found([own]))
    assert found.measured.startswith("-")
    assert found.measured.endswith("]")
    assert found.sentence.startswith("too uneven to tell: 180 MB, 147 MB after ")


def test_what_grows_in_the_harness_fails_nothing():
    """A longer soak would be disturbed by it, so it is UNKNOWN."""
    trends = leaks.found([series("harness: soak", 50e6, is_node=False), series("node-2", 0)])
    found = judged(1, seen(1, finding()), trends=trends)
    assert found.answer is Answer.UNKNOWN
    slower = leaks.found([series("harness: soak", 5e6, is_node=False), series("node-2", 0)])
    judged_slower = judged(1, seen(1, finding()), trends=slower)
    assert judged_slower.answer is Answer.PASS
    said = {one.name: one.sentence for one in judged_slower.findings}
    assert said["harness: soak: rss"].startswith("it grows; what is surely more than 10 MB/h")
    flat = leaks.found([series("harness: soak", 0, is_node=False), series("node-2", 0)])
    assert judged(1, seen(1, finding()), trends=flat).answer is Answer.PASS


def test_what_was_written_is_read_again():
    made = judged(2, seen(1, finding(Answer.FAIL, 1.0)), seen(2, finding(Answer.UNKNOWN)))
    said = json.loads(json.dumps({"findings": [asdict(one) for one in made.findings]}))
    assert verdicts.read(said) == made


@pytest.mark.parametrize(
    "said",
    [
        {},
        {"findings": 3},
        {"findings": [{"name": "x"}]},
        {"findings": [{**asdict(ROW), "answer": "GOOD"}]},
        {"findings": [{**asdict(ROW), "value": "high"}]},
    ],
)
def test_what_is_no_verdict_is_refused(said):
    with pytest.raises(BadFileError):
        verdicts.read(said)

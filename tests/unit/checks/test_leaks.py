"""Leaks planted in one of several series: found, and none else; and what is said of them."""

from __future__ import annotations

import zlib

import numpy as np
import pytest

from harness.checks import leak_check, leaks
from harness.checks.leaks import TOGETHER, Watched
from harness.checks.slope import Life
from harness.checks.verdict import Answer

HOUR = 3600


def life(values, begin_s: float = 0.0, process: int | None = None) -> Life:
    values = np.asarray(values, np.float64)
    return Life(at_s=begin_s + np.arange(len(values)), values=values, process=process)


def nodes(resource: str, leaks_per_h: float, seconds: int = 2 * HOUR, count: int = 10):
    """Ten nodes, of which node-3 leaks; all have noise, and teeth where it is memory."""
    at, made = np.arange(seconds), []
    for number in range(count):
        rng = np.random.default_rng(zlib.crc32(f"{resource} {number}".encode()))
        if resource == "rss":
            values = 50e6 + (at + rng.integers(45)) % 45 * 0.2e6 + rng.normal(size=seconds) * 50e3
        else:
            values = 20 + rng.poisson(0.5, seconds)
        if number == 3:
            values = values + np.floor(at * leaks_per_h / HOUR)
        made.append(
            Watched(of=f"node-{number}", resource=resource, lives=(life(values),), limit=20_000)
        )
    return made


def found(watched) -> list[str]:
    return [
        f"{one.watched.of} {one.watched.resource}" for one in leaks.found(watched) if one.is_leak
    ]


@pytest.mark.parametrize(
    ("resource", "leaks_per_h"), [("fds", 60), ("rss", 2e6), ("connections", 30), ("threads", 20)]
)
def test_a_leak_of_one_node_is_found_and_none_else(resource, leaks_per_h):
    clean = [
        one
        for other in ("rss", "fds", "threads", "connections")
        if other != resource
        for one in nodes(other, 0)
    ]
    named = found([*nodes(resource, leaks_per_h), *clean])
    assert f"node-3 {resource}" in named
    assert set(named) <= {f"node-3 {resource}", f"{TOGETHER} {resource}"}


def test_nothing_is_found_where_nothing_leaks():
    watched = [one for resource in ("rss", "fds", "threads") for one in nodes(resource, 0)]
    assert found(watched) == []


def test_what_leaks_a_little_everywhere_shows_in_the_mean():
    """Half of the noise of each in an hour, in each of 60 nodes: the mean is found first."""
    at, made = np.arange(HOUR), []
    for number in range(60):
        rng = np.random.default_rng(number)
        values = 100 + at * 6 / HOUR + rng.normal(size=HOUR) * 12
        made.append(Watched(of=f"node-{number}", resource="fds", lives=(life(values),)))
    assert f"{TOGETHER} fds" in found(made)


def test_the_sentence():
    values = 20 + np.floor(np.arange(HOUR) / 60)
    made = [
        Watched(of="node-3", resource="fds", lives=(life(values),), limit=20_000),
        Watched(of="node-4", resource="fds", lives=(life(values[:60]),), limit=20_000),
    ]
    leaking, short = leaks.found(made)[:2]
    assert leaking.is_leak
    assert (
        leaking.sentence
        == "node-3: fds +1.0/min [1.0, 1.0], reaches its limit of 20,000 in 14 days"
    )
    assert not short.is_leak
    assert short.sentence == "node-4: fds: too short to tell: 59 s of it"


def uneven(seconds: int, per_h: float = 0.0) -> np.ndarray:
    """Memory of 182 MB that falls to 147 after a third of the time, and has 150 in the end."""
    at = np.arange(seconds)
    noise = np.random.default_rng(3).normal(0, 2e5, seconds)
    turns = np.interp(at, np.array([0.2, 0.5, 1]) * seconds, [182e6, 147e6, 150e6])
    return turns + noise + at * per_h / HOUR


def test_what_is_long_and_uneven_is_not_called_short():
    """Two hours are not too short; they are told with an interval that holds what they may do."""
    (trend,) = leaks.found([Watched(of="n", resource="rss", lives=(life(uneven(2 * HOUR)),))])
    assert not trend.is_told
    assert not trend.is_leak
    assert "n: rss -" in trend.sentence
    said = trend.sentence.partition("], too uneven to tell: ")[2]
    assert said == "180 MB, 147 MB after 34 min, 149 MB after 2 h"
    assert trend.slope.low_per_s * HOUR < -35e6 / 2
    assert trend.slope.high_per_s > 0
    finding = leak_check.findings([trend])[0]
    assert (finding.answer, finding.sentence) == (Answer.UNKNOWN, trend.sentence)


def test_a_leak_in_what_wanders_is_not_denied():
    """That its interval says something makes no leak of it, and no PASS."""
    made = [Watched(of="n", resource="rss", lives=(life(uneven(2 * HOUR, per_h=500e6)),))]
    (trend,) = leaks.found(made)
    assert trend.slope.low_per_s <= 0
    assert trend.slope.high_per_s * HOUR > 500e6
    assert leak_check.findings([trend])[0].answer is not Answer.PASS


def test_what_rises_for_sure_and_wanders_is_not_called_clean():
    """36 MB/h under noise of which much is as it was five minutes before. It is not said to leak,
    for it wanders; that none grows was said of it.
    """
    rng, at_s, values = np.random.default_rng(0), np.arange(0, 7200, 10.0), [0.0]
    repeats = np.exp(-10 / 300)
    for noise in rng.normal(size=len(at_s))[1:]:
        values.append(repeats * values[-1] + noise * np.sqrt(1 - repeats**2))
    grows = Life(at_s=at_s, values=50e6 + at_s * 1e4 + np.array(values) * 1e6)
    (trend,) = leaks.found([Watched(of="n", resource="memory", lives=(grows,))])
    assert trend.slope.repeats >= leaks.WANDERS
    assert not trend.slope.is_uneven
    assert trend.slope.low_per_s * HOUR > 20e6
    assert not trend.is_leak
    finding = leak_check.findings([trend])[0]
    assert finding.answer is Answer.UNKNOWN
    assert "too uneven to tell" in finding.sentence


def memory(number: int, values: np.ndarray, of_files: np.ndarray) -> list[Watched]:
    rng = np.random.default_rng(number)
    held = values + rng.normal(0, 1e4, len(values))
    made = (("memory", held), ("rss", held + of_files))
    return [
        Watched(of=f"node-{number}", resource=resource, lives=(life(some),))
        for resource, some in made
    ]


def test_a_leak_that_the_kernel_takes_back_from_resident_memory_is_found():
    """What it drops or swaps out is as much as leaks: resident memory is flat, and is no witness.
    Nor is it where files are mapped more and more, which is no leak.
    """
    grows, flat = 50e6 + np.arange(HOUR) * 10e6 / HOUR, np.full(HOUR, 50e6)
    watched = [
        *memory(0, grows, of_files=-np.arange(HOUR) * 10e6 / HOUR + 20e6),
        *memory(1, flat, of_files=np.arange(HOUR) * 10e6 / HOUR),
        *memory(2, flat, of_files=np.zeros(HOUR)),
    ]
    assert found(watched) == ["node-0 memory", f"{TOGETHER} memory"]
    resident = [one for one in watched if one.resource == "rss"]
    assert found(resident) == ["node-1 rss", f"{TOGETHER} rss"]


def test_of_an_earlier_version_resident_memory_is_looked_at():
    """Also beside nodes that are told of."""
    grows = 50e6 + np.arange(HOUR) * 10e6 / HOUR
    _, older = memory(0, grows, of_files=np.zeros(HOUR))
    newer = memory(1, np.full(HOUR, 50e6), of_files=np.zeros(HOUR))
    assert found([older, *newer]) == ["node-0 rss"]


@pytest.mark.parametrize(
    ("lives", "says"),
    [
        ([60] * 80, "restarted too often to tell: 80 lives, the longest of 59 s"),
        ([1] * 9, "restarted too often to tell: 9 lives, the longest of 0 s"),  # seldom looked at
        ([1], "too short to tell: 0 s of it"),
        ([], "too short to tell: nothing of it was sampled"),
    ],
)
def test_why_nobody_can_tell(lives, says):
    """A process that was restarted every minute of two hours did not live too short in all."""
    made = tuple(life(np.zeros(count), 60.0 * at) for at, count in enumerate(lives))
    (trend,) = leaks.found([Watched(of="delay engine", resource="fds", lives=made)])
    assert trend.sentence == f"delay engine: fds: {says}"


def test_few_samples_of_a_long_time_are_not_called_short():
    seldom = Life(at_s=np.arange(5) * 1800.0, values=np.zeros(5))
    (trend,) = leaks.found([Watched(of="n", resource="disk", lives=(seldom,))])
    assert trend.sentence == "n: disk: too few samples to tell: 5 in 2 h"
    some = Life(at_s=np.arange(16) * 100.0, values=np.repeat([28672.0, 40960.0], 8))
    watched = [Watched(of=f"n{at}", resource="disk", lives=(some,)) for at in range(66)]
    trend = leaks.found(watched)[0]
    assert trend.sentence == "n0: disk: too few samples to tell: 16 in 25 min"
    assert trend.slope is not None


@pytest.mark.parametrize(
    ("resource", "per_h", "says"),
    [("rss", 2e6, "+2.0 MB/h [2.0, 2.0]"), ("disk", 20e6, "+20.0 MB/h [20.0, 20.0]")],
)
def test_bytes_are_told_in_megabytes_an_hour(resource, per_h, says):
    values = 50e6 + np.floor(np.arange(4 * HOUR) * per_h / HOUR)
    (trend,) = leaks.found([Watched(of="n", resource=resource, lives=(life(values),), limit=900e6)])
    assert says in trend.sentence
    assert ", reaches its limit of 900 MB in " in trend.sentence


def test_a_slow_growth_is_not_told_of():
    """A descriptor an hour would take years."""
    values = 20 + np.floor(np.arange(24 * HOUR) / HOUR)
    (trend,) = leaks.found([Watched(of="n", resource="fds", lives=(life(values),))])
    assert not trend.is_leak
    assert trend.slope.per_s * HOUR == pytest.approx(1, rel=0.05)


def test_holm_is_exact():
    assert leaks._holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert leaks._holm([0.9, 0.001]) == pytest.approx([0.9, 0.002])
    assert leaks._holm([]) == []


def test_windows_are_joined_and_a_process_goes_on():
    """Twelve windows of ten minutes with breaks, one restart between the sixth and the seventh."""
    values = 20 + np.floor(np.arange(2 * HOUR) / 60)
    parts = [
        [
            Watched(
                of="n",
                resource="fds",
                lives=(life(values[at : at + 590], at, process=7 if at < HOUR else 8),),
                limit=100 if at else None,
            )
        ]
        for at in range(0, 2 * HOUR, 600)
    ]
    (one,) = leaks.joined(parts)
    assert [life.process for life in one.lives] == [7, 8]
    assert [len(life.at_s) for life in one.lives] == [3540, 3540]
    assert one.limit == 100
    (again,) = leaks.joined([leaks.thinned(part, 60.0) for part in parts])
    for watched in (one, again):
        (trend,) = leaks.found([watched])
        assert trend.is_leak
        assert trend.slope.per_s * 60 == pytest.approx(1, abs=0.05)


def test_nodes_that_nobody_noted_are_not_joined():
    parts = [[Watched(of="n", resource="fds", lives=(life(np.zeros(5)),))]] * 2
    (one,) = leaks.joined(parts)
    assert len(one.lives) == 2


def test_nothing_to_look_at():
    assert leaks.found([]) == []
    assert leaks.joined([]) == []
    (trend,) = leaks.found([Watched(of="n", resource="fds", lives=())])
    assert trend.slope is None


def filling(share: float, seed: int, minutes: int, megabytes: float) -> Watched:
    """Memory of a node that fills, as far as it goes within `share` of the time: most of it comes
    early, and ever less; as noisy as what an allocator takes and gives back.
    """
    at = np.arange(60 * minutes)
    risen = (1 - np.exp(-at / (share * len(at)))) / (1 - np.exp(-1 / share))
    return noisy(18.6e6 + megabytes * 1e6 * risen, seed)


def noisy(values: np.ndarray, seed: int) -> Watched:
    """A node with this memory, and noise of 0.1 MB of which much is as it was a second before."""
    steps, noise = np.random.default_rng(seed).normal(0, 45e3, len(values)), np.empty(len(values))
    for now, step in enumerate(steps):
        noise[now] = step + (0.9 * noise[now - 1] if now else 0)
    return Watched(of=f"n{seed}", resource="memory", lives=(life(values + noise),))


@pytest.mark.parametrize(("minutes", "megabytes"), [(14, 2.2), (60, 3)])
def test_what_fills_ever_more_slowly_is_not_said_to_leak(minutes, megabytes):
    """By the slope of the whole alone some of these are."""
    trends = [leaks.found([filling(0.5, seed, minutes, megabytes)])[0] for seed in range(30)]
    assert sum(one.rises for one in trends) >= 3
    assert not any(one.is_leak for one in trends)


def test_what_surely_slows_down_says_so():
    """Four megabytes in two hours, of which each quarter of an hour brings less than the last."""
    at = np.arange(2 * HOUR)
    (trend,) = leaks.found([noisy(18.6e6 + 4e6 * np.sqrt(at / len(at)), 1)])
    assert trend.rises
    assert not trend.is_leak
    assert trend.slope.halves[0] > trend.slope.halves[1] > 0.5 * trend.slope.per_s
    assert ", too early to tell: it rises ever more slowly, by 1.6 MB/h" in trend.sentence
    finding = leak_check.findings([trend])[0]
    assert (finding.answer, finding.measured) == (Answer.UNKNOWN, "0 of 1 told")


def test_what_is_young_may_still_fill():
    """A cache of what was seen in the last ten minutes rises like a leak until it is full: nobody
    can tell of a node that took a twentieth more. What takes much more is not waited for, nor what
    goes on for an hour.
    """
    at = np.arange(HOUR)
    steady = 18.6e6 + 4.4e6 * at / HOUR
    (young,) = leaks.found([noisy(steady[: 14 * 60], 1)])
    assert (young.rises, young.is_leak) == (True, False)
    assert ", too early to tell: it may still fill, and took 5 % more in 14 min" in young.sentence
    assert leak_check.findings([young])[0].answer is Answer.UNKNOWN
    assert leaks.found([noisy(steady, 1)])[0].is_leak
    assert leaks.found([noisy(18.6e6 + 40e6 * at[: 14 * 60] / HOUR, 1)])[0].is_leak


def test_descriptors_have_no_youth():
    """Nobody takes them for what was seen: one a minute is told after twenty minutes."""
    values = 200 + np.floor(np.arange(20 * 60) / 60)
    assert found([Watched(of="n", resource="fds", lives=(life(values),))]) == ["n fds"]


def test_a_leak_that_lasts_is_found_behind_a_warm_up():
    """Half an hour of filling, then 4 MB/h."""
    at = np.arange(2 * HOUR)
    values = 50e6 + 3e6 * (1 - np.exp(-at / 400)) + at * 4e6 / HOUR
    assert leaks.found([noisy(values, 1)])[0].is_leak


def test_what_pauses_take_away_is_time_and_no_samples():
    """A sample a second for six minutes in windows of one: nobody looked too seldom."""
    at_s = np.arange(460.0)
    at_s = at_s[at_s % 84 < 65]
    fills = 50e6 + 2e6 * (1 - np.exp(-at_s / 100))
    values = fills + np.random.default_rng(1).normal(0, 1e5, len(at_s))
    some = Life(at_s=at_s, values=values)
    watched = [Watched(of=f"n{at}", resource="memory", lives=(some,)) for at in range(66)]
    assert leaks.found(watched)[0].sentence == "n0: memory: too short to tell: 8 min of it"


def test_a_mean_of_which_nobody_can_tell_is_not_counted_as_told():
    watched = [Watched(of=f"n{at}", resource="fds", lives=(life(np.zeros(60)),)) for at in range(3)]
    finding = leak_check.findings(leaks.found(watched))[0]
    assert (finding.answer, finding.measured) == (Answer.UNKNOWN, "0 of 4 told")

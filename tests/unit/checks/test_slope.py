"""Slopes of series whose slope is known, and of such that have none and look as if."""

from __future__ import annotations

import math
import zlib

import numpy as np
import pytest
from scipy import stats

from harness.checks import slope
from harness.checks.slope import Life

HOUR = 3600


def drawn(name: str) -> np.random.Generator:
    return np.random.default_rng(zlib.crc32(name.encode()))


def wandering(rng: np.random.Generator, count: int, repeats: float) -> np.ndarray:
    """Noise of deviation 1 of which each value repeats so much of the one before."""
    noise, values = rng.normal(size=count) * math.sqrt(1 - repeats**2), np.empty(count)
    values[0] = rng.normal()
    for at in range(1, count):
        values[at] = repeats * values[at - 1] + noise[at]
    return values


def life(values: np.ndarray, every_s: float = 1.0, begin_s: float = 0.0) -> Life:
    return Life(at_s=begin_s + np.arange(len(values)) * every_s, values=values.astype(float))


def of(*lives: Life, confidence: float = 0.95, **more: float):
    return slope.of(lives, confidence=confidence, **more)


def test_agrees_with_scipy_where_that_may_be_asked(monkeypatch):
    """One life without correlation, one sample a block: the same slope, the same interval but for
    the quantile of few samples, which is a little wider.
    """
    rng = drawn("scipy")
    values = 0.01 * np.arange(48) + rng.permutation(48) * 0.01 * (-1) ** np.arange(48)
    monkeypatch.setattr(slope, "BLOCKS", (48,))
    found = of(life(values, every_s=10.0), warm_up_s=0.0)
    # the last sample ends the last block, and is in none
    theirs = stats.theilslopes(values[:-1], np.arange(47) * 10.0, 0.95)
    assert (found.blocks, found.repeats) == (47, 0.0)
    assert found.per_s == pytest.approx(theirs.slope, rel=1e-9)
    assert theirs.low_slope - 2e-4 < found.low_per_s <= theirs.low_slope
    assert theirs.high_slope <= found.high_per_s < theirs.high_slope + 2e-4
    tau = stats.kendalltau(np.arange(47), values[:-1], alternative="greater", method="asymptotic")
    assert found.p == pytest.approx(tau.pvalue, abs=0.01)


@pytest.mark.parametrize("repeats", [0.0, 0.9, 0.99])
def test_the_interval_holds_the_slope_as_often_as_it_says(repeats):
    """However much samples repeat each other. The interval of scipy, of the samples as they are,
    does not.
    """
    rng, missed, rises = drawn(f"interval {repeats}"), 0, 0.001
    for _ in range(100):
        values = wandering(rng, 1800, repeats) + rises * np.arange(1800)
        found = of(life(values))
        missed += not found.low_per_s <= rises <= found.high_per_s
    assert missed <= 10


def test_a_leak_in_a_saw_tooth_is_found_by_its_troughs():
    """2 an hour, in teeth of 40 that are an minute long: the values themselves go up and down by
    forty in each.
    """
    at = np.arange(2 * HOUR)
    teeth = at % 60 * (40 / 60) + drawn("teeth").normal(size=len(at)) * 0.2
    found = of(life(teeth + at * 2 / HOUR), confidence=0.9999)
    assert found.low_per_s * HOUR > 1.5
    assert found.high_per_s * HOUR < 2.5
    assert not found.slows
    clean = of(life(teeth), confidence=0.9999)
    assert clean.low_per_s < 0 < clean.high_per_s
    assert clean.p > 0.01


def test_one_of_five_hundred_series_has_enough_blocks_for_its_confidence():
    """Of a hundred nodes over two hours the sharpest blocks were 16, of which nothing can be said
    at a level that is corrected for 516 series: 25 of 40 such, and the leak of a real soak.
    """
    rng = drawn("teeth of 41 s, looked at every 10 s")
    at_s = np.arange(0, 7200, 10.0)
    for grows, least in ((2e6, 19), (0.0, 0)):
        found = []
        for _ in range(20):
            teeth = 8e6 * ((at_s + rng.uniform(0, 41)) % 41.3) / 41.3
            values = 20e6 + grows * at_s / 3600 + teeth + rng.normal(0, 1e5, len(at_s))
            found.append(of(life(values, every_s=10.0), confidence=1 - 0.01 / 516))
        assert all(one.is_bounded for one in found)
        assert sum(one.low_per_s > 0 for one in found) >= least
        if not grows:
            assert not any(one.low_per_s > 0 for one in found)


def test_long_teeth_make_longer_blocks():
    """Teeth of five minutes in half an hour: fine blocks would be of their flanks."""
    at = np.arange(HOUR)
    found = of(life(at % 240.0))
    assert found.block_s >= 120
    assert found.p > 0.025


def test_a_warm_up_is_no_leak():
    """Caches that fill rise for long, and ever more slowly."""
    at = np.arange(2 * HOUR)
    noise = drawn("warm").normal(size=len(at)) * 0.01
    short, long = (100 * (1 - np.exp(-at / tau)) + noise for tau in (120, 2000))
    assert abs(of(life(short)).per_s) * HOUR < 0.1
    assert of(life(long)).slows


@pytest.mark.parametrize("steps", [1, 4])
def test_few_steps_are_no_trend(steps):
    """Descriptors that are opened once, seldom, all look upwards."""
    at = np.arange(HOUR)
    values = sum((at > where).astype(float) for where in np.linspace(900, 3300, steps))
    found = of(life(values + 20), quantum=1.0)
    assert found.low_per_s < 0 < found.high_per_s
    assert found.p > 0.025


def test_what_comes_by_chance_and_stays_is_a_trend():
    """A connection of each reconnect, half a minute apart on the average: the line wanders, for
    what came stays, and how evenly it came tells.
    """
    rng = drawn("reconnects")
    values = 20 + np.cumsum(rng.random(HOUR) < 1 / 30)
    found = of(life(values), quantum=1.0, is_counted=True, least_per_s=2 / HOUR)
    assert found.p < 1e-4
    assert found.low_per_s * HOUR > 60
    assert found.low_per_s * HOUR < 120 < found.high_per_s * HOUR


@pytest.mark.parametrize("seconds", [600, HOUR])
def test_what_comes_and_goes_by_chance_is_none(seconds):
    """A walk of whole steps, which goes far from where it began."""
    rng, rises = drawn(f"walk {seconds}"), 0
    for _ in range(100):
        steps = np.zeros(seconds)
        np.add.at(steps, rng.integers(0, seconds, 60), rng.choice([-1.0, 1.0], 60))
        rises += of(life(steps.cumsum()), quantum=1.0, is_counted=True).p < 0.01
    assert rises <= 6


def test_a_step_early_leaves_a_flat_line():
    """The last that an allocator took, and nothing since."""
    found = of(life(np.where(np.arange(1200) < 420, 124.1, 124.4)), quantum=0.01)
    assert found.per_s == 0
    assert found.low_per_s * HOUR > -0.1
    assert found.high_per_s * HOUR < 0.1


def test_a_stair_is_a_line():
    """One descriptor a minute lies on its line but for what is less than one."""
    found = of(life(20 + np.arange(1200) // 60), quantum=1.0, is_counted=True, confidence=0.9998)
    assert found.repeats < 0.3
    assert found.low_per_s * 60 > 0.4
    assert found.high_per_s * 60 < 1.6
    assert found.p < 1e-4


def test_what_does_not_show_in_whole_steps_is_not_denied():
    """No descriptor in ten minutes may be one every quarter of an hour."""
    found = of(life(np.full(600, 20.0)), quantum=1.0)
    assert found.per_s == 0
    assert found.high_per_s * HOUR == pytest.approx(HOUR / 480, rel=0.05)
    assert found.p == 1.0


def test_a_restart_begins_anew():
    """Ten lives of ten minutes, each of which leaks 60 an hour from 20 on: first against last, and
    the slope of all samples, say that nothing grew.
    """
    lives = [life(20 + np.arange(600) // 60, begin_s=600.0 * n) for n in range(10)]
    found = of(*lives, quantum=1.0)
    assert found.lives == 10
    assert found.low_per_s * HOUR > 40
    flat = [life(np.full(600, 20.0 + 10 * n), begin_s=600.0 * n) for n in range(10)]
    assert of(*flat).per_s == 0  # each begins higher than the last, and none grows


def test_too_short_is_not_told():
    assert of(life(np.arange(90.0))) is None
    assert of(life(np.empty(0))) is None
    assert of() is None
    assert of(life(np.arange(1.0))) is None
    assert of(*[life(np.arange(70.0)) for _ in range(10)]) is None  # all of it is warm-up


def test_of_few_troughs_a_high_confidence_knows_nothing():
    found = of(life(np.arange(140.0)), confidence=1 - 1e-9)
    assert not found.is_bounded


def test_what_wanders_has_the_interval_of_a_walk():
    """However far it goes: it holds what the walk drifts by as often as it says, and 0 always."""
    rng, missed, uneven, drifts = drawn("walks"), 0, 0, 0.02
    for _ in range(200):
        found = of(life(rng.normal(size=1440).cumsum() + drifts * np.arange(1440), every_s=5.0))
        if not found.is_uneven:
            continue
        uneven += 1
        missed += not found.low_per_s <= drifts / 5 <= found.high_per_s
        assert found.low_per_s <= 0 <= found.high_per_s
    assert uneven > 100
    assert missed <= 0.08 * uneven


def test_what_does_not_wander_is_not_uneven():
    at = np.arange(HOUR)
    for values in (at * 0.001, at % 60, drawn("even").normal(size=HOUR)):
        assert not of(life(np.asarray(values))).is_uneven


def test_the_turns_are_of_the_longest_life():
    peak = np.concatenate([np.full(900, 5.0), np.full(900, 9.0), np.full(1800, 5.0)])
    found = of(life(np.full(700, 1.0)), life(peak, begin_s=800.0), warm_up_s=0.0)
    (first, turn, last) = found.turns
    assert (first, turn[1], last[1]) == ((0.0, 5.0), 9.0, 5.0)
    assert 850 < turn[0] < 1800
    assert last[0] > 3100


def test_gaps_are_no_troughs_and_no_end():
    """A stretch without samples is left out, and one life remains."""
    values = 5 + np.arange(HOUR) * 60 / HOUR
    whole = life(values)
    kept = (whole.at_s < 1500) | (whole.at_s > 2100)
    found = of(Life(at_s=whole.at_s[kept], values=whole.values[kept]))
    assert found.lives == 1
    assert found.low_per_s * HOUR > 59
    assert found.high_per_s * HOUR < 61


def test_thinned_samples_say_the_same():
    at = np.arange(2 * HOUR)
    values = at % 50 + at * 3 / HOUR + drawn("thin").normal(size=len(at)) * 0.1
    thin = slope.thinned(life(values), 60.0)
    assert len(thin.at_s) == 120
    assert (np.diff(thin.at_s) > 0).all()
    whole, few = of(life(values)), of(thin)
    assert few.per_s * HOUR == pytest.approx(whole.per_s * HOUR, abs=0.2)
    assert few.low_per_s * HOUR > 2.5


def test_times_and_values_go_together():
    with pytest.raises(ValueError, match="as many times as values"):
        Life(at_s=np.arange(3.0), values=np.arange(2.0))

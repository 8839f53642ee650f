"""A rate over time: what is due when, on ramps, steps and pauses."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.errors import BadFileError
from harness.operations import Operation
from harness.scenario import files
from harness.scenario.rate import Profile
from harness.scenario.schedule import Share, schedule, whole
from harness.scenario.stream import Arrivals, Stream

SECOND = 10**9
NODES = ("a", "b", "c")
SHARE = Share(seed=3, phase=0, stream=0)

points = st.lists(st.tuples(st.integers(0, 20), st.integers(0, 400)), min_size=1, max_size=6).map(
    lambda found: sorted(dict(found).items())
)


def stream(*found, **changes):
    profile = Profile.parsed([list(point) for point in found])
    return Stream(
        operation=Operation.PRIVATE_MESSAGE,
        rate_per_s=profile.highest,
        profile=profile,
        **changes,
    )


def due_s(made, seconds):
    return whole(made, NODES, SHARE, 0, seconds * SECOND).intended_ns / 1e9


@settings(deadline=None)
@given(points, st.integers(1, 40))
def test_as_many_are_due_as_the_rate_adds_up_to(found, seconds):
    found = [(0, found[0][1]), *[point for point in found if point[0]]]
    if not max(rate for _, rate in found):
        return
    made = stream(*found)
    at_s, rates = np.array(found, float).T
    fine = np.linspace(0, seconds, 200_001)
    wanted = np.trapezoid(np.interp(fine, at_s, rates), fine)
    times = due_s(made, seconds)
    assert len(times) == pytest.approx(wanted, abs=1.1 + wanted * 1e-4)
    assert (np.diff(times) >= 0).all()
    assert made.planned_per_s(seconds) * seconds == pytest.approx(wanted, abs=1e-3 + wanted * 1e-4)


def test_a_ramp_rises_from_one_rate_to_another_and_stays():
    times = due_s(stream((0, 100), (30, 1000)), 40)
    counts = np.histogram(times, bins=40, range=(0, 40))[0]
    assert counts[0] == pytest.approx(115, abs=1)
    assert counts[29] == pytest.approx(985, abs=1)
    assert set(counts[31:]) <= {999, 1000, 1001}


def test_two_points_of_one_time_are_a_step_and_a_rate_of_0_a_pause():
    times = due_s(stream((0, 10), (2, 10), (2, 0), (5, 0), (5, 50)), 6)
    counts = np.histogram(times, bins=6, range=(0, 6))[0]
    assert list(counts) == [10, 10, 0, 0, 0, 50]


def test_a_stream_whose_rate_falls_to_0_ends_by_itself():
    parts = list(schedule(stream((0, 100), (10, 0)), NODES, SHARE, 0, None))
    assert sum(len(part.number) for part in parts) == 501
    assert max(part.intended_ns.max() for part in parts) == 10 * SECOND


def test_a_poisson_stream_follows_its_rate():
    times = due_s(stream((0, 0), (100, 2000), arrivals=Arrivals.POISSON), 100)
    first, second = (times < 50).sum(), (times >= 50).sum()
    assert first == pytest.approx(25_000, rel=0.03)
    assert second == pytest.approx(75_000, rel=0.03)


def test_workers_share_a_profile():
    made = stream((0, 100), (5, 3000))
    shares = [
        whole(made, NODES, Share(seed=3, phase=0, stream=0, worker=one, workers=3), 0, 6 * SECOND)
        for one in range(3)
    ]
    together = np.sort(np.concatenate([share.intended_ns for share in shares]))
    assert (together == whole(made, NODES, SHARE, 0, 6 * SECOND).intended_ns).all()


SCENARIO = """topology = 't.toml'
[[phase]]
name = 'a'
duration_s = 60
[[phase.stream]]
operation = 'private_message'
rate_per_s = {}
"""


def read(folder, rate):
    (folder / "t.toml").write_text("[nodes]\ncount = 3\n")
    (folder / "s.toml").write_text(SCENARIO.format(rate))
    return files.read_scenario(folder / "s.toml").phases[0].streams[0]


def test_a_scenario_gives_a_rate_as_points(tmp_path):
    found = read(tmp_path, "[[0, 100], [30, 1000]]")
    assert found.profile.points == ((0, 100), (30, 1000))
    assert found.rate_per_s == 1000
    assert found.as_json("a", 60)["profile"] == [[0, 100], [30, 1000]]


@pytest.mark.parametrize(
    ("rate", "words"),
    [
        ("[]", "1 to 1,000 points"),
        ("[[1, 100]]", "the first is at 0 s"),
        ("[[0, 100], [9, 1], [3, 1]]", "in the order of time"),
        ("[[0, 100], [3, -1]]", "rates of 0 or more, found -1"),
        ("[[0, 100], [3, nan]]", "rates of 0 or more, found nan"),
        ("[[0, 100], [nan, 3]]", "at most 604,800 s"),
        ("[[0, 1], [3, 1], [3, 2], [3, 3]]", "at most 2 points of one time"),
        ("[[0, 0], [3, 0]]", "above 0"),
        ("[[0, 1e9]]", "at most 1,000,000"),
        ("[[0, 'x']]", "points [seconds, rate], found [0, 'x']"),
        ("[5]", "points [seconds, rate], found 5"),
        ("'x'", "expected a number"),
    ],
)
def test_a_rate_that_is_none_is_refused(tmp_path, rate, words):
    with pytest.raises(BadFileError) as raised:
        read(tmp_path, rate)
    assert words in str(raised.value)
    assert "s.toml: phase[1].stream[1]" in str(raised.value)

from __future__ import annotations

import tomllib

import pytest

from harness.errors import BadFileError
from harness.history.plan import PhaseKind
from harness.scenario import files, soak, timeline

SOAK = """
topology = "cluster-10"
seed = {seed}
[soak]
window_s = 600
gap_s = [10, 20]
[[soak.stream]]
operation = "private_message"
rate_per_s = 20
[[soak.churn]]
where = "node-9"
rate_per_s = 0.05
down_s = 3
floor = 0
[[soak.fault]]
cut = "random-halves"
for_s = [8, 30]
[[soak.fault]]
where = ["node-0", "node-1", "node-2"]
condition = "paused"
for_s = 4
weight = 3
"""


def made(text: str = SOAK, seed: int = 1):
    return soak.soak_from(tomllib.loads(text.replace("{seed}", str(seed))), "s.toml")


def chaos_of(window):
    return next(phase for phase in window["phase"] if phase["name"] == "chaos")


def spans(faults):
    return [(one["at_s"], one["at_s"] + one["for_s"]) for one in faults]


@pytest.mark.parametrize("seed", range(20))
def test_faults_of_a_window_are_drawn_in_their_bounds(seed):
    window = made(seed=seed).window(3, 600)
    chaos = chaos_of(window)
    faults = chaos["fault"]
    assert faults
    assert {one["name"] for one in faults} == {f"fault-{n}" for n in range(1, len(faults) + 1)}
    for one in faults:
        if "cut" in one:
            assert 8 <= one["for_s"] <= 30
        else:
            assert one["for_s"] == 4
            assert one["where"] in ("node-0", "node-1", "node-2")
    for (_, end), (begin, _) in zip(spans(faults), spans(faults)[1:], strict=False):
        assert 9.9 <= begin - end <= 20.1
    assert spans(faults)[0][0] >= soak.BEGIN_S
    assert spans(faults)[-1][1] <= chaos["duration_s"] - soak.END_S + 0.1


def test_a_window_is_a_function_of_file_seed_and_number():
    assert made().window(2, 600) == made().window(2, 600)
    assert made().window(2, 600) != made().window(3, 600)
    assert made().window(2, 600) != made(seed=2).window(2, 600)


def test_all_windows_have_the_same_phases_which_fill_them():
    for number, seconds in ((1, 600.0), (2, 47.3), (3, 899.9)):
        phases = made().window(number, seconds)["phase"]
        assert [one["name"] for one in phases] == ["warm", "steady", "chaos", "settle", "after"]
        assert [one.get("kind") for one in phases] == [
            PhaseKind.WARM_UP,
            PhaseKind.STEADY,
            PhaseKind.CHAOS,
            PhaseKind.CHAOS,
            None,
        ]
        assert sum(one["duration_s"] for one in phases) == pytest.approx(seconds)
        assert all(one["stream"] for one in phases)


@pytest.mark.parametrize(
    ("for_s", "lengths_s"),
    [
        (28_800, [600.0] * 48),
        (600, [600.0]),
        (300, [300.0]),
        (900, [600.0, 300.0]),
        (899, [899.0]),
        (1500.5, [600.0, 600.0, 300.5]),
    ],
)
def test_a_time_is_divided_into_windows(for_s, lengths_s):
    assert made().lengths_s(for_s) == lengths_s


def test_a_time_that_is_too_short_is_refused():
    with pytest.raises(BadFileError, match=r"a soak of 20 s: expected at least 23\.3"):
        made().lengths_s(20)


def test_a_fault_comes_early_rather_than_never():
    """A short window has one, though by the lot it would come too late."""
    for seed in range(20):
        [one] = chaos_of(made(SOAK.replace("[10, 20]", "[500, 600]"), seed).window(1, 60))["fault"]
        assert one["at_s"] >= soak.BEGIN_S


def test_a_window_without_room_for_a_fault_has_none():
    text = SOAK.split("[[soak.fault]]\nwhere", maxsplit=1)[0]
    assert chaos_of(made(text).window(1, 30))["fault"] == []


def test_a_soak_file_is_read_as_its_first_window(tmp_path):
    (tmp_path / "s.toml").write_text(SOAK.replace("{seed}", "1"))
    planned = files.read_scenario(tmp_path / "s.toml")
    assert planned.name == "s"
    assert planned.seed == made().window_seed(1)
    assert sum(phase.duration_s for phase in planned.phases) == pytest.approx(600)
    assert timeline.compile(planned).changes


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("window_s = 600", "window_s = 20", "window_s: expected at least"),
        ("window_s = 600", "chaos = 1.0", "chaos: expected a share above 0 and below 1"),
        ("window_s = 600", "warm_s = -1", "warm_s: expected 0 or more"),
        ("window_s = 600", "windows = 3", "windows: unknown key"),
        ("gap_s = [10, 20]", "gap_s = [20, 10]", "gap_s: expected a number of seconds"),
        ("gap_s = [10, 20]", "gap_s = [true, 10]", "gap_s: expected a number of seconds"),
        ("gap_s = [10, 20]", "gap_s = [1, 2, 3]", "gap_s: expected a number of seconds"),
        ("for_s = [8, 30]", "for_s = [0.1, 30]", "for_s: expected a number of seconds, at least"),
        ("for_s = [8, 30]", "", "for_s: expected a number, found nothing"),
        ("for_s = 4", "for_s = 4\nat_s = 3", "at_s: it is drawn"),
        ("weight = 3", "weight = 0", "weight: expected above 0"),
        ('where = ["node-0", "node-1", "node-2"]', "where = []", "where: expected at least 1"),
        (
            '[[soak.stream]]\noperation = "private_message"\nrate_per_s = 20\n',
            "",
            "at least 1 stream",
        ),
        ("[soak]", '[[phase]]\nname = "x"\n[soak]', "a soak has [soak] and no phases"),
    ],
)
def test_a_bad_soak_is_refused(old, new, says):
    text = SOAK.replace("{seed}", "1")
    assert old in text
    with pytest.raises(BadFileError) as caught:
        made(text.replace(old, new, 1))
    assert says in str(caught.value)

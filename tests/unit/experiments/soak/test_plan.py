from __future__ import annotations

import tomllib

import pytest

from harness.errors import BadFileError, StorageError, UsageError
from harness.experiments import run
from harness.experiments.soak import cost, default, plan, play
from harness.experiments.soak.folder import SoakFolder
from harness.operations import Operation
from harness.scenario import files, shipped
from harness.systems import abilities

SOAK = """
topology = "cluster-10"
budget = "soak"
name = "x"
[soak]
window_s = 60
warm_s = 1
gap_s = 1
[[soak.stream]]
operation = "private_message"
rate_per_s = 20
[[soak.stream]]
operation = "broadcast"
rate_per_s = 2
[[soak.stream]]
operation = "dht_put"
rate_per_s = 1
[[soak.stream]]
operation = "dht_get"
rate_per_s = 1
[[soak.churn]]
where = "node-9"
rate_per_s = {rate}
down_s = 2
floor = 0
[[soak.fault]]
cut = "random-halves"
for_s = [3, 6]
"""


@pytest.fixture(autouse=True)
def _nothing_starts(tmp_path, monkeypatch):
    monkeypatch.setenv("HARNESS_STATE", str(tmp_path / "state"))
    monkeypatch.delenv("HARNESS_CLUSTER", raising=False)
    monkeypatch.setattr(run, "up", lambda *_, **__: pytest.fail("a cluster was started"))


def written(folder, rate: float = 0.02):
    (folder / "x.toml").write_text(SOAK.replace("{rate}", str(rate)))
    return str(folder / "x.toml")


def begun(folder, what: str, for_s: float, **others) -> SoakFolder:
    return play.begin(what, for_s=for_s, runs=folder / "runs", runtime_name="netns", **others)


def test_what_is_played_is_what_was_planned(tmp_path):
    folder = begun(tmp_path, written(tmp_path), 180)
    of = plan.source(written(tmp_path), None)
    whole = plan.read(of.text, of.scenario, seed=None, window_s=None)
    for one in plan.windows(whole, [60.0, 60.0, 60.0], of):
        asked, notes = plan.play_of(folder, one.number)
        assert asked.timeline == one.timeline
        assert notes == one.notes
        assert files.read_scenario(asked.source).phases == one.scenario.phases
        assert asked.scenario.name == "x"
        assert asked.scenario.budget.read_text() == shipped.find("soak", "budgets").read_text()


def test_another_system_is_asked_in_each_window_for_what_it_can_do(tmp_path):
    """The window's file names the system that it was written for: the generator leaves out anew."""
    folder = begun(tmp_path, written(tmp_path), 180, system="opendht")
    assert (folder.asked.system, folder.asked.instead_of) == ("opendht", "meshnode")
    asked, _ = plan.play_of(folder, 2)
    assert asked.scenario.topology.adapter == "opendht"
    assert asked.scenario.other_system is not None
    assert asked.scenario.other_system.words
    again = abilities.fitted(files.read_scenario(asked.source), "opendht")
    assert again.other_system == asked.scenario.other_system
    assert again.phases == asked.scenario.phases


def test_the_folder_needs_no_other_file(tmp_path, monkeypatch):
    """Going on, weeks later, elsewhere: scenario and topology may be gone."""
    folder = begun(tmp_path, written(tmp_path), 180)
    (tmp_path / "x.toml").unlink()
    monkeypatch.chdir(tmp_path)
    asked, _ = plan.play_of(SoakFolder(folder.path), 3)
    assert len(asked.scenario.topology.nodes) == 10
    assert "soak" in asked.facts


def test_a_window_in_which_nobody_would_leave_has_no_churn_and_says_so(tmp_path):
    of = plan.source(written(tmp_path, rate=0.01), None)
    whole = plan.read(of.text, of.scenario, seed=None, window_s=None)
    found = plan.windows(whole, [60.0] * 20, of)
    again = [one for one in found if "churn-1-" in str(one.document)]
    without = [one for one in found if one.notes]
    assert again  # somebody leaves by another lot
    assert 0 < len(without) < 20
    for one in found:
        churned = any("churn" in fault.name for fault in one.timeline.faults)
        assert churned != bool(one.notes)
    assert all("nobody would leave" in one.notes[0] for one in without)


def test_churn_that_comes_in_no_window_is_refused(tmp_path):
    with pytest.raises(BadFileError, match=r"no window has churn.*nobody would leave"):
        begun(tmp_path, written(tmp_path, rate=0.00001), 120)


def test_faults_that_fit_into_no_window_are_refused(tmp_path):
    text = SOAK.replace("{rate}", "0.1").replace("for_s = [3, 6]", "for_s = 50")
    (tmp_path / "y.toml").write_text(text)
    with pytest.raises(BadFileError, match="no fault fits into the chaos"):
        begun(tmp_path, str(tmp_path / "y.toml"), 120)


@pytest.mark.parametrize("name", ["cluster-10", "cluster-100", "three-regions-10", "star-1001"])
def test_a_topology_has_a_soak_made_for_it(name):
    of = plan.source(name, None)
    whole = plan.read(of.text, of.scenario, seed=7, window_s=None)
    count = len(files.read_topology(of.topology).nodes)
    [first, second] = plan.windows(whole, [600.0, 600.0], of)
    assert first.timeline.faults
    assert first.timeline != second.timeline
    rates = {one["operation"]: one["rate_per_s"] for one in whole.streams}
    assert rates["broadcast"] * count <= 2 * default.BROADCASTS_RECEIVED_PER_S or count > 200
    assert rates["private_message"] <= 50
    assert of.budget == shipped.find("soak", "budgets")


def test_a_system_is_asked_for_what_it_can():
    of = plan.source("cluster-10", "serf")
    assert of.system == "serf"
    whole = tomllib.loads(of.text)["soak"]
    words = {one["operation"] for one in whole["stream"]}
    assert Operation.DHT_PUT.word not in words


@pytest.mark.parametrize(
    ("what", "kind", "says"),
    [
        ("demo", UsageError, "expected a scenario with [soak]"),
        ("meshara", UsageError, "expected a scenario with [soak]"),
        ("soak-11", BadFileError, "did you mean 'soak-10'"),
        ("/no/such.toml", BadFileError, "no such file"),
    ],
)
def test_what_is_no_soak_is_refused(tmp_path, what, kind, says):
    with pytest.raises(kind) as caught:
        begun(tmp_path, what, 600)
    assert says in str(caught.value)


def test_too_short_a_time_and_window(tmp_path):
    with pytest.raises(UsageError, match="--for: a soak of 5 s"):
        begun(tmp_path, written(tmp_path), 5)
    with pytest.raises(UsageError, match="--window: expected at least"):
        begun(tmp_path, written(tmp_path), 600, window_s=3)


def test_too_small_a_disk_is_refused_before_anything_is_made(tmp_path, monkeypatch):
    monkeypatch.setattr(cost, "planned_bytes", lambda *_: 10**18)
    with pytest.raises(StorageError, match=r"MB are free, and a soak wants 1,000,000,000,000 MB"):
        begun(tmp_path, written(tmp_path), 600)
    assert not list((tmp_path / "runs").glob("*"))

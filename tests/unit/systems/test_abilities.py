"""What of a scenario another system than its files name is asked, and what is left out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from harness.errors import UsageError
from harness.history.other_system import OtherSystem
from harness.history.plan import PhaseKind
from harness.operations import Operation
from harness.scenario import files
from harness.scenario.scenario import Phase, Scenario
from harness.scenario.stream import Stream
from harness.scenario.workload import Workload
from harness.systems import abilities
from harness.topology.topology import Node, Topology

ROOT = Path(__file__).parents[3]
TINY = ROOT / "tests" / "systems" / "tiny" / "tinynode.toml"
COVERED = "coverage of the last second >= 100 %"
BOTH = tuple(
    Stream(operation=one, rate_per_s=10) for one in (Operation.BROADCAST, Operation.DHT_PUT)
)
TOPOLOGY = Topology(
    name="pair",
    nodes=(Node(name="a", options={"fanout": 3, "profile": "wan"}), Node(name="b")),
    links=frozenset({("a", "b")}),
)
PLANNED = Scenario(
    name="s",
    topology=TOPOLOGY,
    phases=(
        Phase(name="load", duration_s=4, streams=BOTH),
        Phase(name="idle", duration_s=1),
        Phase(name="again", duration_s=4, streams=BOTH, kind=PhaseKind.CONVERGE, until=COVERED),
    ),
)


def other(system: str) -> OtherSystem:
    found = abilities.fitted(PLANNED, system).other_system
    assert found is not None
    return found


def test_streams_that_the_system_has_no_operation_for_are_left_out():
    found = abilities.fitted(PLANNED, "serf")
    sent = [[one.operation.word for one in phase.streams] for phase in found.phases]
    assert sent == [["broadcast"], [], ["broadcast"]]
    assert found.phases[2].until == COVERED  # which serf can show
    abilities.require(found)  # and nothing is asked of it that it cannot do
    said = found.other_system
    assert said is not None
    assert (said.name, said.instead_of, said.words) == ("serf", "meshnode", ("dht_put",))
    assert (said.lacking("load"), said.lacking("idle")) == (("dht_put",), ())
    assert said.streams[0] == BOTH[1].as_json("load", 4)


def test_a_condition_that_the_system_cannot_show_ends_no_phase():
    found = abilities.fitted(PLANNED, "opendht")
    assert [phase.until for phase in found.phases] == [None, None, None]
    assert found.phases[2].duration_s == 4
    assert other("opendht").until == {"again": COVERED}
    assert other("serf").until == {}


def test_options_that_the_system_does_not_know_are_left_out():
    assert abilities.fitted(PLANNED, "serf").topology.nodes[0].options == {"profile": "wan"}
    assert (other("serf").options, other("opendht").options) == (
        {"fanout": 1},
        {"fanout": 1, "profile": 1},
    )


@pytest.mark.parametrize("system", [None, "", "meshnode"])
def test_of_its_own_system_nothing_is_left_out(system):
    assert abilities.fitted(PLANNED, system) is PLANNED


def test_what_its_own_system_cannot_do_is_refused():
    """Its author wrote load and system together."""
    mine = replace(PLANNED, topology=replace(TOPOLOGY, adapter="serf"))
    with pytest.raises(UsageError, match="phase load: serf has no dht_put; it can do broadcast"):
        abilities.require(abilities.fitted(mine, "serf"))


def test_a_command_file_is_called_by_its_name():
    file = ROOT / "scenarios" / "meshara-10.toml"
    found = abilities.fitted(files.read_scenario(file), str(TINY))
    assert found.topology.adapter == str(TINY)
    assert found.other_system is not None
    assert found.other_system.name == "tinynode"
    assert found.other_system.words == ("connect", "file_transfer")


def test_what_is_left_out_is_said_in_sentences():
    assert list(other("opendht").sentences()) == [
        "opendht has no broadcast: left out of phases load, again",
        f"phase again is not ended by {COVERED!r}, which opendht cannot show",
        "opendht has no option fanout: left out of 1 node",
        "opendht has no option profile: left out of 1 node",
    ]


def test_a_workload_keeps_it():
    found = abilities.fitted(PLANNED, "opendht")
    load = Workload(seed=1, phases=found.phases, other_system=found.other_system)
    assert Workload.from_json(load.as_json()).other_system == found.other_system
    older = {key: value for key, value in load.as_json().items() if key != "other_system"}
    assert Workload.from_json(older).other_system is None

"""A case that is read from a run of another system than its files name."""

from __future__ import annotations

import json

from kit.run_folders import good

from harness.experiments import original, recorded_case
from harness.history import manifest
from harness.scenario import files, shipped

TOPOLOGY = "name = 'mine'\n[nodes]\ncount = 4\n[shape]\nkind = 'ring'\n"


def test_what_another_system_was_not_asked_is_none_of_the_case(tmp_path):
    """Its own system is named in the case, and would be refused what it does not have."""
    run = good(tmp_path)
    (run / "topology.toml").write_text(TOPOLOGY)
    built = files.read_topology(run / "topology.toml").as_json() | {"adapter": "opendht"}
    (run / "topology.json").write_text(json.dumps(built))
    mine, until = files.read_scenario(shipped.find("partition-heal", "scenarios")), "converge"
    (run / "scenario.toml").write_text(
        shipped.find("partition-heal", "scenarios").read_text().replace("cluster-10", "mine")
    )
    (run / "topology.toml").write_text(TOPOLOGY + "[nodes.options]\nfanout = 3\n")
    facts = json.loads((run / "metadata.json").read_text())
    facts["load"]["other_system"] = {
        "name": "opendht",
        "instead_of": "meshnode",
        "streams": [
            said
            for phase in mine.phases
            for said in phase.streams_as_json()
            if said["operation"] in ("private_message", "broadcast")
        ],
        "until": {until: "coverage of the last second >= 100 %"},
        "options": {"fanout": 4},
    }
    (run / "metadata.json").write_text(json.dumps(facts))
    manifest.write(run)
    found = recorded_case.case_of(original.read(run), frozenset()).documents()
    assert all(not phase.get("stream") for phase in found.scenario["phase"])
    [phase] = [one for one in found.scenario["phase"] if one["name"] == until]
    assert (phase["duration_s"], "until" in phase) == (40, False)
    assert found.topology["nodes"]["options"] == {}

"""What runs must have in common, and how it is said what they have not."""

from __future__ import annotations

import copy

import pytest

from harness.experiments import agreement

FACTS = {
    "name": "small",
    "seed": 1,
    "adapter": "meshnode",
    "topology": "four",
    "nodes": [{"name": "node-0"}],
    "host": {
        "cores": 4,
        "cpu": "c",
        "kernel": "k",
        "machine": "m",
        "python": "3",
        "versions": {"meshnode": "1", "locust": "2"},
    },
    "runtime": {"name": "docker", "image": "i", "nodes_per_container": "10"},
    "network": {"fabric": "f"},
    "plan": [{"name": "load", "end_s": 1.0}],
    "load": {"generator": "g", "shares": 1, "streams": [{"phase": "load", "rate_per_s": 10.0}]},
}
TOPOLOGY = {"links": [], "nodes": [{"name": "node-0", "options": {}}]}
TIMELINE = {"faults": [], "changes": []}


def made(facts=FACTS, topology=TOPOLOGY, timeline=TIMELINE, system=None):
    return agreement.surroundings(facts, topology, timeline, system)


def changed(table, path, value):
    found = copy.deepcopy(table)
    *way, last = path
    inner = found
    for key in way:
        inner = inner[key]
    inner[last] = value
    return found


def test_the_same_agree():
    assert agreement.differences([made(), made(), made()]) == {}


@pytest.mark.parametrize(
    ("path", "part"),
    [
        (("host", "cpu"), "host"),
        (("host", "cores"), "host"),
        (("host", "kernel"), "kernel"),
        (("host", "python"), "versions"),
        (("host", "versions", "locust"), "versions"),
        (("host", "versions", "meshnode"), "subject"),
        (("runtime", "name"), "runtime"),
        (("runtime", "nodes_per_container"), "runtime"),
        (("runtime", "image"), "subject"),
        (("network", "fabric"), "backend"),
        (("adapter",), "system"),
        (("seed",), "scenario"),
        (("name",), "scenario"),
        (("plan", 0, "end_s"), "scenario"),
        (("load", "generator"), "load"),
        (("load", "shares"), "load"),
        (("load", "streams", 0, "rate_per_s"), "load"),
    ],
)
def test_each_part_is_held_to(path, part):
    found = agreement.differences([made(), made(), made(changed(FACTS, path, "other"))])
    assert list(found) == [part]
    assert "other" in found[part][0]


def test_files_of_a_run_are_held_to():
    options = made(topology=changed(TOPOLOGY, ("nodes", 0, "options"), {"k": 9}))
    links = made(topology=changed(TOPOLOGY, ("links",), [["node-0", "node-1"]]))
    faults = made(timeline=changed(TIMELINE, ("faults",), [{"name": "wan"}]))
    system = made(system="argv = []")
    parts = [list(agreement.differences([made(), one])) for one in (options, links, faults, system)]
    assert parts == [["options"], ["topology"], ["scenario"], ["subject"]]


def test_a_fault_that_was_set_by_hand_is_held_to():
    """It is in no timeline: a run with a delay of somebody's was compared with one without."""
    slow = {"name": "slow", "words": "all delay 40ms", "from_s": 0.0, "to_s": None}
    one = made({**FACTS, "by_hand": [slow]})
    again = made({**FACTS, "by_hand": [{**slow, "from_s": 0.2}]})
    short = made({**FACTS, "by_hand": [{**slow, "to_s": 4.0}]})
    assert agreement.differences([one, again]) == {}
    assert agreement.differences([made(), made({**FACTS, "by_hand": []})]) == {}
    for other in (made(), short):
        [said] = agreement.differences([one, one, other])["scenario"]
        assert "all delay 40ms from 0 s to the end" in said


def test_of_many_differences_some_are_said():
    versions = {f"p{number}": "1" for number in range(9)}
    other = changed(FACTS, ("host", "versions"), versions)
    said = agreement.differences([made(other), made(FACTS)])["versions"]
    assert len(said) == agreement.SHOWN_MOST + 1
    assert said[-1].startswith("… and ")

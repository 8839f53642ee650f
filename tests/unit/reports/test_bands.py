"""What came and went often is one band, which says so: its pauses could not be seen on a page."""

from __future__ import annotations

from kit.histories import SECOND, history

from harness.history.events import FaultChanged, NodeChanged
from harness.history.proof import Proof, ProofAnswer
from harness.reports.series import bands


def flapping(times, every_s=2.0, fault="load-1"):
    """A fault that is in force for half of each `every_s`."""
    found = []
    for number in range(times):
        for verb, at_s in (("set", 0.0), ("clear", every_s / 2)):
            at_ns = SECOND + round((number * every_s + at_s) * SECOND)
            found.append(FaultChanged(verb=verb, fault=fault, does="loss 1 %", set_ns=at_ns))
    return found


def look(at_s, answer):
    at_ns = round(at_s * SECOND)
    return Proof(at_ns=at_ns, fault="load-1", what="loss", backend="netem", answer=answer)


def test_a_fault_that_flaps_faster_than_a_page_can_show_is_one_band():
    proofs = [look(1.5, ProofAnswer.IN_FORCE), look(2.5, ProofAnswer.NOT_IN_FORCE)]
    found = history(seconds=3600, events=flapping(450), proofs=tuple(proofs))
    [band] = bands.bands(found)
    assert band.name == "load-1 (450 times, 450 s)"
    assert (band.from_s, band.until_s) == (0.0, 899.0)
    assert band.shown == "1 × in force"  # the other look was in a pause


def test_pauses_that_a_page_can_show_are_shown():
    found = bands.bands(history(seconds=10, events=flapping(5)))
    assert [(one.name, one.from_s, one.until_s) for one in found] == [
        ("load-1", 2.0 * number, 2.0 * number + 1) for number in range(5)
    ]


def test_another_fault_of_the_same_name_has_a_band_of_its_own():
    other = FaultChanged(verb="set", fault="load-1", does="cut", set_ns=901 * SECOND)
    found = bands.bands(history(seconds=3600, events=[*flapping(450), other]))
    assert [(one.name, one.kind) for one in found] == [
        ("load-1 (450 times, 450 s)", "loss"),
        ("load-1", "cut"),
    ]


def test_a_node_that_was_paused_again_and_again_is_one_band():
    changes = [
        NodeChanged(at_ns=(1 + at) * SECOND, node="node-1", condition=condition)
        for at, condition in enumerate(["paused", "running"] * 450)
    ]
    [band] = bands.bands(history(seconds=3600, events=changes))
    assert band.name == "node-1 paused (450 times, 450 s)"

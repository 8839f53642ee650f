"""Limits of what nodes may use: their words, how they fold, and what looks at them show."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from harness.errors import BadFileError
from harness.faults import spec
from harness.faults.fault import Fault, fold_conditions, fold_limits
from harness.faults.limits import UNLIMITED, Disk, Limits
from harness.history.proof import ProofAnswer, seen_as
from harness.network.proof.limits import (
    Room,
    Told,
    judge_amounts,
    judge_clock,
    judge_disk,
    judge_limits,
)
from harness.network.proof.verdicts import Look
from harness.runtimes.runtime import Reading
from harness.topology.topology import Node

NODES = tuple(Node(name=f"node-{index}") for index in range(4))
LOOK, AFTER = Look(at_ns=7, fault="f"), Look(at_ns=7, fault="f", gone=True)
SECOND = 10**9
ASKED = Limits(cpu=0.2, memory_bytes=64_000_000, fds=64)
AS_ASKED = Reading(
    begun_ns=0,
    at_ns=0,
    processes=2,
    quota=0.2,
    cpu_ns=0,
    throttled=0,
    memory_bytes=frozenset({64_000_000}),
    fds=frozenset({64}),
)
IN_FORCE, NOT_IN_FORCE = ProofAnswer.IN_FORCE, ProofAnswer.NOT_IN_FORCE
NOT_SHOWN = ProofAnswer.AMOUNT_NOT_SHOWN


def test_words_are_limits_in_files_and_by_hand():
    """A file says a number, the command line says text."""
    for fds in (64, "64"):
        words = {"where": "node-1,node-2", "cpu": "20%", "memory": "64mb", "fds": fds}
        fault = spec.parse(words).resolve(NODES, 1)
        assert (fault.limits, fault.nodes, fault.is_of_nodes) == (ASKED, ("node-1", "node-2"), True)
        assert fault.does == "cpu 20 %, memory 64 MB, fds 64"
        assert seen_as(fault.does) == ["cpu", "memory", "fds"]
        assert Fault.from_json(json.loads(json.dumps(fault.as_json()))) == fault
    assert fault.name == "node-1,node-2 cpu 20% memory 64mb fds 64"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ({"cpu": "0.5%"}, "cpu: expected at least 1%, found 0.5%"),
        ({"cpu": "2 cores"}, "cpu: expected a share such as 1%"),
        ({"memory": "64"}, "memory: expected a size such as 64mb, found '64'"),
        ({"memory": "10kb"}, "memory: expected at least 1,000,000, found 10,000"),
        ({"fds": "many"}, "fds: expected a whole number, found 'many'"),
        ({"fds": True}, "fds: expected a whole number, found True"),
        ({"fds": 2}, "fds: expected at least 3, found 2"),
        ({"disk": "full"}, "disk: node-1 has no disk of its own; say disk ="),
        ({"clock": "+9s"}, "clock: node-1 has no clock of its own; say own_clock = true"),
        ({"clock": "9"}, "clock: expected a time such as 80ms"),
        ({"clock": "--9s"}, "clock: expected a time such as 80ms"),
        ({"clock": "4000000000s"}, "clock: expected at most 315,360,000 s ahead or behind"),
        ({"disk": "ful"}, "disk: expected one of full"),
        ({"disk": "slow"}, "disk: slow cannot be shown: a node's disk is in memory"),
        ({"disk": "full", "loss": "1%"}, "disk: what nodes may use stands alone"),
        ({"fds": 64, "condition": "paused"}, "fds: what nodes may use stands alone"),
        ({"cpu": "20%", "loss": "1%"}, "cpu: what nodes may use stands alone"),
        ({"cpu": "20%", "state": "wipe"}, "state: it is of nodes that start again"),
        ({"cpu": "20%", "where": "node-1 -> node-2"}, "cpu: it is of nodes, found the path"),
    ],
)
def test_what_cannot_be_is_refused(words, says):
    with pytest.raises(BadFileError) as refused:
        spec.parse({"where": "node-1", **words}).resolve(NODES, 1)
    assert says in str(refused.value)


def test_of_two_limits_the_narrower_holds():
    one = Fault(name="1", nodes=("a", "b"), limits=Limits(cpu=0.5, fds=64))
    two = Fault(name="2", nodes=("b",), limits=Limits(cpu=0.2, memory_bytes=2_000_000))
    for order in ([one, two], [two, one]):
        assert fold_limits(order) == {
            "a": Limits(cpu=0.5, fds=64),
            "b": Limits(cpu=0.2, memory_bytes=2_000_000, fds=64),
        }
        assert fold_conditions(order) == {}


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"quota": None}, "n: its quota of CPU time is None, asked are 0.2"),
        ({"quota": 0.5}, "n: its quota of CPU time is 0.5, asked are 0.2"),
        ({"fds": frozenset({64, 1024})}, "n: its limits of fds are 1,024, 64, asked are 64"),
        ({"memory_bytes": frozenset({None})}, "its limits of memory are none, asked are 64,000,00"),
    ],
)
def test_a_limit_that_some_process_does_not_have_is_not_in_force(changes, says):
    assert judge_limits(LOOK, "n", ASKED, AS_ASKED).answer is IN_FORCE
    proof = judge_limits(LOOK, "n", ASKED, replace(AS_ASKED, **changes))
    assert proof.answer is NOT_IN_FORCE
    assert says in proof.sentence


def test_limits_that_were_taken_back_are_gone_where_no_process_has_them():
    free = replace(AS_ASKED, quota=None, memory_bytes=frozenset({None}), fds=frozenset({1024}))
    assert judge_limits(AFTER, "n", UNLIMITED, free, ASKED).answer is ProofAnswer.GONE
    for name in ("quota", "fds", "memory_bytes"):
        one = replace(free, **{name: getattr(AS_ASKED, name)})
        left = judge_limits(AFTER, "n", UNLIMITED, one, ASKED)
        assert left.answer is ProofAnswer.NOT_GONE
        assert "still" in left.sentence


def test_of_a_node_without_a_process_nothing_is_shown():
    assert judge_limits(LOOK, "n", ASKED, replace(AS_ASKED, processes=0)).answer is NOT_SHOWN


@pytest.mark.parametrize(
    ("used", "throttled", "answer"),
    [
        (0.4, 20, IN_FORCE),  # 20 % of two seconds
        (0.4, 0, NOT_SHOWN),  # it may have wanted no more
        (0.1, 5, NOT_SHOWN),  # less, now and then
        (0.9, 0, NOT_IN_FORCE),
        (0.9, 20, NOT_IN_FORCE),
    ],
)
def test_a_quota_is_shown_by_the_cpu_time_of_a_node_that_wants_more(used, throttled, answer):
    now = replace(AS_ASKED, at_ns=2 * SECOND, cpu_ns=int(used * SECOND), throttled=throttled)
    [proof] = judge_amounts(LOOK, "n", Limits(cpu=0.2), AS_ASKED, now)
    assert (proof.what, proof.answer, proof.asked) == ("cpu", answer, 20)
    assert proof.achieved == pytest.approx(used * 50)


def test_what_was_used_while_a_look_took_long_is_not_charged_to_a_quota():
    """A busy host took a second for the first look: 30 % of what the two were apart."""
    slow = replace(AS_ASKED, at_ns=SECOND)
    now = replace(AS_ASKED, at_ns=3 * SECOND, cpu_ns=int(0.6 * SECOND), throttled=30)
    [proof] = judge_amounts(LOOK, "n", Limits(cpu=0.2), slow, now)
    assert proof.answer is IN_FORCE


def test_the_first_look_and_one_at_a_new_process_show_no_quota():
    cpu = Limits(cpu=0.2)
    now = replace(AS_ASKED, at_ns=2 * SECOND, cpu_ns=SECOND)
    anew = replace(AS_ASKED, cpu_ns=2 * SECOND)
    for before in (None, anew, replace(AS_ASKED, begun_ns=now.at_ns - SECOND // 10)):
        [proof] = judge_amounts(LOOK, "n", cpu, before, now)
        assert proof.answer is NOT_SHOWN


def test_of_descriptors_and_memory_no_amount_is_shown():
    found = judge_amounts(LOOK, "n", Limits(memory_bytes=2_000_000, fds=9), None, AS_ASKED)
    assert [(one.what, one.answer) for one in found] == [("memory", NOT_SHOWN), ("fds", NOT_SHOWN)]


def test_a_disk_is_full_by_a_fault_in_files_and_by_hand():
    nodes = [Node(name="node-1", disk_bytes=2_000_000)]
    fault = spec.parse({"where": "node-1", "disk": "full"}).resolve(nodes, 1)
    assert (fault.limits, fault.does) == (Limits(disk=Disk.FULL), "disk full")
    assert seen_as(fault.does) == ["disk"]
    assert Fault.from_json(json.loads(json.dumps(fault.as_json()))) == fault
    both = {"node-1": Limits(disk=Disk.FULL, fds=64)}
    assert fold_limits([fault, Fault(name="g", nodes=("node-1",), limits=Limits(fds=64))]) == both


@pytest.mark.parametrize(
    ("size", "free", "error", "full", "answers"),
    [
        (5, 0, "ENOSPC", True, "in force"),
        (9, 4, "", True, "not in force"),
        (5, 0, "EIO", True, "not in force"),
        (9, 4, "", False, "gone"),
        (9, 0, "ENOSPC", False, "gone"),  # the node has filled it itself
        (9, 4, "EIO", False, "not gone"),
        (5, 0, "ENOSPC", False, "not gone"),
    ],
)
def test_a_disk_is_full_where_a_write_finds_no_space(size, free, error, full, answers):
    room = Room(made_bytes=9, size_bytes=size, free_bytes=free, error=error)
    proof = judge_disk(LOOK if full else AFTER, "node-1", Disk.FULL if full else None, room)
    assert (proof.what, proof.answer) == ("disk", answers)


@pytest.mark.parametrize(
    ("said", "seconds", "does"),
    [("+90s", 90.0, "+90"), ("90s", 90.0, "+90"), ("-500ms", -0.5, "-0.5")],
)
def test_a_clock_is_ahead_or_behind(said, seconds, does):
    nodes = [Node(name="node-1", own_clock=True)]
    fault = spec.parse({"where": "node-1", "clock": said}).resolve(nodes, 1)
    assert (fault.limits, fault.does) == (Limits(clock_s=seconds), f"clock {does} s")
    assert seen_as(fault.does) == ["clock"]
    assert Fault.from_json(json.loads(json.dumps(fault.as_json()))) == fault
    other = Fault(name="g", nodes=("node-1",), limits=Limits(clock_s=1.0, cpu=0.5))
    assert fold_limits([fault, other]) == {"node-1": Limits(clock_s=seconds + 1, cpu=0.5)}


@pytest.mark.parametrize(
    ("offset", "last", "told", "wanted", "gone", "answer"),
    [
        (5, 5, 3, 5, False, "in force"),
        (5, 0, 0, 5, False, "amount not shown"),  # nobody has read it yet
        (5, 0, 1, 5, False, "not in force"),
        (0, 0, 1, 5, False, "not in force"),
        (0, 0, 1, None, True, "gone"),
        (0, 5, 0, None, True, "gone"),
        (0, 5, 1, None, True, "not gone"),
        (5, 5, 1, None, True, "not gone"),
    ],
)
def test_a_clock_is_shown_by_what_the_program_was_told(offset, last, told, wanted, gone, answer):
    seen = Told(offset_ns=offset * SECOND, told_ns=last * SECOND, told=told, loaded=1)
    proof = judge_clock(AFTER if gone else LOOK, "node-1", wanted, seen)
    assert (proof.what, proof.answer) == ("clock", answer)

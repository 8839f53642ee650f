"""A load of a session is a phase as a scenario has it, with what ends it in its workload."""

from __future__ import annotations

import pytest

from harness.errors import UsageError
from harness.experiments.session import loads
from harness.experiments.session.faults import PlannedWords, read
from harness.faults.words import WORDS
from harness.history.plan import PhaseKind
from harness.operations import Operation
from harness.scenario.scenario import Phase
from harness.scenario.stream import Stream
from harness.scenario.workload import Workload


def made(operations="broadcast", rate_per_s=5.0, seconds=3, faults=(), **words):
    return loads.phase(
        operations, name="load", seconds=seconds, rate_per_s=rate_per_s, faults=faults, **words
    )


def test_several_operations_have_a_rate_each():
    phase = made({"private_message": 20, "broadcast": 2}, None, payload_bytes=64)
    sent = [(one.operation.word, one.rate_per_s, one.payload_bytes) for one in phase.streams]
    assert sent == [("private_message", 20, 64), ("broadcast", 2, 64)]


def test_one_source_is_a_name():
    [stream] = made(sources="node-1", target="node-2").streams
    assert (stream.sources, stream.target) == (("node-1",), "node-2")


def test_planned_faults_are_read_as_a_scenario_reads_them():
    [fault] = made(faults=[{"where": "node-1", "condition": "restarted", "at_s": 1}]).faults
    assert (fault.where, fault.at_s) == ("node-1", 1.0)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ({"operations": "brodcast"}, "did you mean 'broadcast'"),
        ({"rate_per_s": None}, "how many broadcast a second"),
        ({"rate_per_s": 0}, "expected above 0"),
        ({"operations": {}, "rate_per_s": None}, "nothing to send"),
        ({"operations": {"broadcast": 1}}, "each operation of the table has its own"),
        ({"seconds": 0}, "duration_s"),
        ({"seconds": "3"}, "seconds: expected a number, found '3'"),
        ({"rate_per_s": "5"}, "broadcast: expected a number, found '5'"),
        ({"payload_bytes": "64"}, "payload_bytes: expected a number, found '64'"),
        ({"seconds": float("nan")}, "duration_s"),
        ({"arrivals": "posson"}, "did you mean 'poisson'"),
        ({"payload": 5}, "payload: unknown .* did you mean 'payload_bytes'"),
        ({"faults": [{"where": "node-1", "lost": "1%"}]}, "did you mean 'loss'"),
    ],
)
def test_what_is_no_load_is_refused(words, said):
    with pytest.raises(UsageError, match=said):
        made(**words)


def test_what_ends_a_phase_early_stands_in_its_workload():
    """Without it the generator would send on, and the wait never end."""
    phase = Phase(
        name="wait",
        duration_s=9.0,
        streams=(Stream(operation=Operation.BROADCAST, rate_per_s=5),),
        kind=PhaseKind.CONVERGE,
        until="coverage of the last second >= 100 %",
    )
    plain = Phase(name="load", duration_s=2.0)
    said = Workload(seed=1, phases=(phase, plain)).as_json()
    again = Workload.from_json(said)
    assert again.phases == (phase, plain)
    assert "until" not in said["phases"][1]


def test_the_words_of_a_fault_are_those_that_there_are():
    """The type checker knows a fault's words by these."""
    assert set(PlannedWords.__annotations__) == set(WORDS)


def test_a_word_that_is_none_is_refused():
    with pytest.raises(UsageError, match="cuts: unknown key; did you mean 'cut'"):
        read({"cuts": "halves"})

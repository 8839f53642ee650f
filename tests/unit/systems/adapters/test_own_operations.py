"""Operations of a system's own in a command file, and who asks for them: scenarios, on this system
and on another; what is wrong with one is said before anything starts.
"""

from __future__ import annotations

import json
import pickle
import shutil
from copy import deepcopy
from pathlib import Path

import msgpack
import pytest

from harness.errors import BadFileError, UsageError
from harness.experiments import validation
from harness.load.plan import RunPlan, Target
from harness.operations import Operation, own
from harness.scenario import files
from harness.scenario.workload import Workload
from harness.systems import abilities, adapters
from harness.systems.adapters import command_file

KEEPER = Path(__file__).parents[3] / "systems" / "keeper"
OTHER = """
[start]
argv = ["true"]
[ready]
log = "up"
[send.flood]
ledger = "none"
to = "nobody"
exec = ["true"]
[send.keep]
ledger = "none"
to = "new key"
exec = ["true"]
"""
SCENARIO = """
topology = "few.toml"
system = "keeper.toml"
budget = "budget.toml"
[[phase]]
name = "load"
duration_s = 2
[[phase.stream]]
operation = "keep"
rate_per_s = 5
[[phase.stream]]
operation = "tell"
rate_per_s = 5
[[phase]]
name = "settle"
kind = "converge"
until = "success of keep in the last second >= 99 %"
at_most_s = 9
[[phase.stream]]
operation = "keep"
rate_per_s = 5
"""
ROW = """
[[row]]
name = "kept"
metric = "keep.stored"
statistic = "mean"
unit = "%"
bound = 99
comparison = ">="
phase = "load"
"""


@pytest.fixture
def folder(tmp_path):
    for file in KEEPER.glob("keeper.*"):
        shutil.copy(file, tmp_path)
    (tmp_path / "other.toml").write_text(OTHER)
    (tmp_path / "few.toml").write_text("[nodes]\ncount = 3\n[shape]\nkind = 'full-mesh'\n")
    (tmp_path / "load.toml").write_text(SCENARIO)
    (tmp_path / "budget.toml").write_text(ROW)
    return tmp_path


def changed(folder, old, new, name="keeper.toml"):
    text = (folder / name).read_text()
    assert old in text
    (folder / name).write_text(text.replace(old, new, 1))
    return folder / name


def test_a_file_has_operations_of_its_own_beside_the_harness_s(folder):
    made = adapters.named(str(folder / "keeper.toml"))
    mine = {one.word: own.as_json(one) for one in made.operations if one.is_own}
    assert {word: (one["number"], one["ledger"], one["to"]) for word, one in mine.items()} == {
        "tell": (64, "delivered", "node"),
        "shout": (65, "received", "nobody"),
        "keep": (66, "stored", "new key"),
        "fetch": (67, "answered", "stored key"),
        "tally": (68, "none", "nobody"),
    }
    assert Operation.DHT_PUT in made.operations
    exempt = '[exempt]\ntell = "at most once"\n[received]'
    changed(folder, "[received]", exempt)
    assert command_file.read(folder / "keeper.toml").exempt == {"tell": ("at most once",)}


def test_a_file_has_no_more_than_there_are_numbers(folder):
    many = "".join(f'[send.a{at}]\nledger = "none"\nexec = ["true"]\n' for at in range(193))
    file = changed(folder, "[send.tell]", f"{many}[send.tell]")
    with pytest.raises(BadFileError, match="at most 192 operations of its own, found 198"):
        command_file.read(file)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (
            "[send.tell]\nledger",
            "[send.tel]\nleger",
            "send.tel: unknown key. An operation of your own says its ledger",
        ),
        (
            "[send.dht_put]",
            "[send.dht_putt]",
            "send.dht_putt: unknown key; did you mean 'dht_put'? An operation",
        ),
        ('"delivered"', '"deliverd"', "send.tell: ledger: expected one of delivered, received"),
        ('"delivered"', '"deliverd"', "did you mean 'delivered'?"),
        ("[send.tell]", "[send.cpu]", "send.cpu: 'cpu' cannot be the word of an operation of one"),
        ("[send.tell]", "[send.Tell]", "'Tell' cannot be the word"),
        ("[send.tell]", "[send.dht_lookup]", "send.dht_lookup: unknown key; possible: broadcast"),
        (
            'to = "nobody"',
            'to = "everybody"',
            "send.tally: to: with the ledger 'none': expected one of node, nobody, new key",
        ),
        (
            'ledger = "received"',
            'ledger = "received"\nto = "node"',
            "send.shout: to: with the ledger 'received': expected one of nobody; found 'node'",
        ),
        (
            'delivered = "^told "\n',
            "",
            "received.kinds: expected delivered, by which the ledger of tell is kept; found",
        ),
        ('line = "COUNT"', 'line = "COUNT {key}"', "is addressed to 'nobody' has no {key}"),
        ('line = "SHOUT {payload}"', 'line = "SHOUT {target}"', "has no {target}"),
        ('ledger = "answered"', 'ledger = "answered"\nb = 1', "send.fetch.b: unknown key"),
    ],
)
def test_what_is_wrong_with_one_is_said(folder, old, new, said):
    file = changed(folder, old, new)
    with pytest.raises(BadFileError) as error:
        command_file.read(file)
    assert said in str(error.value)


def test_an_answer_says_by_whom(folder):
    file = folder / "keeper.toml"
    head, tail = file.read_text().split("[send.fetch]")
    file.write_text(head + "[send.fetch]" + tail.replace("by = 'from", "# by = '"))
    with pytest.raises(BadFileError, match=r"send\.fetch\.by: expected text, found nothing"):
        command_file.read(file)


def test_check_says_what_a_system_can_do_of_its_own(folder):
    said = validation.validate(folder / "keeper.toml").sentence
    assert "keeper can do connect, dht_get, dht_put, fetch, keep, shout, tally, tell" in said


def test_a_scenario_asks_for_them_by_word(folder):
    validation.validate(folder / "load.toml")
    planned = files.read_scenario(folder / "load.toml")
    keep, tell = (stream.operation for stream in planned.phases[0].streams)
    assert (int(keep), keep.word, int(tell), tell.word) == (66, "keep", 64, "tell")
    load = Workload(seed=1, phases=planned.phases)
    assert Workload.from_json(json.loads(json.dumps(load.as_json()))).phases[0] == load.phases[0]
    plan = RunPlan(
        run="r",
        t0_ns=0,
        adapter="keeper.toml",
        seed=1,
        nodes=(Target(name="a", control="c", wire_id=b"a" * 32),),
        phases=tuple(planned.phases),
        workers=("w",),
    )
    wire = msgpack.unpackb(msgpack.packb(plan.to_wire()))
    assert RunPlan.from_wire(wire).phases[0].streams == planned.phases[0].streams
    assert [one.word for one in RunPlan.from_wire(wire).kinds if one.is_own] == ["tell", "keep"]


@pytest.mark.parametrize(
    ("name", "old", "new", "said"),
    [
        ("load.toml", '"keep"', '"kep"', "did you mean 'keep'?"),
        ("budget.toml", "keep.stored", "kepe.stored", "did you mean 'keep.stored'?"),
        ("budget.toml", "keep.stored", "keep.delivered", "row kept: metric: expected one of"),
        ("load.toml", 'system = "keeper.toml"', "", "found 'keep'"),
    ],
)
def test_a_word_that_the_system_has_not_is_refused(folder, name, old, new, said):
    changed(folder, old, new, name)
    with pytest.raises((BadFileError, UsageError)) as error:
        validation.validate(folder / "load.toml")
    assert said in str(error.value)


def test_another_system_is_asked_for_what_it_means_by_the_word(folder):
    """Two systems have the number 64, and the word `keep`: neither is taken for the other."""
    other = str(folder / "other.toml")
    found = abilities.fitted(files.read_scenario(folder / "load.toml", other), other)
    (keep,) = (stream.operation for stream in found.phases[0].streams)
    assert (int(keep), own.ledger_of(keep)) == (65, "none")
    assert found.phases[1].until is not None
    assert found.other_system is not None
    assert found.other_system.words == ("tell",)
    said = validation.validate(folder / "load.toml", system="meshnode").sentence
    assert "meshnode has no keep: left out of phases load, settle" in said
    assert "phase settle is not ended by 'success of keep in the last second >= 99 %'" in said
    # A scenario that names no system of its own is asked by who names one.
    changed(folder, 'system = "keeper.toml"\n', "", "load.toml")
    mine = str(folder / "keeper.toml")
    planned = abilities.fitted(files.read_scenario(folder / "load.toml", mine), mine)
    assert [one.operation.word for one in planned.phases[0].streams] == ["keep", "tell"]


def test_a_system_that_was_started_with_another_file_is_not_asked(folder):
    """The numbers of the file now were those of other operations for the nodes that run."""
    started = adapters.named(str(folder / "keeper.toml"))
    streams = files.read_scenario(folder / "load.toml").phases[0].streams_as_json()
    abilities.require_same(started, streams)
    changed(folder, "[send.tell]", '[send.yell]\nledger = "none"\nline = "YELL"\n[send.tell]')
    streams = files.read_scenario(folder / "load.toml").phases[0].streams_as_json()
    with pytest.raises(UsageError, match="started with a file that said something else of its op"):
        abilities.require_same(started, streams)


def test_a_replay_asks_for_what_the_word_means_now(folder):
    planned = files.read_scenario(folder / "load.toml")
    changed(folder, "[send.tell]", '[send.yell]\nledger = "none"\nline = "YELL"\n[send.tell]')
    found = abilities.meant_now(planned)
    assert [int(one.operation) for one in found.phases[0].streams] == [67, 65]
    abilities.require(found)
    changed(folder, 'ledger = "delivered"', 'ledger = "none"')
    with pytest.raises(UsageError, match=r"tell: it was counted as delivered .* now says none"):
        abilities.meant_now(planned)


def test_one_is_itself_after_a_copy_and_across_processes():
    tell = own.made(64, "tell", "delivered")
    assert deepcopy(tell) is tell
    assert pickle.loads(pickle.dumps(tell)) == tell
    assert pickle.loads(pickle.dumps(Operation.BROADCAST)) is Operation.BROADCAST
    assert tell not in Operation
    assert (tell == 64, tell == Operation.BROADCAST) == (True, False)

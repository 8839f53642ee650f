"""Accounts on literal readings: what each rate let through, and what the links carried."""

from __future__ import annotations

from dataclasses import replace

import pytest

from harness.faults.fault import Fault, fold
from harness.faults.paths import Paths
from harness.history.proof import ProofAnswer
from harness.kernel.netlink import LinkCounters
from harness.network.injectors.compiler import Compiled, Compiler
from harness.network.injectors.injector import Limit, limits
from harness.network.proof.accounts import Accounts
from harness.network.reading import Reading
from harness.topology.impairment import CLEAR, Impairment

IN_FORCE, NOT_IN_FORCE = ProofAnswer.IN_FORCE, ProofAnswer.NOT_IN_FORCE
NOT_SHOWN = ProofAnswer.AMOUNT_NOT_SHOWN
SECOND = 1_000_000_000
MBIT = 125_000  # bytes of a second
ADDRESSES = ["10.0.0.1", "10.0.0.2", "10.0.0.3"]
NARROW = Impairment(rate_bps=1_000_000)
INTO = Compiled(classes={5: NARROW}, paths={("10.0.0.1", "10.0.0.2"): 5}, into={1: frozenset({5})})
UP = Compiled(up={0: 1_000_000})
DOWN = Compiled(down={1: 1_000_000})
FAULT = Fault(
    name="f",
    paths=frozenset({("a", "b")}),
    up={"a": 1_000_000},
    down={"b": 1_000_000},
    impairment=NARROW,
)
LIMITS = {
    "into": Limit("into", 1, 5, 1_000_000),
    "up": Limit("up", 0, 0, 1_000_000),
    "down": Limit("down", 1, 0, 1_000_000),
}
COMPILED = {"into": INTO, "up": UP, "down": DOWN}


def links(*mbit: tuple[float, float]) -> dict[int, LinkCounters]:
    """Of each node what it has sent and received, in megabits."""
    return {
        node: LinkCounters(
            rx_packets=0, tx_packets=0, tx_bytes=round(sent * MBIT), rx_bytes=round(got * MBIT)
        )
        for node, (sent, got) in enumerate(mbit)
    }


def reading(
    at_s: float, compiled: Compiled, carried, sent=None, took_s: float = 0.0, **counters: int
) -> Reading:
    return Reading(
        at_ns=round(at_s * SECOND),
        compiled=compiled,
        faults={"f": FAULT},
        counters=counters,
        sent=sent or {},
        links=carried,
        read_ns=round((at_s + took_s) * SECOND),
    )


def judged(*readings: Reading) -> dict[str, ProofAnswer]:
    accounts = Accounts(["a", "b", "c"], ADDRESSES)
    for one in readings:
        accounts.add(one)
    return {proof.what: proof.answer for proof in accounts.proofs()}


QUIET = links((0, 0), (0, 0), (0, 0))


@pytest.mark.parametrize("which", list(LIMITS))
@pytest.mark.parametrize(
    ("counted", "carried", "answer"),
    [
        (1, links((2, 0), (0, 2), (0, 0)), IN_FORCE),
        (0, links((0, 0), (0, 0), (0, 0)), NOT_SHOWN),
        (3, links((2, 0), (0, 2), (0, 0)), NOT_IN_FORCE),
        # Its own counter stands still, and the links carry fifteen times as much.
        (0, links((30, 0), (0, 30), (0, 0)), NOT_IN_FORCE),
    ],
)
def test_a_rate_is_held_against_its_counter_and_the_links(which, counted, carried, answer):
    compiled, limit = COMPILED[which], LIMITS[which]
    found = judged(
        reading(0, Compiled(), QUIET),
        reading(1, compiled, QUIET, {limit: 0}),
        reading(3, compiled, carried, {limit: 2 * counted * MBIT}),
    )
    assert found == {f"rate {which}": answer}


@pytest.mark.parametrize("which", list(LIMITS))
def test_what_passed_while_counters_were_read_is_not_charged_to_a_rate(which):
    """A busy host took a second to read them all: "1.269 of 1 Mbit/s passed, not in force"."""
    compiled, limit = COMPILED[which], LIMITS[which]
    carried = links((3, 0), (0, 3), (0, 0))
    assert judged(
        reading(0, Compiled(), QUIET),
        reading(1, compiled, QUIET, {limit: 0}),
        reading(3, compiled, carried, {limit: 3 * MBIT}, took_s=1),
    ) == {f"rate {which}": IN_FORCE}


@pytest.mark.parametrize("which", ["into", "up"])
def test_what_others_may_have_sent_is_not_charged_to_a_rate(which):
    """The third node sent as much to whom the rate leads; or some time ago, and it was held."""
    compiled, limit = COMPILED[which], LIMITS[which]
    others = links((2, 0), (0, 30), (30, 0))
    assert judged(
        reading(0, Compiled(), QUIET),
        reading(1, compiled, QUIET, {limit: 0}),
        reading(3, compiled, others, {limit: 2 * MBIT}),
    ) == {f"rate {which}": IN_FORCE}
    held = links((0, 0), (0, 0), (30, 0))
    slow = replace(compiled, classes={**compiled.classes, 9: Impairment(delay_ms=2_000)})
    assert judged(
        reading(0, Compiled(), QUIET),
        reading(3, slow, held, {limit: 0}),
        reading(5, slow, others, {limit: 2 * MBIT}),
    ) == {f"rate {which}": IN_FORCE}


def test_what_waited_in_the_queue_of_another_rate_is_not_charged_to_a_rate():
    """The second node sent 24 kB to the third, behind whose rate they waited for three seconds."""
    both = Compiled(up={0: 64_000}, down={2: 64_000})
    limit = Limit("up", 0, 0, 64_000)
    kb = 8 / 1_000  # in megabits
    sent = links((0, 0), (24 * kb, 0), (0, 0))
    assert judged(
        reading(0, both, QUIET, {limit: 0}),
        reading(1, both, sent, {limit: 0}),
        reading(2, both, links((0, 0), (24 * kb, 0), (0, 8 * kb)), {limit: 0}),
        reading(4, both, links((16 * kb, 0), (24 * kb, 16 * kb), (0, 24 * kb)), {limit: 16_000}),
    ) == {"rate up": NOT_SHOWN}


def test_nothing_is_judged_across_a_change():
    found = judged(
        reading(0, INTO, QUIET, {LIMITS["into"]: 0}),
        reading(2, replace(INTO), links((30, 0), (0, 30), (0, 0)), {LIMITS["into"]: 30 * MBIT}),
    )
    assert found == {}


def test_a_loss_and_cut_connections_are_counted():
    lossy = Compiled(classes={5: Impairment(loss=0.1)})
    found = judged(reading(0, lossy, QUIET), reading(2, lossy, QUIET, in5=10_000, lost5=1_000))
    assert found == {"loss": IN_FORCE}
    fault = replace(FAULT, flows=frozenset({("a", 1, "b", 2), ("b", 2, "a", 1)}))
    cut = Compiled(flows=frozenset({("10.0.0.1", 1, "10.0.0.2", 2)}))
    before, after = reading(0, cut, QUIET, old=7), reading(2, cut, QUIET, old=9)
    assert judged(replace(before, faults={"f": fault}), replace(after, faults={"f": fault})) == {
        "flows": IN_FORCE
    }


@pytest.mark.parametrize("which", list(LIMITS))
def test_one_packet_of_a_few_milliseconds_shows_no_rate(which):
    """After a change the counters are read at once, and a moment later by the prover: 400 bytes in
    5 ms are 640 kbit/s, and a burst lets them pass though nothing limits.
    """
    compiled, limit = COMPILED[which], LIMITS[which]
    found = judged(
        reading(1, compiled, QUIET, {limit: 0}),
        reading(1.005, compiled, QUIET, {limit: 400}),
        reading(3, compiled, QUIET, {limit: 800}),
    )
    assert found == {f"rate {which}": NOT_SHOWN}


def test_a_slow_rate_is_shown_over_several_looks():
    """What 64 kbit/s let pass in one look of two seconds, a burst would too."""
    slow = Compiled(up={0: 64_000})
    limit = Limit("up", 0, 0, 64_000)
    some = [reading(2 * number, slow, QUIET, {limit: 16_000 * number}) for number in range(4)]
    assert judged(*some[:2]) == {"rate up": NOT_SHOWN}
    assert judged(*some) == {"rate up": IN_FORCE}


def test_a_rate_that_is_used_no_more_is_not_shown_any_longer():
    compiled, limit = COMPILED["up"], LIMITS["up"]
    accounts = Accounts(["a", "b", "c"], ADDRESSES)
    answers = []
    for at_s, mbit in ((0, 0), (60, 60), (62, 60), (62.005, 60.003)):
        accounts.add(reading(at_s, compiled, QUIET, {limit: round(mbit * MBIT)}))
        answers += [proof.answer for proof in accounts.proofs()]
    assert answers == [IN_FORCE, NOT_SHOWN, NOT_SHOWN]


# Two regions of six nodes: faults of all paths are in prefixes, not in pairs.
REGIONS = {name: f"r{number // 6}" for number, name in enumerate("abcdefghijkl")}
TWELVE = {name: f"10.0.{n // 6}.{n % 6 + 1}" for n, name in enumerate(REGIONS)}


def compiled_of(*faults: Fault, always: Impairment = CLEAR) -> Reading:
    """A reading of this state of twelve nodes; `always` is from r0 to r1."""
    prefixes = {"r0": "10.0.0.0/24", "r1": "10.0.1.0/24"}
    baseline = {("r0", "r1"): always} if always != CLEAR else {}

    def base(path: tuple[str, str]) -> Impairment:
        return baseline.get((REGIONS[path[0]], REGIONS[path[1]]), CLEAR)

    compiler = Compiler(TWELVE, prefixes, REGIONS)
    compiled = compiler.compile(fold(faults, base), baseline)
    return replace(reading(0, compiled, QUIET), faults={one.name: one for one in faults})


def lossy(name: str, loss: float, *paths: tuple[str, str]) -> Fault:
    return Fault(name=name, paths=frozenset(paths), impairment=Impairment(loss=loss))


def losses(state: Reading) -> dict[float, list[str]]:
    """Loss of a class, in percent → the faults that it is said to be of."""
    accounts = Accounts(list(TWELVE), list(TWELVE.values()))
    accounts.add(state)
    found: dict[float, list[str]] = {}
    for proof in accounts.proofs():
        if proof.what == "loss":
            found.setdefault(round(100 * proof.asked, 3), []).append(proof.fault)
    return found


def test_a_class_is_of_the_faults_that_are_on_its_paths():
    """On a topology with a baseline, each has its own; what no fault is on is the baseline's."""
    one, other = lossy("one", 0.1, ("a", "g")), lossy("other", 0.2, ("b", "h"), ("g", "a"))
    both = compiled_of(one, other, always=Impairment(delay_ms=40))
    assert losses(both) == {10: ["one"], 20: ["other", "other"]}
    single = compiled_of(one, always=Impairment(loss=0.5))
    assert losses(single) == {50: ["baseline"], 55: ["one"]}


def test_a_class_where_faults_meet_is_of_all_of_them():
    everywhere = Fault(
        name="all", paths=Paths([(REGIONS, REGIONS)]), impairment=Impairment(loss=0.1)
    )
    there = lossy("there", 0.1, ("a", "b"))
    assert losses(compiled_of(everywhere, there)) == {10: ["all"], 19: ["all", "there"]}


def test_a_rate_is_of_the_faults_that_are_on_its_paths():
    one = Fault(name="one", paths=frozenset({("a", "g")}), impairment=NARROW)
    state = compiled_of(one, always=Impairment(rate_bps=5_000_000))
    accounts = Accounts(list(TWELVE), list(TWELVE.values()))
    for at_s in (0, 2):
        counted = dict.fromkeys(limits(state.compiled), 0)
        accounts.add(replace(state, at_ns=at_s * SECOND, read_ns=at_s * SECOND, sent=counted))
    assert {(proof.fault, proof.asked) for proof in accounts.proofs()} == {
        ("one", 1e6),
        ("baseline", 5e6),
    }


def test_what_two_faults_dropped_together_shows_neither():
    """They have one counter: the connections of one may have been silent."""
    one = replace(FAULT, name="one", flows=frozenset({("a", 1, "b", 2), ("b", 2, "a", 1)}))
    other = replace(FAULT, name="other", flows=frozenset({("a", 3, "c", 4), ("c", 4, "a", 3)}))
    cut = Compiled(flows=frozenset({("10.0.0.1", 1, "10.0.0.2", 2)}))
    accounts = Accounts(["a", "b", "c"], ADDRESSES)
    for at_s, old in ((0, 7), (2, 9)):
        both = reading(at_s, cut, QUIET, old=old)
        accounts.add(replace(both, faults={"one": one, "other": other}))
    found = accounts.proofs()
    assert {proof.fault: proof.answer for proof in found} == {"one": NOT_SHOWN, "other": NOT_SHOWN}
    assert "of 2 faults" in found[0].sentence

"""What read-back says is not as asked, on literal states."""

from __future__ import annotations

import pytest

from harness.kernel import disciplines, wiring
from harness.kernel.disciplines import Numbers
from harness.kernel.qdisc import DEFAULT_CLASS, ROOT, asked_tree
from harness.kernel.wiring import Entry
from harness.network.injectors.compiler import Compiled
from harness.network.injectors.ruleset import Ruleset, class_rules, verdicts_of
from harness.topology.impairment import Impairment

HOOK = {"type": "filter", "hook": "forward", "prio": -200, "policy": "accept"}
DROP = [{"counter": "cut"}, {"drop": None}]


def chain(name, **more):
    return {"chain": {"family": "ip", "table": "t", "name": name, "handle": 3, **more}}


def rule(chain, expr, handle=9):
    return {"rule": {"chain": chain, "handle": handle, "expr": expr}}


def counter(name):
    return {"counter": {"name": name, "handle": 1, "packets": 5, "bytes": 9}}


MADE = [chain("before", **HOOK), rule("before", DROP), counter("cut")]
TBF = "qdisc tbf 1: of link 7"
LOSSY = Impairment(loss=0.1, rate_bps=10**6, delay_ms=5)
CLASS = [
    {"chain": {"name": "c5"}},
    {"counter": {"name": "in5"}},
    {"counter": {"name": "lost5"}},
    *(rule("c5", listed) for _, listed in class_rules(5, LOSSY, holds=True)),
]


def differs(listed):
    """Chains of classes are compared as they are listed, without their families and handles."""
    found = Ruleset(listed)
    for key in (("chain", "c5"), ("counter", "in5"), ("counter", "lost5")):
        if key in found.objects:
            found.objects[key] = {}
    return found.difference(Ruleset(MADE), Compiled(classes={5: LOSSY}), (), holds=True)


def test_a_ruleset_as_compiled_does_not_differ():
    assert differs([*MADE, *CLASS]) is None
    again = [chain("before", **HOOK), rule("before", DROP, handle=77), counter("cut"), *CLASS]
    assert differs(again) is None  # handles and counts are nobody's


@pytest.mark.parametrize(
    ("listed", "said"),
    [
        ([*MADE, *CLASS[1:]], "chain c5 is gone"),
        ([*MADE, *CLASS[:-1]], "chain c5: asked 4 rules, the kernel has 3"),
        ([*MADE, *CLASS, rule("c5", DROP)], "chain c5: asked 4 rules, the kernel has 5"),
        ([*MADE, *CLASS, rule("before", [{"accept": None}])], "chain before: asked 1 rules"),
        ([*MADE, *CLASS, chain("x")], "a stranger's chain x"),
        ([*MADE, *CLASS, {"flowtable": {"name": "x"}}], "a stranger's flowtable x"),
        (
            [chain("before", **{**HOOK, "prio": 5}), *MADE[1:], *CLASS],
            "chain before is not as it was made",
        ),
        (
            [chain("before", **{**HOOK, "policy": "drop"}), *MADE[1:], *CLASS],
            "chain before is not as it was made",
        ),
    ],
)
def test_a_ruleset_that_somebody_changed_differs(listed, said):
    assert said in differs(listed)


def test_rules_of_a_class_are_what_is_asked():
    assert [words for words, _ in class_rules(31, LOSSY, holds=True)] == [
        "counter name in31",
        "numgen random mod 1000000 < 100000 counter name lost31 drop",
        "meta priority set 1:1f",
        "meta mark set 1073741855",
    ]
    everything = class_rules(5, Impairment(loss=1.0), holds=True)
    assert [words for words, _ in everything] == ["counter name in5", "counter name lost5 drop"]


def test_an_element_with_another_verdict_is_no_element_of_ours():
    named = {"path": {"elem": [[{"concat": ["a", "b"]}, {"goto": {"target": "c5"}}]]}}
    assert verdicts_of(named, "path", "goto") == {("a", "b"): "c5"}
    for verdict in ({"jump": {"target": "c5"}}, {"accept": None}):
        with pytest.raises(ValueError, match="an element says"):
            verdicts_of({"path": {"elem": [["a", verdict]]}}, "path", "goto")


@pytest.mark.parametrize(
    ("found", "said"),
    [
        ({TBF: Numbers((1,), (1_000_050,))}, None),  # the kernel rounds
        ({TBF: Numbers((1,), (2_000_000,))}, "asked (1, 1000000), the kernel has (1, 2"),
        ({TBF: Numbers((2,), (1_000_000,))}, "asked (1, 1000000), the kernel has (2, 1"),
        ({}, "qdisc tbf 1: of link 7 is gone"),
        (
            {TBF: Numbers((1,), (1_000_000,)), **disciplines.redirect(7, 9)},
            "a stranger's filter at ffff: of link 7",
        ),
    ],
)
def test_disciplines_differ_by_their_numbers(found, said):
    differs = disciplines.difference({TBF: Numbers((1,), (1_000_000,))}, found)
    assert (differs is None) if said is None else (said in differs)


@pytest.mark.parametrize(
    "numbers",
    [
        (1, 0, 2, 1_000_001),  # a mirror
        (1, 0, 1, 1_000_002),  # another node's device
        (3, 0, 1, 1_000_001),  # two filters more
        (1, 1, 1, 1_000_001),  # some packets only
    ],
)
def test_a_redirect_to_elsewhere_differs(numbers):
    asked = disciplines.redirect(7, 1_000_001)
    [name] = asked
    assert disciplines.difference(asked, {name: Numbers((1, 0, 1, 1_000_001))}) is None
    differs = disciplines.difference(asked, {name: Numbers(numbers)})
    assert differs == f"{name}: asked (1, 0, 1, 1000001), the kernel has {numbers}"


def test_another_default_class_of_a_tree_differs():
    asked = asked_tree(7, None, {})
    tree = "qdisc htb 1: of link 7"
    found = {**asked, tree: Numbers((ROOT, DEFAULT_CLASS - 1))}
    assert tree in disciplines.difference(asked, found)


def test_wiring_differs_by_what_is_gone_changed_or_new():
    asked = frozenset({Entry("route to a", b"1"), Entry("link n0", b"2")})
    assert wiring.difference(asked, asked) is None
    for found, said in (
        ({Entry("route to a", b"1")}, "link n0 is gone"),
        ({*asked, Entry("address b", b"3")}, "a stranger's address b stands in the hub"),
        ({Entry("route to a", b"9"), Entry("link n0", b"2")}, "route to a was changed by somebody"),
    ):
        assert wiring.difference(asked, frozenset(found)) == said

"""Where faults were, as faults.jsonl keeps them."""

from __future__ import annotations

import json

import pytest

from harness.errors import BadFileError
from harness.faults.spec import parse
from harness.history.resolved import ResolvedFault
from harness.topology.topology import Node

NODES = [Node(name=name) for name in "abcd"]


def line(**words):
    """What a recording keeps of a fault."""
    return json.loads(json.dumps({"number": 3, **parse(words).resolve(NODES, 1).as_json()}))


def test_a_cut_in_one_direction_is_told_by_whom_it_parts():
    """No event tells its sides: it has none."""
    found = ResolvedFault.from_json(line(cut="halves", one_way=True))
    assert (found.number, found.paths) == (3, ())
    assert found.far == ((frozenset("ab"), frozenset("cd")),)


def test_a_delay_is_told_by_its_paths():
    found = ResolvedFault.from_json(line(where="a -> b", delay="5ms"))
    assert (found.paths, found.far) == (((frozenset("a"), frozenset("b")),), ())


def test_a_fault_of_nodes_is_on_no_path():
    found = ResolvedFault.from_json(line(where="a", condition="killed"))
    assert (found.paths, found.far) == ((), ())


@pytest.mark.parametrize("wrong", [{"number": "3"}, {"paths": [["a", "b"]]}, {"far": [[["a"]]]}])
def test_what_is_none_is_refused(wrong):
    with pytest.raises(BadFileError, match=next(iter(wrong))):
        ResolvedFault.from_json({**line(where="a -> b", delay="5ms"), **wrong})

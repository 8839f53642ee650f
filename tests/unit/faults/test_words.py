"""The words of a fault are read back into the table that they were said of."""

from __future__ import annotations

import pytest

from harness.errors import BadFileError
from harness.faults import spec
from harness.faults.words import WORDS
from harness.topology.topology import Node

TABLES = [
    {"where": "node-1 -> node-2, node-3", "delay": "80ms", "jitter": "5ms", "loss": "1%"},
    {"where": "all", "rate": "10mbit"},
    {"where": "region:eu <-> node-3", "duplicate": "1%", "half_open": "new"},
    {"where": "node-1", "up": "1mbit", "down": "2mbit"},
    {"cut": "halves"},
    {"cut": "isolate", "of": ["node-3", "node-4"], "one_way": True},
    {"cut": "k-way", "of": ["3"], "part": "30%", "loss": "5%"},
    {"where": "node-1, node-2", "condition": "killed", "state": "wipe"},
    {"where": "node-1", "cpu": "20%", "fds": "64", "memory": "64mb"},
    {"where": "node-0", "toxic": ["latency latency=100 jitter=5", "slicer delay=1"]},
]


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.get("where") or table["cut"])
def test_words_are_read_back(table):
    again = spec.table_of(spec.parse(table).words)
    assert again == table
    assert spec.parse(again) == spec.parse(table)


def test_every_word_that_is_said_is_tried():
    unsaid = {"name", "at_s", "for_s", "flap_s"}
    tried = {word for table in TABLES for word in table}
    assert set(WORDS) - unsaid - tried == {"reorder", "corrupt"}


@pytest.mark.parametrize(
    "words", ["", "node-1 delay", "churn of all: 2 leave a second", "node-1 loss 1% delay 5ms"]
)
def test_what_are_no_words_of_a_fault_is_refused(words):
    with pytest.raises(BadFileError):
        spec.parse(spec.table_of(words)).resolve([Node(name="node-0"), Node(name="node-1")], 1)

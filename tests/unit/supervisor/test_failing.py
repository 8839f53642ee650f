"""A look of the judge: which row of a phase has failed."""

from __future__ import annotations

import json

import pytest

from harness.supervisor.failing import failed


def look(**changes: object) -> bytes:
    finding = {"name": "p99", "answer": "FAIL", "phase": "active", "metric": "rss"} | changes
    return json.dumps({"at_s": 1.0, "verdict": {"findings": [finding]}}).encode()


def test_a_row_of_the_phase_that_failed():
    assert failed(look(), "active") == "p99"


@pytest.mark.parametrize(
    "changes",
    [{"answer": "UNKNOWN"}, {"answer": "PASS"}, {"phase": "other"}, {"metric": ""}],
)
def test_nothing_else_is_one(changes):
    assert failed(look(**changes), "active") is None


@pytest.mark.parametrize("line", [b"", b"{", b"[]", b"{}", b'{"verdict": 3}', b"null"])
def test_what_is_no_look_is_none(line):
    assert failed(line, "active") is None

"""A look of the judge: which row of a phase has failed; and a judge that ends is said."""

from __future__ import annotations

import json
import os

import pytest

from harness.errors import UnavailableError
from harness.supervisor.failing import failed, first_failure


def look(**changes: object) -> bytes:
    finding = {"name": "p99", "answer": "FAIL", "phase": "active", "metric": "rss"} | changes
    return json.dumps({"at_s": 1.0, "verdict": {"findings": [finding]}}).encode()


def test_a_row_of_the_phase_that_failed():
    assert failed(look(), "active") == "p99"


@pytest.mark.parametrize(
    "changes",
    [{"answer": "UNKNOWN"}, {"answer": "PASS"}],
)
def test_nothing_else_is_one(changes):
    assert failed(look(**changes), "active") is None


@pytest.mark.parametrize("changes", [{"phase": "other"}, {"metric": ""}])
def test_without_a_row_about_the_phase_none_can_fail(changes):
    with pytest.raises(UnavailableError, match="no row of the budget is about phase active"):
        failed(look(**changes), "active")


@pytest.mark.parametrize("line", [b"", b"{", b"[]", b"{}", b'{"verdict": 3}', b"null"])
def test_what_is_no_look_is_none(line):
    assert failed(line, "active") is None


def test_a_judge_that_ends_says_why(tmp_path):
    over = os.eventfd(0)
    try:
        with pytest.raises(UnavailableError, match=r"the judge .* ended: .*expected a run folder"):
            first_failure(tmp_path, "active", over, None)
    finally:
        os.close(over)

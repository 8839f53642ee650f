"""Folded stacks: read, written, put together, and the hottest functions of them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import BadFileError
from harness.profiles.stacks import CUT, DEPTH_MOST, Stacks, function_of, merged, parse, stack_of

FOLDED = "main (a.py:3);hot (a.py:9) 7\nmain (a.py:3);hot (a.py:10) 2\nmain (a.py:4) 1\n"


def test_what_is_read_is_written_again():
    found = parse(FOLDED, "samples")
    assert found.total == 10
    assert parse(found.folded(), "samples") == found


def test_the_hottest_function_is_that_of_all_its_lines():
    assert parse(FOLDED, "samples").hottest(1) == [("hot (a.py)", 0.9)]


@pytest.mark.parametrize("line", ["main", "main x", "main -1", " 3", "main 1.5"])
def test_a_line_that_is_no_stack_is_named(line):
    with pytest.raises(BadFileError, match="line 2: expected frames and a count"):
        parse(f"main 1\n{line}\n", "samples")


def test_nothing_is_no_stack():
    found = parse("", "samples")
    assert (found.total, found.hottest(3), found.folded()) == (0, [], "")


def test_several_processes_stand_below_their_names():
    one, two = parse("a 1\n", "samples"), parse("a 2\n", "samples")
    assert merged({"p 1": one, "p 2": two}, "samples").counts == {("p 1", "a"): 1, ("p 2", "a"): 2}
    assert merged({"p 1": one}, "samples").counts == {("a",): 1}


def test_a_stack_that_is_too_deep_is_cut_and_says_so():
    found = stack_of(map(str, range(DEPTH_MOST + 5)))
    assert (len(found), found[0], found[-1]) == (DEPTH_MOST, "0", CUT)


@pytest.mark.parametrize(
    ("frame", "function"),
    [
        ("hot (node.py:12)", "hot (node.py)"),
        ("hot (libc.so.6)", "hot (libc.so.6)"),
        ("<module> (a b.py:1)", "<module> (a b.py)"),
        ("[libc.so.6]", "[libc.so.6]"),
        ("f(int) (x.so)", "f(int) (x.so)"),
    ],
)
def test_a_function_is_its_name_and_file(frame, function):
    assert function_of(frame) == function


@given(st.lists(st.tuples(st.lists(st.text(), min_size=1, max_size=4), st.integers(1, 9))))
def test_any_name_of_a_function_can_be_written(rows):
    """The process under test chose its names."""
    counts: dict[tuple[str, ...], int] = {}
    for frames, count in rows:
        stack = stack_of(frames)
        counts[stack] = counts.get(stack, 0) + count
    made = Stacks(counts=counts, unit="samples")
    assert parse(made.folded(), "samples") == made

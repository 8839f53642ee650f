"""Numbers as they are shown: never rounded onto what they are not, and never an exponent."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.topology.quantities import number, percent


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.0, "0"),
        (0.0001234, "0.000123"),
        (3.0, "3"),
        (9.999, "10"),
        (99.96, "100"),
        (999.7, "1,000"),
        (1234.0, "1,234"),
        (12345.4, "12,345"),
        (50000.0, "50,000"),
        (1e9, "1,000,000,000"),
        (-1234.5, "-1,234"),
        (math.inf, "∞"),
        (math.nan, "–"),
    ],
)
def test_a_number_has_three_digits_and_all_before_its_point(value, shown):
    assert number(value) == shown


@pytest.mark.parametrize(
    ("value", "beside", "shown"),
    [
        (99.96, [100.0], "99.96"),
        (99.99999, [100.0], "99.99999"),
        (100.0, [100.0], "100"),
        (99.87, [99.9], "99.87"),
        (99.86, [99.87], "99.86"),  # 99.9 would be above it
        (99.9, [99.9, 100.0], "99.9"),
        (1000.4, [1000.0], "1,000.4"),
        (10_000_000.0, [10_000_000.0], "10,000,000"),
        (0.1, [0.1], "0.1"),
        (1.2345, [1.2345], "1.2345"),
    ],
)
def test_a_number_lies_where_it_does_of_what_it_stands_beside(value, beside, shown):
    assert number(value, *beside) == shown


@given(st.floats(-1e9, 1e9), st.floats(-1e9, 1e9))
def test_no_rounding_carries_a_number_over_another(value, other):
    shown = float(number(value, other).replace(",", ""))
    assert (shown < other) == (value < other)
    assert (shown > other) == (value > other)


@pytest.mark.parametrize(
    ("share", "shown"),
    [
        (0.048, "4.8 %"),
        (0.9996, "99.96 %"),
        (0.99999, "99.999 %"),
        (1.0, "100 %"),
        (0.0, "0 %"),
        (0.00001234, "0.0012 %"),
        (0.4567, "45.7 %"),
    ],
)
def test_a_share_is_all_or_nothing_only_where_it_is(share, shown):
    assert percent(share) == shown

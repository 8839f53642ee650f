"""Who shares a moment with whom is what comparing each with each says."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from harness.checks.times import Times

moments = st.integers(0, 9)
stretches = st.lists(st.tuples(moments, moments).map(lambda two: (min(two), max(two))), max_size=9)


@given(stretches, stretches)
def test_who_meets_is_who_a_slow_look_finds(some, others):
    since_ns, until_ns = np.array(others, np.int64).reshape(-1, 2).T
    wanted = [any(since <= to and until >= frm for frm, to in some) for since, until in others]
    assert Times.of(some).meet(since_ns, until_ns).tolist() == wanted

"""What nodes and host used: no sample is lost, and nothing is drawn where none was taken."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from kit.histories import history, host, sample

from harness.history import history as h
from harness.reports.series import resources


def table(column, samples, seconds):
    resource = next(one for one in resources.RESOURCES if one.column == column)
    return resources.matrix(history(samples=samples, seconds=seconds), resource)[0].tolist()


def test_of_two_samples_in_a_second_the_higher_is_kept():
    samples = [sample(at, 0, fds=fds) for at, fds in ((1.1, 90), (1.9, 20), (2.5, 30))]
    assert table("fds", samples, 2) == [90.0, 30.0]


def test_of_two_rates_in_a_second_the_mean_is_kept():
    samples = [
        sample(at, 0, bytes_in=total * 10**6) for at, total in ((1, 0), (2.0, 1), (2.5, 2), (3, 2))
    ]
    assert table("bytes_in", samples, 3)[1:] == [1.5, 0.0]


def test_the_hosts_lines_have_a_gap_where_it_was_not_sampled():
    rows = [host(1 + at, at) for at in (0, 1, 2, 11, 12)]
    found = history(host=pa.Table.from_pylist(rows, h.HOST), seconds=20)
    drawn = resources.host(found)
    assert drawn.at_s.tolist() == [1, 2, 11, 12]
    assert np.isfinite(drawn.lines[0].values).tolist() == [True, True, False, True]

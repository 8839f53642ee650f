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


def looks(*rows):
    """Samples of node 0, a second each: (its first process, what a look at its disk told)."""
    return [sample(1 + at, 0, pid=pid, disk_bytes=told) for at, (pid, told) in enumerate(rows)]


def test_a_look_at_a_disk_stands_until_the_next_one_of_the_same_process():
    samples = looks((7, None), (7, 4_000_000), (7, None), (7, 6_000_000), (8, None), (8, 0))
    drawn = table("disk_bytes", samples, 6)
    assert np.array_equal(drawn, [np.nan, 4.0, 4.0, 6.0, np.nan, 0.0], equal_nan=True)


def test_a_look_at_a_disk_is_no_other_nodes():
    samples = [*looks((7, 4_000_000)), sample(2.5, 1, pid=7, disk_bytes=None)]
    resource = next(one for one in resources.RESOURCES if one.column == "disk_bytes")
    drawn = resources.matrix(history(samples=samples, seconds=3), resource)
    assert np.isfinite(drawn).sum(axis=1).tolist() == [1, 0, 0]


def test_a_look_at_a_disk_does_not_stand_for_ever():
    samples = looks((7, 4_000_000), *[(7, None)] * 80)
    assert np.isfinite(table("disk_bytes", samples, 81)).sum() == 1 + resources.HELD_S


def test_a_node_that_was_not_sampled_has_no_disk_then():
    samples = [sample(at, 0, pid=7, disk_bytes=told) for at, told in ((1, 5_000_000), (4, None))]
    assert np.isfinite(table("disk_bytes", samples, 5)).tolist() == [
        True,
        False,
        False,
        True,
        False,
    ]


def test_disks_have_a_chart_only_where_somebody_looked():
    for told, keys in ((None, []), (5_000_000, ["resource-disk-bytes"])):
        found = history(samples=looks((7, told), (7, None)), seconds=2)
        charts, series = resources.of_nodes(found)
        assert [one.key for one in charts if "disk" in one.key] == keys
        assert [one.key for one in series if "disk" in one.key] == keys
        assert all("twice a minute" in one.note for one in charts if "disk" in one.key)

"""What control groups and the scheduler tell, as texts of both versions."""

from __future__ import annotations

import pytest

from harness.kernel import proc
from harness.kernel.cgroups import Group, throttled_us

VERSION_1 = (
    b"nr_periods 91\nnr_throttled 80\nthrottled_time 4788371298\nnr_bursts 0\nburst_time 0\n"
)
VERSION_2 = b"usage_usec 1\nuser_usec 1\nsystem_usec 0\nnr_periods 9\nthrottled_usec 81\n"
ROOT = b"usage_usec 100525127346\nuser_usec 82708648117\nsystem_usec 17816479228\n"


@pytest.mark.parametrize(
    ("text", "us"), [(VERSION_1, 4_788_371), (VERSION_2, 81), (ROOT, None), (b"", None)]
)
def test_how_long_a_group_was_kept_from_its_cores(text, us):
    assert throttled_us(text) == us


@pytest.mark.parametrize(("text", "ns"), [(b"1125452 178295 3\n", 178_295), (b"", 0)])
def test_how_long_a_thread_waited_for_a_core(text, ns):
    assert proc.run_delay_ns(text) == ns


@pytest.mark.parametrize(("version", "file"), [(1, "cpu.cfs_quota_us"), (2, "cpu.max")])
def test_an_account_is_no_group_that_takes_a_quota(tmp_path, version, file):
    """A node alone in its account was to be limited there, where nothing limits."""
    group = Group(tmp_path, version)
    assert not group.takes_quota
    (tmp_path / file).touch()
    assert group.takes_quota

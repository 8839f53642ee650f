"""What a scenario may ask for, and what is refused."""

from __future__ import annotations

import pytest

from harness.errors import BadFileError
from harness.profiles.spec import ProfileSpec, Start, require_who, worker

NODES = ("node-0", "node-1")


@pytest.mark.parametrize(
    "who", ["node-1", "supervisor", "gateway", "worker", "worker-1", "worker-12"]
)
def test_who_can_be_profiled(who):
    require_who(who, NODES, "phase p")


@pytest.mark.parametrize("who", ["node-2", "worker-0", "worker-x", "master", ""])
def test_nobody_else_can(who):
    with pytest.raises(BadFileError, match=f"phase p: profile: there is no node '{who}'"):
        require_who(who, NODES, "phase p")


def test_which_worker():
    assert [worker(one) for one in ("worker", "worker-2", "node-2")] == [1, 2, None]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"tool": "gprof"}, "with: profiler: expected one of"),
        ({"at_s": -1.0}, "at_s: expected 0 or more"),
        ({"for_s": 0.5}, "for_s: expected 1 to"),
        ({"for_s": 1e9}, "for_s: expected 1 to"),
    ],
)
def test_what_cannot_be_is_refused(changes, says):
    with pytest.raises(BadFileError, match=says):
        ProfileSpec(who="node-0", **changes)


@pytest.mark.parametrize(
    ("at_s", "for_s", "duration_s", "fits"),
    [
        (0.0, None, 5.0, True),
        (5.0, None, 5.0, False),
        (1.0, 4.0, 5.0, True),
        (2.0, 4.0, 5.0, False),
        (100.0, 9.0, None, True),
    ],
)
def test_it_fits_into_its_phase(at_s, for_s, duration_s, fits):
    asked = ProfileSpec(who="node-0", at_s=at_s, for_s=for_s)
    assert asked.fits(duration_s) is fits
    if not fits:
        with pytest.raises(BadFileError, match="phase p: profile of node-0: from"):
            asked.require_fits(duration_s, "phase p")


def test_it_is_kept_as_json():
    asked = ProfileSpec(who="worker", tool="perf", at_s=1.0, for_s=2.0, start=Start.ROW_FAILS)
    assert ProfileSpec.from_json(asked.as_json()) == asked

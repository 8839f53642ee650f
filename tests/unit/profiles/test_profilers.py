"""What profilers print, as stacks; and what is said of one that is not here."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from harness import profiles
from harness.errors import UnavailableError, UsageError
from harness.profiles import memray_recorder, perf
from harness.profiles.profiler import find

PERF = """\
python3 21401/21402 11879.269362:   10101010 cpu-clock: 
\t           fdc14 _PyEval_EvalFrameDefault+0x30a4 (/usr/lib/libpython3.11.so.1.0)
\t    7fd467cdea00 [unknown] ([unknown])
\t          401000 [unknown] (/usr/bin/node)

Web Content 7/7 11879.509754:   10101010 cpu-clock: 
\tffffffffa4 finish_task_switch.isra.0+0x8 ([kernel.kallsyms])
\t           11 std::vector<int, a>::push_back(int const&)+0x1 (/a dir/x.so)

"""  # noqa: W291 - as perf prints it


def test_perf_gives_the_innermost_first():
    found = perf.folded(PERF.split("\n"))
    assert found.counts == {
        ("python3", "[node]", "[unknown]", "_PyEval_EvalFrameDefault (libpython3.11.so.1.0)"): 1,
        (
            "Web Content",
            "std::vector<int, a>::push_back(int const&) (x.so)",
            "finish_task_switch.isra.0 ([kernel.kallsyms])",
        ): 1,
    }


def test_perf_of_nothing_is_nothing():
    assert perf.folded([]).total == 0


def test_a_sample_without_frames_is_its_process():
    assert perf.folded(["a 1/1 2.0:  1 cpu-clock: ", ""]).counts == {("a",): 1}


def test_memray_counts_bytes_by_stack():
    rows = [
        (100, [("leak", "/x/node.py", 9), ("main", "/x/node.py", 3)]),
        (20, [("leak", "/x/node.py", 9), ("main", "/x/node.py", 3)]),
        (7, []),
    ]
    assert memray_recorder.folded(rows).counts == {
        ("main (node.py:3)", "leak (node.py:9)"): 120,
        ("(no Python frame)",): 7,
    }


def test_heaptrack_ends_the_innermost_frame_too(tmp_path):
    (tmp_path / "raw").write_text("main (a.c);keep (a.c); 4000\nmain (a.c); 20\n")
    assert profiles.named("heaptrack").read(tmp_path / "raw").counts == {
        ("main (a.c)", "keep (a.c)"): 4000,
        ("main (a.c)",): 20,
    }


@pytest.mark.parametrize("name", [name for name, one in profiles.TABLE.items() if one.tools])
def test_what_is_missing_is_named_with_its_package(name, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    profiler = profiles.TABLE[name]
    with pytest.raises(UnavailableError, match=rf"needs {profiler.tools[0].program}") as raised:
        profiler.require()
    assert profiler.tools[0].get in str(raised.value)


def test_a_profiler_beside_our_python_is_found_first(monkeypatch, tmp_path):
    for folder in ("beside", "path"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "py-spy").write_text("#!/bin/sh\n")
        (tmp_path / folder / "py-spy").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path / "path"))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "beside" / "python"))
    assert find("py-spy") == str(tmp_path / "beside" / "py-spy")


def test_py_spy_pauses_and_asks_for_the_lock(monkeypatch):
    """Other looks at a process were seen to be wrong (docs/profiles.md)."""
    monkeypatch.setattr("harness.profiles.py_spy.path_of", lambda name: name)
    command = profiles.named("py-spy").command([7], 2.4, Path("/x"))
    every = profiles.named("py-spy-wall").command([7], 2.4, Path("/x"))
    assert ("--gil" in command, "--idle" in every) == (True, True)
    assert "--nonblocking" not in [*command, *every]
    assert command[command.index("--duration") + 1] == "2"


def test_an_unknown_one_is_refused():
    with pytest.raises(UsageError, match="did you mean 'py-spy'"):
        profiles.named("pyspy")

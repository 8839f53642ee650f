"""The machine in a box, and in it the tests of netem: a kernel that has it, whatever this host's
lacks.
"""

from __future__ import annotations

import re
import shutil
import sys

import pytest
from kit.desk import ROOT

from harness.errors import UnavailableError
from harness.runtimes.machine import image, run

pytestmark = [pytest.mark.machine, pytest.mark.timeout(900)]


def test_the_tests_of_netem_pass_inside():
    code, output = run(
        [
            sys.executable,
            "-m",
            "pytest",
            "tests/vm",
            "-p",
            "no:cacheprovider",
            "-p",
            "pytest_timeout",
        ],
        directory=ROOT,
        environment={"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},  # an import takes seconds in there
    )
    print(output[-3000:])
    assert code == 0
    assert int(re.search(r"(\d+) passed", output)[1]) >= 11


def test_the_host_is_as_before_and_its_exit_code_comes_out(tmp_path):
    code, output = run(
        ["sh", "-c", f"echo inside > {tmp_path}/file; cat {tmp_path}/file; exit 7"],
        directory=tmp_path,
    )
    assert (code, output) == (7, "inside\n")
    assert list(tmp_path.iterdir()) == []


def test_what_is_missing_is_named(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda *_, **__: None)
    with pytest.raises(
        UnavailableError, match="apt-get install busybox-static dpkg kmod qemu-system-x86"
    ):
        image()

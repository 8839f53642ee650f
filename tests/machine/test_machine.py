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


FAILED = 70  # added to pytest's exit code, so that no other program's is taken for it


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """A boot takes half a minute, so one serves all: the tests of netem, and then a file written
    into a folder of the host; the exit code, the output, and the folder."""
    folder = tmp_path_factory.mktemp("host")
    tests = f"{sys.executable} -m pytest tests/vm -p no:cacheprovider -p pytest_timeout"
    written = f"echo inside > {folder}/file; cat {folder}/file"
    code, output = run(
        ["sh", "-c", f"{tests}; told=$?; {written}; exit $(({FAILED} + told))"],
        directory=ROOT,
        environment={"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},  # an import takes seconds in there
    )
    print(output[-3000:])
    return code, output, folder


def test_the_tests_of_netem_pass_inside(ran):
    code, output, _ = ran
    assert code == FAILED
    assert int(re.search(r"(\d+) passed", output)[1]) >= 11


def test_the_host_is_as_before_and_its_exit_code_comes_out(ran):
    code, output, folder = ran
    assert code >= FAILED
    assert output.endswith("\ninside\n")
    assert list(folder.iterdir()) == []


def test_what_is_missing_is_named(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda *_, **__: None)
    with pytest.raises(
        UnavailableError, match="apt-get install busybox-static dpkg kmod qemu-system-x86"
    ):
        image()

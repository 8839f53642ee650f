"""A plain Locust asks for what the cluster's system has of its own."""

from __future__ import annotations

import subprocess
import sys
from argparse import ArgumentParser

from harness.load.locust import options, own_operations
from harness.operations import Operation, own

TELL = own.made(64, "tell", "delivered")


class Parser(ArgumentParser):
    """Takes what Locust's own parser takes."""

    def add_argument(self, *names, env_var=None, **said):
        del env_var
        return super().add_argument(*names, **said)


# In a process of its own, for Locust patches the interpreter.
CLASSES = """
from harness.load.locust import own_operations
from harness.operations import own
own_operations.here = lambda: (own.made(64, "tell", "delivered"),)
from harness.load.locust.users import USERS
print(USERS["TellUser"].operation.word, len(USERS))
"""


def test_each_has_a_class():
    done = subprocess.run(
        [sys.executable, "-c", CLASSES], capture_output=True, text=True, check=True, timeout=120
    )
    assert done.stdout.split() == ["tell", str(len(Operation) + 1)]


def test_each_has_a_rate(monkeypatch):
    monkeypatch.setattr(own_operations, "here", lambda: (TELL,))
    parser = Parser()
    options.add(parser)
    assert options.stream(parser.parse_args([]), TELL) is None
    given = parser.parse_args(["--tell-rate", "5", "--payload-bytes", "64"])
    found = options.stream(given, TELL)
    assert found is not None
    assert (found.operation, found.rate_per_s, found.payload_bytes) == (TELL, 5, 64)
    assert options.is_asked_for(given, TELL)


def test_where_no_cluster_answers_there_are_none(monkeypatch, tmp_path):
    monkeypatch.setenv("HARNESS_STATE", str(tmp_path))
    assert own_operations.here.__wrapped__() == ()

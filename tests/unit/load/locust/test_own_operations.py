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
from harness.load.locust import plugin
plugin._count_users()
print(USERS["TellUser"].operation.word, len(USERS), plugin.os.environ["LOCUST_USERS"])
"""


def test_each_has_a_class_and_a_user():
    """Locust says that not all will be spawned where it is told of fewer users than classes."""
    done = subprocess.run(
        [sys.executable, "-c", CLASSES], capture_output=True, text=True, check=True, timeout=120
    )
    count = str(len(Operation) + 1)
    assert done.stdout.split() == ["tell", count, count]


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
    assert own_operations._status.__wrapped__() == {}
    monkeypatch.setattr(own_operations, "_status", dict)
    assert own_operations.here.__wrapped__() == ()
    assert own_operations.lacking.__wrapped__().sentence == ""


def test_the_page_offers_no_rate_of_what_the_system_has_not(monkeypatch):
    monkeypatch.setattr(own_operations, "_status", lambda: {"adapter": "serf"})
    found = own_operations.lacking.__wrapped__()
    assert "private_message" in found.words
    assert found.sentence.startswith("serf has no private_message, ")
    monkeypatch.setattr(own_operations, "here", lambda: (TELL,))
    monkeypatch.setattr(own_operations, "lacking", lambda: found)
    parser = Parser()
    options.add(parser)
    hidden = {
        action.dest
        for action in parser._actions
        if not getattr(action, "include_in_web_ui", True) and action.dest.endswith("_rate")
    }
    assert hidden == {f"{word}_rate" for word in found.words}
    assert parser.parse_args([]).private_message_rate > 0  # it is left out, and said so

"""A plain Locust asks for what the cluster's system has of its own."""

from __future__ import annotations

from argparse import ArgumentParser

from harness.load.locust import options, own_operations, users
from harness.operations import own

TELL = own.made(64, "tell", "delivered")


class Parser(ArgumentParser):
    """Takes what Locust's own parser takes."""

    def add_argument(self, *names, env_var=None, **said):
        del env_var
        return super().add_argument(*names, **said)


def test_each_has_a_rate_and_a_class(monkeypatch):
    monkeypatch.setattr(own_operations, "here", lambda: (TELL,))
    parser = Parser()
    options.add(parser)
    user = users._user(TELL)
    assert user.__name__ == "TellUser"
    assert user.stream(parser.parse_args([])) is None
    given = parser.parse_args(["--tell-rate", "5", "--payload-bytes", "64"])
    found = user.stream(given)
    assert (found.operation, found.rate_per_s, found.payload_bytes) == (TELL, 5, 64)
    assert options.is_asked_for(given, TELL)


def test_where_no_cluster_answers_there_are_none(monkeypatch, tmp_path):
    monkeypatch.setenv("HARNESS_STATE", str(tmp_path))
    assert own_operations.here.__wrapped__() == ()

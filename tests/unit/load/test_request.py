"""What a plain `locust` asks to be played."""

from __future__ import annotations

import subprocess
import sys
from types import SimpleNamespace

import pytest

from harness.errors import UsageError
from harness.load.locust import options
from harness.load.request import made
from harness.operations import Operation
from harness.scenario.stream import Stream

# Locust's own choice of the classes that its command line names (locust/main.py).
LOCUST_S_CHOICE = """
names = ["PrivateMessageUser", "BroadcastUser", "DhtGetUser", "DhtPutUser", "ConnectUser"]
print(" ".join(set(names) & set(names)))
"""


def asked(names: list[str]) -> list[Operation]:
    """The streams, in order, of classes in this order."""
    given = SimpleNamespace(scenario=None, seed=1, budget=None, runs="runs")

    def user(name: str) -> SimpleNamespace:
        word = "".join(f"_{one.lower()}" if one.isupper() else one for one in name)[1:-5]
        operation = next(each for each in Operation if each.word == word)
        stream = Stream(operation=operation, rate_per_s=1)
        return SimpleNamespace(__name__=name, stream=lambda _: stream)

    request = made(given, list(map(user, names)), {"adapter": "meshnode"}, dict)
    return [stream.operation for stream in request.phases[0].streams]


def test_one_seed_has_one_order_of_streams_however_locust_found_its_classes():
    """A stream's position is part of what its seed chooses; `locust A B` had another order in every
    run.
    """
    orders = {
        subprocess.run(
            [sys.executable, "-c", LOCUST_S_CHOICE],
            env={"PYTHONHASHSEED": str(seed)},
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for seed in range(8)
    }
    assert len(orders) > 1
    assert len({tuple(asked(order.split())) for order in orders}) == 1


def test_a_word_of_arrivals_that_is_none_is_refused_with_those_that_are():
    given = SimpleNamespace(broadcast_rate=1.0, payload_bytes=1, arrivals="poison", timeout_ms=1)
    with pytest.raises(UsageError, match=r"expected one of .*did you mean 'poisson'"):
        options.stream(given, Operation.BROADCAST)

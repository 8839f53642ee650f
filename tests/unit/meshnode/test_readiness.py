"""When a node joins the DHT once more: not while timers come late, and not for ever later."""

import random
import time
from pathlib import Path
from types import SimpleNamespace

from meshnode.config import Config, Neighbour
from meshnode.readiness import JOIN_AGAIN_S, LATE_NS, PUT_OFF_MOST, Readiness

NEIGHBOUR = Neighbour(name="b", id=bytes(32), address="127.0.0.1", port=1)


class Timers:
    """A pulse whose timers a test fires, as late as it likes."""

    def __init__(self) -> None:
        self.due = []

    def at(self, at_ns, callback):
        self.due.append((at_ns, callback))


def second_joins(monkeypatch, late_ns: list[int]) -> int:
    """How often a joined node joins again while its timers come so late, one after the other."""
    now_ns, timers, joins = [0], Timers(), []
    monkeypatch.setattr(time, "monotonic_ns", lambda: now_ns[0])
    overlay = SimpleNamespace(join=joins.append, dht=SimpleNamespace(contacts=[1]))
    config = Config(name="a", address="127.0.0.1", port=2, directory=Path(), links=(NEIGHBOUR,))
    links = SimpleNamespace(missing=0)
    node = Readiness(
        config=config, links=links, overlay=overlay, pulse=timers, rng=random.Random(1)
    )
    node.check_linked()
    [joined] = joins
    joined(SimpleNamespace(ok=True))
    for late in late_ns:
        [(at_ns, callback)] = timers.due
        assert at_ns - now_ns[0] >= JOIN_AGAIN_S / 2 * 1e9
        timers.due.clear()
        now_ns[0] = at_ns + late
        callback()
        if not timers.due:
            break
    return len(joins) - 1


def test_the_second_join_waits_for_a_free_cpu(monkeypatch):
    assert second_joins(monkeypatch, [LATE_NS + 1]) == 0
    assert second_joins(monkeypatch, [LATE_NS + 1, LATE_NS - 1]) == 1
    assert second_joins(monkeypatch, [10**9] * (PUT_OFF_MOST + 1)) == 1

"""meshnode with one fault planted in it: `python bad_node.py KIND zygote …`, and the adapters that
run it. For tests of verdicts.

A fault is in every node alike. The harness is told nothing: it runs `bad_node:Sleeps` as any system
of a stranger.
"""

import os
import sys
import time

from harness.systems.adapters.meshnode import Meshnode

KINDS = (
    "sleeps",
    "leaks",
    "grows",
    "drops",
    "lies",
    "predates",
    "refuses",
    "dies",
    "makes-up",
    "denies",
    "burns",
)


class BadNode(Meshnode):
    """meshnode, started by this file."""

    kind = ""
    zygotes = ()

    def _process(self, place, state):
        from dataclasses import replace

        return replace(
            super()._process(place, state), zygote=(sys.executable, __file__, self.kind, "zygote")
        )


class Sleeps(BadNode):
    """Sleeps 30 ms in each verification."""

    kind = "sleeps"


class Leaks(BadNode):
    """Leaks a descriptor a message."""

    kind = "leaks"


class Grows(BadNode):
    """Allocates 1 MB a second."""

    kind = "grows"


class Drops(BadNode):
    """Loses one broadcast in 50."""

    kind = "drops"


class Burns(BadNode):
    """From its hundredth private message on, computes 10 ms and leaks ten descriptors for each."""

    kind = "burns"


class Lies(BadNode):
    """Acknowledges private messages and delivers none."""

    kind = "lies"


class Predates(BadNode):
    """Stamps receipts 2 s before the messages were sent."""

    kind = "predates"


class Refuses(BadNode):
    """Refuses every private message."""

    kind = "refuses"


class Dies(BadNode):
    """A node that has taken a hundred messages ends, with exit code 3."""

    kind = "dies"


class MakesUp(BadNode):
    """Says of each private message that another one came too, which nobody sent."""

    kind = "makes-up"


class Denies(BadNode):
    """Sends each private message, and says that it failed."""

    kind = "denies"


def plant_lie(kind):
    """Change what a node says of private messages."""
    import types

    from meshnode import journal, messaging

    genuine = messaging.Messaging.arrived
    if kind == "lies":
        add = journal.Journal.add

        def silent(self, what, *given, **named):
            if what != journal.Kind.PRIVATE_DELIVERED:
                add(self, what, *given, **named)

        journal.Journal.add = silent
    elif kind == "predates":
        messaging.time = types.SimpleNamespace(
            monotonic_ns=lambda: time.monotonic_ns() - 2 * 10**9,
            perf_counter_ns=time.perf_counter_ns,
            time_ns=time.time_ns,
        )
    elif kind == "refuses":
        messaging.Messaging.send = lambda self, id_, *_: self._fail(id_, "no")
    elif kind == "denies":
        send = messaging.Messaging._send

        def denying(self, link, operation_id, target, payload):
            send(self, link, operation_id, target, payload)
            self._fail(operation_id, "no")

        messaging.Messaging._send = denying
    elif kind == "makes-up":
        add = journal.Journal.add

        def inventing(self, what, id_, *given, **named):
            add(self, what, id_, *given, **named)
            if what == journal.Kind.PRIVATE_DELIVERED:
                add(self, what, os.urandom(16), *given, **named)

        journal.Journal.add = inventing
    elif kind == "dies":
        taken = []

        def mortal(self, link, message):
            genuine(self, link, message)
            taken.append(message)
            if len(taken) == 100:
                os._exit(3)

        messaging.Messaging.arrived = mortal


def burn():
    """Compute for 10 ms."""
    until = time.monotonic() + 0.01
    while time.monotonic() < until:
        sum(range(1000))


def plant_fire():
    """Change what a node does for each message, once it has taken a hundred."""
    from meshnode import messaging

    genuine, taken = messaging.Messaging.arrived, []

    def burning(self, link, message):
        genuine(self, link, message)
        taken.append(message)
        if len(taken) > 100:
            burn()
            for _ in range(10):
                os.dup(0)

    messaging.Messaging.arrived = burning


def plant(kind):
    """Change meshnode in this process, before it forks."""
    from meshnode import broadcasting, messaging, node

    if kind == "sleeps":
        genuine = messaging.verify

        def verify(message):
            time.sleep(0.03)
            genuine(message)

        messaging.verify = verify
    elif kind == "leaks":
        arrived = messaging.Messaging.arrived

        def leaking(self, link, message):
            os.dup(0)
            arrived(self, link, message)

        messaging.Messaging.arrived = leaking
    elif kind == "grows":
        end_of_turn, kept = node.Node._end_of_turn, []
        begun = time.monotonic()

        def growing(self):
            while len(kept) < time.monotonic() - begun:
                kept.append(b"x" * 1_000_000)
            self._pulse.at(time.monotonic_ns() + 10**9, lambda: None)
            end_of_turn(self)

        node.Node._end_of_turn = growing
    elif kind == "drops":
        heard, seen, lost = broadcasting.Broadcasting.arrived, set(), set()

        def losing(self, link, message):
            if message.id not in seen and len(seen) % 50 == 7:
                lost.add(message.id)
            seen.add(message.id)
            if message.id not in lost:
                heard(self, link, message)

        broadcasting.Broadcasting.arrived = losing
    elif kind == "burns":
        plant_fire()
    else:
        plant_lie(kind)


if __name__ == "__main__":
    from meshnode import cli

    plant(sys.argv[1])
    sys.exit(cli.main(sys.argv[2:]))

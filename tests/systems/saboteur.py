"""meshnode with one fault planted in it: `python saboteur.py KIND zygote …`, and the adapters that
run it. For tests of verdicts.

A fault is in every node alike. The harness is told nothing: it runs `saboteur:Sleeps` as any system
of a stranger.
"""

import os
import sys
import time

from harness.systems.adapters.meshnode import Meshnode

KINDS = ("sleeps", "leaks", "grows", "drops")


class Saboteur(Meshnode):
    """meshnode, started by this file."""

    kind = ""

    def _process(self, place, state):
        from dataclasses import replace

        return replace(
            super()._process(place, state), zygote=(sys.executable, __file__, self.kind, "zygote")
        )


class Sleeps(Saboteur):
    """Sleeps 30 ms in each verification."""

    kind = "sleeps"


class Leaks(Saboteur):
    """Leaks a descriptor a message."""

    kind = "leaks"


class Grows(Saboteur):
    """Allocates 1 MB a second."""

    kind = "grows"


class Drops(Saboteur):
    """Loses one broadcast in 50."""

    kind = "drops"


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
        heard = broadcasting.Broadcasting.arrived

        def losing(self, link, message):
            if message.id[-4] % 50 != 7:
                heard(self, link, message)

        broadcasting.Broadcasting.arrived = losing


if __name__ == "__main__":
    from meshnode import cli

    plant(sys.argv[1])
    sys.exit(cli.main(sys.argv[2:]))

"""Nfqueue delays, jitters and reorders packets where the kernel has no netem.

An engine in a process of its own holds the marked packets; a path without a delay never enters the
queue. The engine fails open: when it dies, packets pass at once. `drift` notices its death, for
what was asked is then not in force.
"""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.errors import HarnessError, UnavailableError
from harness.kernel import nfqueue, priority, proc
from harness.network.injectors.compiler import Compiled
from harness.network.injectors.injector import OfTheKernel, Site
from harness.network.injectors.ruleset import HELD
from harness.topology.impairment import Impairment

ENGINE = Path(__file__).with_name("delay_engine.py")
START_TIMEOUT_S = 10.0  # until its first answer
ANSWER_TIMEOUT_S = 2.0
END_TIMEOUT_S = 5.0  # what is held is let go at once
LATE_SHARE, LATE_LEAST = 0.5, 10  # of the packets let go between two looks, and so many
HELD_MOST = 60_000  # the kernel lets pass what comes to a queue of 65,536


class Nfqueue(OfTheKernel):
    """The delay engine of one hub.

    Make it after `Nftables`: the queue's rule must come after the base chains.
    """

    name = "nfqueue"

    def __init__(self, site: Site) -> None:
        self._hub, self._seed = site.fabric.hub, site.seed
        self.rule_by = nfqueue.add_rule(self._hub, HELD)
        self._now: dict[int, list[float]] = {}
        self._asked = 0
        try:
            self._start()
        except BaseException:
            nfqueue.remove_rule(self._hub, HELD, self.rule_by)
            raise

    def _start(self) -> None:
        taken = nfqueue.bound(self._hub)
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._control.settimeout(START_TIMEOUT_S)
        with taken, theirs:
            self._process = subprocess.Popen(
                [
                    sys.executable,
                    "-IS",
                    str(ENGINE),
                    str(taken.fileno()),
                    str(theirs.fileno()),
                    str(self._seed),
                ],
                pass_fds=[taken.fileno(), theirs.fileno()],
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        priority.put_first(self._process.pid)  # else a busy host lets it start for seconds

    @property
    def pid(self) -> int:
        """The pid of the engine."""
        return self._process.pid

    def prepare(self, wanted: Compiled) -> None:
        """Tell the engine of each new class before any packet gets its mark.

        Raises UnavailableError where the engine is gone.
        """
        table = _table(wanted.classes)
        new = {
            number: values for number, values in table.items() if self._now.get(number) != values
        }
        if new:
            self._ask({"set": new})
        self._now |= new

    def finish(self, wanted: Compiled) -> None:
        """Have the engine forget unwanted classes, once no packet gets their mark."""
        gone = [number for number in self._now if number not in _table(wanted.classes)]
        if gone:
            self._ask({"drop": gone})
        for number in gone:
            del self._now[number]

    def drift(self, wanted: Compiled) -> str | None:
        """Say why the engine does not do what was asked; None where it does. Never raises."""
        try:
            found = self._ask({"read": True})
            rules = nfqueue.rules_of(self._hub, self.rule_by)
            if rules != [f"-A {nfqueue.rule(HELD)}"]:
                return f"the rules of the queue ({self.rule_by}): asked one, there are {rules}"
        except HarnessError as error:
            return str(error)
        has = {int(number): values for number, values in found["classes"].items()}
        asked = _table(wanted.classes)
        if has != asked:
            return (
                f"delays: asked {len(asked)} classes, the engine has {len(has)} and they are not "
                "the same"
            )
        if found["most"] > HELD_MOST:
            return (
                f"{found['most']:,} packets were held at once: what came to the full queue passed "
                "without delay"
            )
        gone, late = found["gone"], found["late"]
        if late >= LATE_LEAST and late > LATE_SHARE * gone:
            return (
                f"the delay engine was late: it let {late:,} of {gone:,} packets go more than "
                "5 ms, or a tenth of their delay, after they were due"
            )
        return None

    def close(self) -> None:
        """Let go of the packets that are held, and end the engine."""
        self._control.close()
        self._process.send_signal(signal.SIGCONT)  # somebody may have stopped it
        try:
            self._process.wait(END_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        nfqueue.remove_rule(self._hub, HELD, self.rule_by)

    def _ask(self, what: Mapping[str, object]) -> dict[str, Any]:
        self._asked += 1
        found: dict[str, Any] = {}
        try:
            self._control.send(json.dumps({**what, "asked": self._asked}).encode())
            while found.get("asked") != self._asked:  # else a late answer, to an earlier question
                answer = self._control.recv(1 << 20)
                if not answer:
                    raise UnavailableError(
                        f"the delay engine ended (code {self._process.poll()}): "
                        "packets pass without delay"
                    )
                found = json.loads(answer)
        except OSError as error:
            raise UnavailableError(
                f"the delay engine does not answer: {error.strerror or error} (it is "
                f"{proc.doing(self._process.pid)})"
            ) from error
        self._control.settimeout(ANSWER_TIMEOUT_S)
        return found


def _table(classes: Mapping[int, Impairment]) -> dict[int, list[float]]:
    return {
        number: [what.delay_ms / 1e3, what.jitter_ms / 1e3, what.reorder]
        for number, what in classes.items()
        if what.delay_ms
    }

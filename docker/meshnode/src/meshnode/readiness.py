"""How ready a node is: linked with its neighbours, joined to the DHT, ready when both; each step is
said by sd_notify(3).
"""

import random
import time

from meshnode.config import Config
from meshnode.dht import Finished
from meshnode.instruments import log
from meshnode.links import Links
from meshnode.notify import Notifier
from meshnode.overlay import Overlay
from meshnode.pulse import Pulse

# Without all links: a dead neighbour must not keep this node out of the DHT.
JOIN_ANYWAY_NS = 15 * 10**9
NOTIFY_AGAIN_S = 0.1
JOIN_AGAIN_S = 4.5  # ± a third: when the cluster's start, which takes all CPUs, is mostly over
LATE_NS = 50_000_000  # a timer that comes so late waited for a CPU: the start is not over
PUT_OFF_MOST = 8


class Readiness:
    """One node's way from started to ready. It never goes back, whatever link is lost later."""

    def __init__(
        self, *, config: Config, links: Links, overlay: Overlay, pulse: Pulse, rng: random.Random
    ) -> None:
        self.status = "starting"
        self.is_ready = False
        self._was_linked = self._is_joining = self._has_joined = False
        self._has_neighbours = bool(config.links)
        self._links = links
        self._overlay = overlay
        self._pulse = pulse
        self._rng = rng
        self._notifier = Notifier(config.name)

    def advance(self, *statuses: str) -> None:
        """These steps are done; say so, and that the node is ready where it has become so."""
        lines = [f"STATUS={status}" for status in statuses]
        self.status = statuses[-1]
        if not self.is_ready and self._was_linked and self._has_joined:
            self.is_ready = True
            lines.append("READY=1")
        log.info("%s%s", ", ".join(statuses), ", ready" if "READY=1" in lines else "")
        self._notify(*lines)

    def check_linked(self) -> None:
        """The node is linked once no expected link is missing; then it joins the DHT."""
        if not self._was_linked and self._links.missing == 0:
            self._was_linked = True
            self.advance("linked", *(("joined",) if self._has_joined else ()))
            self.join()

    def join(self) -> None:
        """Join the DHT, unless the node does or has."""
        if not self._is_joining and not self._has_joined:
            self._is_joining = True
            self._overlay.join(self._joined)

    def _joined(self, result: Finished) -> None:
        self._is_joining = False
        delay_ns = int(JOIN_AGAIN_S * self._rng.uniform(0.67, 1.33) * 1e9)
        is_alone = not self._has_neighbours and not self._overlay.dht.contacts
        if result.ok or is_alone:
            self._has_joined = True
            self.advance("joined")
            self._join_again_after(delay_ns, PUT_OFF_MOST)
        else:
            self._pulse.at(time.monotonic_ns() + delay_ns // 6, self.join)

    def _join_again_after(self, delay_ns: int, put_off: int) -> None:
        """Join once more, when the CPUs are no longer all taken: at most so many times later."""
        due_ns = time.monotonic_ns() + delay_ns

        def due() -> None:
            if put_off and time.monotonic_ns() - due_ns > LATE_NS:
                self._join_again_after(delay_ns, put_off - 1)
            else:
                self._overlay.join(lambda _: None)

        self._pulse.at(due_ns, due)

    def _notify(self, *lines: str) -> None:
        try:
            is_sent = self._notifier.send(*lines)
        except OSError as error:
            log.warning("notify: %s", error.strerror)
            return
        if not is_sent:
            self._pulse.at(
                time.monotonic_ns() + int(NOTIFY_AGAIN_S * self._rng.uniform(0.5, 1.5) * 1e9),
                self._notify,
            )

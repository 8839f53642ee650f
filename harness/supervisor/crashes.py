"""A crashed machine is cut off before its processes are killed: neither FIN nor RST leaves it.

The cut is a fault of the network with a name of its own, and is proven like any other. Nobody takes
it back by hand. Once the processes are gone, the kernel forgets their connections: it would send
their FINs again and again, and so also when the machine is back. The machine starts behind the cut,
for whoever dials a machine that is up and whose program is not is refused, and backs off; and it is
let in as soon as its processes exist, for no node becomes ready that reaches no other.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Mapping

from harness.faults.fault import Fault, Verb, cut_of
from harness.faults.partitions import isolate
from harness.kernel.inet_diag import forget_orphans, require_forgetting
from harness.network.network import Network


class Crashes:
    """The cuts around crashed machines, by their names: one for each fault that crashed some.

    Methods may be called from any thread.
    """

    def __init__(self, network: Network) -> None:
        self._network = network
        self.cuts: Mapping[str, frozenset[str]] = {}
        self._lock = threading.Lock()
        # Of the cut that was made ready: whom it parts, and it.
        self._ahead: tuple[frozenset[str], Fault] | None = None

    def require(self, node: str) -> None:
        """Raise UnavailableError where a machine's crash cannot be shown on this kernel."""
        require_forgetting(self._network.wires[node].namespace)

    def make_ready(self, fault: Fault) -> None:
        """Make the cut ready that comes once this fault crashes its nodes, which is soon."""
        with self._lock:
            name = cut_of(fault.name)
            nodes = self.cuts.get(name, frozenset()).union(fault.nodes)
            self._ahead = nodes, self._cut(name, nodes)
            self._network.prepare(Verb.SET, self._ahead[1])

    def cut_off(self, fault: str, nodes: Collection[str]) -> None:
        """Cut these nodes off, which are about to be crashed by this fault. Raises HarnessError."""
        name = cut_of(fault)
        with self._lock:
            if nodes:
                self._set(name, self.cuts.get(name, frozenset()).union(nodes))
            elif self._ahead is not None and self._ahead[1].name == name:  # they are down already
                self._ahead = None
                self._network.call_off()

    def forget(self, nodes: Collection[str]) -> None:
        """Have the kernel forget the connections of these nodes, which have no process any more.
        Raises HarnessError.
        """
        for node in nodes:
            forget_orphans(self._network.wires[node].namespace)

    def let_in(self, nodes: Collection[str]) -> None:
        """Take the cut around these nodes back. Raises HarnessError."""
        with self._lock:
            for name, crashed in self.cuts.items():
                left = crashed.difference(nodes)
                if not left:
                    self._network.clear(name)
                    self.cuts = {other: of for other, of in self.cuts.items() if other != name}
                elif left != crashed:
                    self._set(name, left)

    def _set(self, name: str, nodes: frozenset[str]) -> None:
        ahead, self._ahead = self._ahead, None
        is_ready = ahead is not None and ahead[0] == nodes and ahead[1].name == name
        self._network.set(ahead[1] if ahead is not None and is_ready else self._cut(name, nodes))
        self.cuts = {**self.cuts, name: nodes}

    def _cut(self, name: str, nodes: frozenset[str]) -> Fault:
        words = f"cut isolate {' '.join(sorted(nodes))}"
        return Fault(name=name, far=isolate(self._network.nodes, nodes), words=words)

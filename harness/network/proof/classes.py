"""Classes of paths are the compiler's; here it is found which paths and faults are behind each."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from ipaddress import IPv4Address, IPv4Network
from itertools import product

from harness.faults.paths import DirectedPath
from harness.network.injectors.compiler import AddressPair, Compiled
from harness.network.reading import Reading

BASELINE = "baseline"  # said of what is always there, as the name of a fault


class Classes:
    """Answers for one compiled state after the other; what was found is kept until the next.

    `nodes`: names in the topology's order; `addresses`: theirs.
    """

    def __init__(self, nodes: Sequence[str], addresses: Sequence[str]) -> None:
        self._names = dict(zip(addresses, nodes, strict=True))
        numbers = sorted((int(IPv4Address(address)), address) for address in addresses)
        self._numbers = [number for number, _ in numbers]
        self._addresses = [address for _, address in numbers]
        self._of: Compiled | None = None
        self._found: dict[tuple[int, str], list[str]] = {}

    def behind(self, reading: Reading, number: int, word: str) -> list[str]:
        """Name the faults from which a class has a word of its impairment (``loss``); the baseline
        where it has it from none.
        """
        if self._of is not reading.compiled:
            self._of, self._found = reading.compiled, {}
        if (number, word) not in self._found:
            self._found[number, word] = [
                fault.name
                for fault in reading.faults.values()
                if getattr(fault.impairment, word)
                and any(path in fault.paths for path in self._paths(reading.compiled, number))
            ] or [BASELINE]
        return self._found[number, word]

    def _paths(self, compiled: Compiled, number: int) -> Iterator[DirectedPath]:
        """Yield the named paths of a class, and one of each of its pairs of prefixes: what is on it
        is on all of them.
        """
        for (source, target), its in compiled.paths.items():
            if its == number:
                yield self._names[source], self._names[target]
        for element, its in compiled.regions.items():
            if its == number:
                yield from self._one_of(compiled, element)

    def _one_of(self, compiled: Compiled, element: AddressPair) -> Iterator[DirectedPath]:
        for source, target in product(*map(self._within, element)):
            if source != target and (source, target) not in compiled.paths:
                yield self._names[source], self._names[target]
                return

    def _within(self, prefix: str) -> list[str]:
        """List the addresses in a prefix."""
        network = IPv4Network(prefix)
        first, last = int(network.network_address), int(network.broadcast_address)
        return self._addresses[
            bisect_left(self._numbers, first) : bisect_left(self._numbers, last + 1)
        ]

"""Injectors bring a network state about, one mechanism each.

Each sets a state, reads it back from the kernel, and clears what it made itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from harness import plugin
from harness.errors import UnavailableError
from harness.faults.fault import Fault

NONE = "none"  # what serves an impairment that nothing here can do


@dataclass(frozen=True, slots=True, kw_only=True)
class Backend:
    """One way to serve some impairments: its injector, and what the host must be able to do.

    `needs` are names of `harness capabilities` (empty: nothing that has to be tried). `trial` names
    a function of the Site that says whether the backend is here (None: it always is); `absent` is
    what people are told where it is not.
    """

    serves: tuple[str, ...]
    injector: str  # module:Class
    needs: tuple[str, ...] = ()
    trial: str | None = None  # module:function
    absent: str = ""


# Best first: an impairment is served by the first row that has it and is here. In this order
# injectors are made, prepare and finish: nftables' chains stand before the queue's rule.
BACKENDS: dict[str, Backend] = {
    "nftables": Backend(
        serves=("cut", "loss"),
        injector="harness.network.injectors.nftables:Nftables",
        needs=("nftables",),
    ),
    "qdisc": Backend(
        serves=("rate",),
        injector="harness.network.injectors.qdisc:Qdisc",
        needs=("htb", "tbf", "ifb"),
    ),
    "netem": Backend(
        serves=("delay", "jitter", "reorder", "duplicate", "corrupt"),
        injector="harness.network.injectors.qdisc:Qdisc",
        needs=("netem", "htb"),
        trial="harness.network.injectors.qdisc:has_netem",
        absent="only netem can do that, and it is not here (`harness capabilities`)",
    ),
    "nfqueue": Backend(
        serves=("delay", "jitter", "reorder"),
        injector="harness.network.injectors.nfqueue:Nfqueue",
        needs=("nfqueue", "nftables"),
    ),
    "toxiproxy": Backend(
        serves=("toxic",),
        injector="harness.network.injectors.toxiproxy:Toxiproxy",
        trial="harness.network.injectors.toxiproxy:has_ports",
        absent="this system's nodes are not dialled over TCP, or its adapter does not say at which "
        "ports: a proxy would see no stream",
    ),
}


def candidates(impairment: str) -> list[str]:
    """Return the backends that can serve an impairment, best first."""
    return [name for name, row in BACKENDS.items() if impairment in row.serves]


def impairments() -> list[str]:
    """Return every impairment that a backend can serve, each once, in the order of the table."""
    return list(dict.fromkeys(one for row in BACKENDS.values() for one in row.serves))


def require(wanted: Iterable[str], backends: Mapping[str, str]) -> None:
    """Raise UnavailableError for an impairment that no backend here serves.

    `backends`: impairment → the backend that serves it here, or NONE.
    """
    for impairment in wanted:
        name = backends[impairment]
        if name == NONE:
            why = BACKENDS[candidates(impairment)[0]].absent
            can = ", ".join(what for what, by in backends.items() if by != NONE)
            raise UnavailableError(f"{impairment}: {why}; possible: {can}")
        load(BACKENDS[name].injector).require()


def require_faults(faults: Iterable[Fault], backends: Mapping[str, str]) -> None:
    """Raise UnavailableError, with the fault's name, for one that no backend here can set."""
    for fault in faults:
        try:
            require(fault.impairment.kinds, backends)
        except UnavailableError as error:
            raise UnavailableError(f"fault {fault.name}: {error}") from None


def load(reference: str) -> Any:
    """Import what a row names as ``module:attribute``."""
    return plugin.load("injector", {}, reference)

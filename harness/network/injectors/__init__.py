"""How a network state comes true: one injector a mechanism. Each sets a state, reads it back from
the kernel, and clears its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from harness import plugin

NONE = "none"  # what serves an impairment that nothing here can do


@dataclass(frozen=True, slots=True, kw_only=True)
class Backend:
    """What can serve some impairments: the injector that does it, and what the host must be able to
    do (names of `harness capabilities`; empty: nothing that is found by trying).

    `trial` names a function of the Site that says whether it is here (None: it always is), `absent`
    what to say where it is not.
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
    """The backends that can serve an impairment, best first."""
    return [name for name, row in BACKENDS.items() if impairment in row.serves]


def impairments() -> list[str]:
    """Every impairment that a backend can serve, each once, in the order of the table."""
    return list(dict.fromkeys(one for row in BACKENDS.values() for one in row.serves))


def load(reference: str) -> Any:
    """What a row names as ``module:attribute``."""
    return plugin.load("injector", {}, reference)

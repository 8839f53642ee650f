"""The hub is read for what no injector has made and could touch the traffic all the same."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from contextlib import closing
from typing import Any

from harness.errors import HarnessError
from harness.kernel import disciplines, nfqueue
from harness.kernel.netlink import Netlink
from harness.kernel.nft import Nft
from harness.network.fabric import Fabric
from harness.network.injectors.nfqueue import Nfqueue
from harness.network.injectors.nftables import TABLE, Nftables
from harness.network.injectors.qdisc import Qdisc

QUEUE_TABLE = "mangle"  # in which iptables, of either kind, has the queue's rule


def strangers(fabric: Fabric, standing: Collection[str]) -> str | None:
    """Say what stands in a hub that neither the fabric nor these injectors have made, or what of
    the fabric's is gone; None where all is as it was made. Never raises.
    """
    try:
        return (
            _tables(fabric.hub, standing)
            or (None if Qdisc.name in standing else _disciplines(fabric.hub))
            or fabric.drift()
        )
    except HarnessError as error:
        return f"the hub cannot be read: {error}"


def _tables(hub: int, standing: Collection[str]) -> str | None:
    """Say which table of others has a rule, or a chain or device that acts without one."""
    legacy = nfqueue.tables(hub)
    queues = {QUEUE_TABLE} if Nfqueue.name in standing else set()
    ours = {("ip", TABLE)} if Nftables.name in standing else set()
    if not queues & set(legacy):  # iptables-nft has it among nftables' own
        ours |= {("ip", name) for name in queues}
    with closing(Nft(hub)) as nft:
        for entry in nft.json("list tables"):
            name = (entry["table"]["family"], entry["table"]["name"]) if "table" in entry else None
            if name and name not in ours and _acts(nft.json(f"list table {' '.join(name)}")):
                return f"a stranger's table {' '.join(name)} stands in the hub"
    for table in sorted(set(legacy) - queues):
        if nfqueue.rules_of(hub, "iptables-legacy", table):
            return f"a stranger's iptables table {table} stands in the hub"
    return None


def _acts(table: Iterable[Mapping[str, Any]]) -> bool:
    return any(
        "rule" in entry or "flowtable" in entry or entry.get("chain", {}).get("policy") == "drop"
        for entry in table
    )


def _disciplines(hub: int) -> str | None:
    with closing(Netlink(hub)) as netlink:
        return disciplines.difference({}, disciplines.read(netlink, (), ()))

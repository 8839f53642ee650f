"""Nodes that were brought have whatever addresses they have: also those of two regions in turn."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, ip_address, ip_network

from harness.faults.fault import NetworkState
from harness.network import brought
from harness.network.injectors.compiler import Compiler
from harness.topology.impairment import Impairment

ADDRESSES = {"a": "172.18.0.2", "b": "172.18.0.3", "c": "172.18.0.4", "d": "172.18.0.9"}
REGIONS = {"a": "eu", "b": "us", "c": "eu", "d": "us"}


def blocks():
    return brought.regions(
        [REGIONS[name] for name in ADDRESSES], [IPv4Address(each) for each in ADDRESSES.values()]
    )


def test_a_region_is_the_smallest_block_with_all_its_addresses():
    assert blocks() == {"eu": IPv4Network("172.18.0.0/29"), "us": IPv4Network("172.18.0.0/28")}


def test_blocks_that_overlap_are_taken_apart():
    """Each pair of addresses is in the class of its regions, and in no other."""
    prefixes = {region: str(block) for region, block in blocks().items()}
    baseline = {("eu", "us"): Impairment(delay_ms=40), ("us", "us"): Impairment(delay_ms=5)}
    made = Compiler(ADDRESSES, prefixes, REGIONS).compile(NetworkState(), baseline)
    for source, at in ADDRESSES.items():
        for target, there in ADDRESSES.items():
            found = [
                made.classes[number]
                for (one, other), number in made.regions.items()
                if ip_address(at) in ip_network(one) and ip_address(there) in ip_network(other)
            ]
            asked = baseline.get((REGIONS[source], REGIONS[target]))
            assert found == ([] if asked is None else [asked]), (source, target)

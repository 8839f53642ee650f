"""Nine nodes in two regions, for what is resolved without any of them running."""

from harness.topology.topology import Node

NODES = [Node(name=f"node-{index}", region="eu" if index < 4 else "us") for index in range(9)]
NAMES = [node.name for node in NODES]

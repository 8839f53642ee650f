"""Nodes that the tests of a module share."""

from collections.abc import Iterator

import pytest
from kit.nodes import Node, make_nodes, running


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Node]]:
    """Four nodes in a line 0 – 1 – 2 – 3; tests of a module share them and must leave them
    running.
    """
    nodes = make_nodes(tmp_path_factory.mktemp("line"), 4, [(0, 1), (1, 2), (2, 3)])
    with running(nodes):
        yield nodes

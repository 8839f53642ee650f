"""Containers are held by the engine, so they carry labels that say whose they are."""

from __future__ import annotations

import hashlib
from pathlib import Path

LABEL = "p2p-harness.cluster"
# the folder of all clusters that this one stands in: a name is unique in there alone
STATE_LABEL = "p2p-harness.state"
ROOT_TAG_BYTES = 3


def below(root: Path) -> dict[str, str]:
    """Return the label of every container of the clusters below the state folder `root`."""
    return {STATE_LABEL: str(root.resolve())}


def of(cluster: str, root: Path) -> dict[str, str]:
    """Return the labels of the containers of one cluster, none of which its namesakes have all."""
    return {LABEL: cluster, **below(root)}


def container_name(cluster: str, root: Path, name: str) -> str:
    """Return a name that no cluster below another `root` takes: ``main-node-3-5f0c1a``."""
    tag = hashlib.blake2b(str(root.resolve()).encode(), digest_size=ROOT_TAG_BYTES)
    return f"{cluster}-{name}-{tag.hexdigest()}"

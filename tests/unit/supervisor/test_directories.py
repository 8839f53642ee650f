"""What a node wrote in its directory goes, and what was prepared for it stays."""

from __future__ import annotations

import os

import pytest

from harness.errors import UnavailableError
from harness.runtimes.processes import log_of
from harness.runtimes.runtime import Place
from harness.supervisor.directories import Directories
from harness.topology.topology import Node


@pytest.fixture
def place(tmp_path):
    made = Place(
        node=Node(name="node-0"),
        index=0,
        address="198.18.0.1",
        directory=tmp_path / "node-0",
        namespace=-1,
    )
    (made.directory / "keys").mkdir(parents=True)
    (made.directory / "keys" / "key.pem").write_text("secret")
    (made.directory / "node.json").write_text("{}")
    return made


def contents(place):
    return {
        str(path.relative_to(place.directory)): path.is_file() and path.read_text()
        for path in place.directory.rglob("*")
    }


def test_a_wipe_leaves_what_was_prepared_the_log_and_what_is_ours(place):
    prepared = contents(place)
    socket = place.directory / "control.sock"
    directories = Directories([place], ours=[str(socket)])
    socket.write_text("ours")
    log_of(place).write_text("its log")
    (place.directory / "keys" / "peers").write_text("known")
    (place.directory / "state" / "deep").mkdir(parents=True)
    (place.directory / "state" / "deep" / "values").write_text("42")
    (place.directory / "link").symlink_to(place.directory / "keys")
    directories.require(place)
    assert directories.left(place) == [
        "keys/peers",
        "link",
        "state",
        "state/deep",
        "state/deep/values",
    ]
    directories.wipe(place)
    assert directories.left(place) == []
    assert contents(place) == {**prepared, "control.sock": "ours", "log": "its log"}


@pytest.mark.parametrize("act", ["change", "remove", "replace"])
def test_a_node_that_changed_what_was_prepared_cannot_be_wiped(place, act):
    """It would start with something that it never first found."""
    directories = Directories([place])
    path = place.directory / "node.json"
    if act == "change":
        path.write_text('{"more": 1}')
    elif act == "remove":
        path.unlink()
    else:
        before = path.stat()
        (place.directory / "new").write_text("[]")
        (place.directory / "new").replace(path)
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns + 1))
    with pytest.raises(UnavailableError, match=r"node-0 cannot be wiped: .*\(node\.json\)"):
        directories.require(place)
    assert directories.left(place) == []

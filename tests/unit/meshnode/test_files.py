"""Files without sockets: only genuine chunks are taken, what was taken is found again, and a torn
list harms nothing.
"""

import os
from pathlib import Path

from blake3 import blake3
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from meshnode.files import CHUNK_BYTES, Incoming, Outgoing, chunks, content

ID = bytes(range(16))
SIZE = 3 * CHUNK_BYTES + 17


def fill(incoming: Incoming, *indexes: int) -> None:
    for index in indexes:
        data = content(ID, SIZE, index)
        assert incoming.add(index, blake3(data).digest(), data)


def test_chunks_in_any_order_make_the_same_file(tmp_path: Path) -> None:
    incoming = Incoming(tmp_path, ID, SIZE, CHUNK_BYTES)
    fill(incoming, 3, 0, 2)
    assert not incoming.is_complete
    assert incoming.bitmap() == bytes([0b1101])
    fill(incoming, 1, 1)
    assert incoming.is_complete
    assert incoming.root() == Outgoing(ID, b"", SIZE).root()
    assert (tmp_path / f"{ID.hex()}.part").stat().st_size == SIZE
    incoming.close(keep=False)
    assert list(tmp_path.iterdir()) == []


def test_what_was_received_is_found_again(tmp_path: Path) -> None:
    """What the disk changed is not."""
    first = Incoming(tmp_path, ID, SIZE, CHUNK_BYTES)
    fill(first, 0, 1, 2)
    first.close(keep=True)
    with (tmp_path / f"{ID.hex()}.part").open("r+b") as file:
        file.seek(CHUNK_BYTES + 5)
        file.write(b"rot")
    again = Incoming(tmp_path, ID, SIZE, CHUNK_BYTES)
    assert sorted(again.hashes) == [0, 2]
    fill(again, 1, 3)
    assert again.root() == Outgoing(ID, b"", SIZE).root()
    again.close(keep=False)


def test_a_chunk_that_is_not_what_it_says_is_refused(tmp_path: Path) -> None:
    incoming = Incoming(tmp_path, ID, SIZE, CHUNK_BYTES)
    data = content(ID, SIZE, 1)
    claimed = blake3(data).digest()
    for spoilt in (
        (1, claimed, data[:-1]),
        (1, bytes(32), data),
        (10, claimed, data),
        (3, claimed, data),
    ):
        assert not incoming.add(*spoilt)
    assert incoming.bitmap() == b"\0"
    incoming.close(keep=False)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(torn=st.binary(max_size=200))
def test_a_torn_list_harms_nothing(tmp_path: Path, torn: bytes) -> None:
    (tmp_path / f"{ID.hex()}.have").write_bytes(torn)
    incoming = Incoming(tmp_path, ID, SIZE, CHUNK_BYTES)
    assert incoming.hashes == {}
    fill(incoming, 0)
    incoming.close(keep=False)


@given(st.integers(1, 1 << 32))
def test_chunks_cover_the_file(size: int) -> None:
    assert (chunks(size) - 1) * CHUNK_BYTES < size <= chunks(size) * CHUNK_BYTES


def test_content_differs_between_transfers_and_chunks() -> None:
    assert len({content(ID, SIZE, 0), content(ID, SIZE, 1), content(os.urandom(16), SIZE, 0)}) == 3
    assert len(content(ID, SIZE, 3)) == 17

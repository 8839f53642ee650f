"""The last 4 bytes of an operation's id are its position in its worker's share of a stream,
encrypted: who has seen some ids can tell no other one, and who reports an operation that never
reached it has to guess. Pure.

The cipher is Speck32/64 (Beaulieu et al., 2013), which turns 4 bytes into 4. The supervisor draws a
run's key when its clock starts; load workers, the judge and replays read it in the run folder, and
no node is told. A folder of an older version has none: there the bytes are the position itself.
"""

from __future__ import annotations

import functools
import hashlib
import os
from typing import Any

import numpy as np
import numpy.typing as npt

from harness.stats import Integers

KEY_BYTES = 16
RUN_BYTES = 8  # of an id, before its worker and stream
ROUNDS = 22
RIGHT, LEFT = 7, 2  # by which the two halves are turned
WORD = 16  # bits
SHARE_KEY_BYTES = 8
Words = npt.NDArray[np.uint16]
Sequences = npt.NDArray[np.uint32]


def draw_key() -> bytes:
    """Return a new run's key."""
    return os.urandom(KEY_BYTES)


def sequences(key: bytes, worker: int, stream: int, position: Integers) -> Sequences:
    """Return the last 4 bytes of the ids at these positions of a share, as numbers."""
    plain = position.astype(np.uint32)
    if not key:
        return plain
    return _encrypted(plain, _of_share(key, _share(worker, stream)))


def prefix(run: bytes, worker: int, stream: int) -> bytes:
    """Return the first 12 bytes of the ids of a share."""
    return run + worker.to_bytes(2, "little") + stream.to_bytes(2, "little")


def ids(key: bytes, begin: bytes, position: Integers) -> list[bytes]:
    """Return the ids at these positions of a share, which all begin with its prefix."""
    worker, stream = np.frombuffer(begin[RUN_BYTES:], "<u2").tolist()
    ends = sequences(key, worker, stream, position).astype("<u4").tobytes()
    return [begin + ends[at : at + 4] for at in range(0, len(ends), 4)]


def positions(key: bytes, made: npt.NDArray[Any]) -> Integers:
    """Return the positions of ids in their shares: of an array with the fields worker, stream and
    sequence.
    """
    if not key or not len(made):
        return made["sequence"].astype(np.int64)
    of = _share(made["worker"].astype(np.uint32), made["stream"].astype(np.uint32))
    shares, whose = np.unique(of, return_inverse=True)
    x, y = _halves(made["sequence"])
    for each in _round_keys(key, shares)[::-1]:
        y = _turned(x ^ y, WORD - LEFT)
        x = _turned((x ^ (each if len(each) == 1 else each[whose])) - y, RIGHT)
    return _joined(x, y).astype(np.int64)


def _share(worker: Any, stream: Any) -> Any:
    """Number a worker's share of a stream, among all."""
    return worker | (stream << WORD)


@functools.lru_cache(maxsize=1 << 10)
def _of_share(key: bytes, share: int) -> Words:
    return _round_keys(key, np.array([share]))


def _round_keys(key: bytes, shares: npt.NDArray[Any]) -> Words:
    """Return the keys of all rounds, a row each, for some shares, a column each."""
    own = b"".join(
        hashlib.blake2b(share.to_bytes(4, "little"), key=key, digest_size=SHARE_KEY_BYTES).digest()
        for share in shares.tolist()
    )
    last, *others = np.frombuffer(own, "<u2").astype(np.uint16).reshape(-1, 4).T
    return _expanded(last, others)


def _expanded(last: Words, others: list[Words]) -> Words:
    """Return the keys of all rounds, a row each, of keys of four words, the last of them first."""
    found = [last]
    for number in range(ROUNDS - 1):
        others.append((last + _turned(others.pop(0), WORD - RIGHT)) ^ np.uint16(number))
        last = _turned(last, LEFT) ^ others[-1]
        found.append(last)
    return np.stack(found)


def _encrypted(numbers: Sequences, round_keys: Words) -> Sequences:
    x, y = _halves(numbers)
    for each in round_keys:
        x = (_turned(x, WORD - RIGHT) + y) ^ each
        y = _turned(y, LEFT) ^ x
    return _joined(x, y)


def _turned(words: Words, bits: int) -> Words:
    """Turn words to the left by so many bits."""
    return (words << np.uint16(bits)) | (words >> np.uint16(WORD - bits))


def _halves(numbers: npt.NDArray[Any]) -> tuple[Words, Words]:
    return (numbers >> WORD).astype(np.uint16), (numbers & 0xFFFF).astype(np.uint16)


def _joined(high: Words, low: Words) -> Sequences:
    return ((high.astype(np.uint32) << WORD) | low).astype(np.uint32, copy=False)

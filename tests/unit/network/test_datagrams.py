"""The clock of probes, and what each datagram counts as."""

from __future__ import annotations

import struct
import time
import zlib

import pytest

from harness.network.proof.datagrams import CRC, PROBE, Heard, _note, arrived_ns

SECOND = 10**9


def stamp(real_ns):
    return struct.pack("qq", *divmod(real_ns, SECOND))


@pytest.mark.parametrize("set_by_s", [-3_600, 3_600])
def test_a_wall_clock_that_is_set_does_not_move_a_delay(monkeypatch, set_by_s):
    """It was set between the kernel's stamp and our reading of it."""
    real_ns = time.time_ns()
    monkeypatch.setattr(time, "monotonic_ns", lambda: 500 * SECOND)
    monkeypatch.setattr(time, "time_ns", lambda: real_ns)
    assert arrived_ns(stamp(real_ns - 2_000_000)) == 500 * SECOND - 2_000_000
    monkeypatch.setattr(time, "time_ns", lambda: real_ns + set_by_s * SECOND)
    assert arrived_ns(stamp(real_ns)) == 500 * SECOND


def datagram(sequence, sent_ns=1_000_000):
    data = PROBE.pack(sequence, sent_ns, b"")
    return data + CRC.pack(zlib.crc32(data))


def test_copies_and_broken_ones_are_told_apart():
    heard, seen = Heard(), set[int]()
    for data in (datagram(4), datagram(5), datagram(5), datagram(6)[:-1] + b"x", datagram(2)):
        _note(heard, data, 4_000_000, 3, seen)
    assert heard == Heard(delays=[3.0, 3.0], copies=1, broken=1)  # 2 is of an earlier look

"""What /proc says of disks and of who uses them."""

from __future__ import annotations

from harness.kernel import disks

STATS = b"""   7       0 loop0 11 0 99 3 0 0 77 0 0 5 3 0 0 0 0 0 0
 254       0 vda 445188 40047 1000 1012160 611605 1155626 500 682657 0 177108 1790553 827 2 3 8 5 9
 254       1 vda1 445188 40047 1000 1012160 611605 1155626 500 682657 0 177108 1790553
 259       0 nvme0n1 1 0 10 5 1 0 20 7 1 44 12 0 0 0 0 0 0
 253       0 zram0 0 0 5 0 0 0 5 0 0 9 0 0 0 0 0 0 0
"""


def test_disks_are_counted_and_neither_their_partitions_nor_what_is_made_of_memory():
    found = disks.use(STATS, {"vda", "nvme0n1"})
    assert found == ((1000 + 500 + 10 + 20) * 512, {"vda": 177108, "nvme0n1": 44})
    assert disks.use(STATS, {"sda"}) is None
    assert disks.use(b"", {"vda"}) is None


def test_a_line_of_an_old_kernel_for_a_partition_is_passed_over():
    assert disks.use(b"   8       1 sda1 5 6 7 8\n", {"sda1"}) is None


def test_what_a_process_read_from_disks_and_wrote():
    said = b"rchar: 6976\nwchar: 1\nread_bytes: 4096\nwrite_bytes: 8192\n"
    assert disks.used_by(said + b"cancelled_write_bytes: 0\n") == 12288
    assert disks.used_by(b"") is None
    assert disks.used_by(b"rchar: 1\nwchar: 1\n") is None

"""What is allocated after a zygote has filled the holes in its heap lies close together."""

import subprocess
import sys

import pytest

# Leave a hole for every other of many objects; then look on how many pages new ones lie.
SCATTERED = """
import gc, sys
from meshnode import heap
count, size, fill = map(int, sys.argv[1:])
made = [bytes(size) for _ in range(20 * count)]
kept = made[::2]
del made
gc.collect()
if fill:
    heap.fill_holes()
new = [bytes(size) for _ in range(count)]
print(len({id(one) // 4096 for one in new}))
"""


def pages(count: int, size: int, *, fill: bool) -> int:
    """On how many pages so many new objects lie, in a process of their own."""
    command = [sys.executable, "-c", SCATTERED, str(count), str(size), str(int(fill))]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


@pytest.mark.parametrize(("count", "size"), [(1000, 31), (1000, 100), (500, 400), (300, 2000)])
def test_new_objects_lie_close_together(count, size):
    """Those of up to 512 bytes are CPython's to place, larger ones the C library's."""
    assert pages(count, size, fill=True) < 0.7 * pages(count, size, fill=False)

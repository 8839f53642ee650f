"""The heap of a zygote, before it forks: it fills the holes that its own start left. What a node
allocates then lies close together on new pages, and not in holes all over the heap, each on a page
that the kernel has to copy for it first.
"""

import ctypes
import functools
from collections import Counter
from collections.abc import Callable

# CPython hands out what takes up to 512 bytes from pools of blocks of one size (obmalloc.c).
_POOL_BYTES, _POOL_HEAD_BYTES = 16 << 10, 48
_STEP_BYTES, _LARGEST_BYTES = 16, 512
_BYTES_HEAD = 33  # what an object of type bytes takes beside its bytes
_MOST_POOLS = 256  # of one size
# The C library's heap has all that is larger, and what other libraries need: sizes to try.
_MALLOC_BYTES = (*range(64 << 10, 1024, -1024), *range(1032, 8, -16))
_MOST_BYTES = 32 << 20

_kept: list[list[object]] = []


def fill_holes() -> None:
    """Take every free block between used ones, for good. Takes 5 ms."""
    _kept.extend(_fill_pools(size) for size in range(_STEP_BYTES, _LARGEST_BYTES + 1, _STEP_BYTES))
    _fill_malloc()


def _fill_pools(size: int) -> list[object]:
    """Take blocks of this size until a whole pool was free; return those of other pools."""
    make, capacity = _maker(size), (_POOL_BYTES - _POOL_HEAD_BYTES) // size
    nearly = capacity - capacity // 50  # numbers that are counted with here may be in it
    taken: list[object] = []
    inside: Counter[int] = Counter()
    for _ in range(_MOST_POOLS):
        blocks = [make() for _ in range(capacity)]
        taken += blocks
        inside.update(id(block) // _POOL_BYTES for block in blocks)
        free = {pool for pool, count in inside.items() if count >= nearly}
        if free:
            return [block for block in taken if id(block) // _POOL_BYTES not in free]
    return taken


def _maker(size: int) -> Callable[[], object]:
    """What makes an object of this size."""
    if size == _STEP_BYTES:
        return object
    if size == 2 * _STEP_BYTES:
        return (0.5).__neg__
    return functools.partial(bytes, size - _BYTES_HEAD)


def _fill_malloc() -> None:
    """Take what is free below the heap's end, in pieces as large as there are."""
    libc = ctypes.CDLL(None)
    if not all(hasattr(libc, name) for name in ("malloc_trim", "sbrk")):
        return  # another C library than that of GNU
    malloc, free, sbrk = libc.malloc, libc.free, libc.sbrk
    malloc.restype = sbrk.restype = ctypes.c_void_p
    malloc.argtypes, sbrk.argtypes = [ctypes.c_size_t], [ctypes.c_ssize_t]
    free.argtypes, free.restype = [ctypes.c_void_p], None
    libc.malloc_trim(0)
    end = sbrk(0)
    left = _MOST_BYTES
    for size in _MALLOC_BYTES:
        while (block := malloc(size)) is not None and block < end and left > 0:
            left -= size
        free(block)

"""Entering a network namespace and giving up CAP_SYS_ADMIN, by the system calls that Python has no
names for.
"""

import ctypes
import os

CLONE_NEWNET = 0x40000000
CAP_SYS_ADMIN = 21
_PR_CAPBSET_READ, _PR_CAPBSET_DROP = 23, 24
_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_LOWER = 47, 3
_CAPABILITY_VERSION_3 = 0x20080522

_libc = ctypes.CDLL(None, use_errno=True)


class SandboxError(Exception):
    """The kernel refused; the sentence names the call."""


class _Header(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _Data(ctypes.Structure):
    _fields_ = (
        ("effective", ctypes.c_uint32),
        ("permitted", ctypes.c_uint32),
        ("inheritable", ctypes.c_uint32),
    )


_DATA = _Data * 2  # made once: a forked node finds the type


def enter_network_namespace(descriptor: int) -> None:
    """setns(2) with CLONE_NEWNET: anything but a network namespace is refused. Raises
    SandboxError.
    """
    _check("setns", _libc.setns(descriptor, CLONE_NEWNET))


def drop_sys_admin() -> None:
    """Take CAP_SYS_ADMIN out of every set of this process, for good. Raises SandboxError."""
    if _libc.prctl(_PR_CAPBSET_READ, CAP_SYS_ADMIN, 0, 0, 0) == 1:
        _check("prctl(PR_CAPBSET_DROP)", _libc.prctl(_PR_CAPBSET_DROP, CAP_SYS_ADMIN, 0, 0, 0))
    _check(
        "prctl(PR_CAP_AMBIENT)",
        _libc.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_LOWER, CAP_SYS_ADMIN, 0, 0),
    )
    header, data = _Header(_CAPABILITY_VERSION_3, 0), _DATA()
    _check("capget", _libc.capget(ctypes.byref(header), data))
    keep = ~(1 << CAP_SYS_ADMIN) & 0xFFFFFFFF
    low = data[0]
    low.effective, low.permitted, low.inheritable = (
        low.effective & keep,
        low.permitted & keep,
        low.inheritable & keep,
    )
    _check("capset", _libc.capset(ctypes.byref(header), data))


def _check(call: str, result: int) -> None:
    if result != 0:
        raise SandboxError(f"{call}: {os.strerror(ctypes.get_errno())}")

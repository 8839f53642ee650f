"""Network namespaces that have no name and are held by a descriptor: a namespace ends with its last
descriptor and the last process in it.

A namespace belongs to a *thread*. `inside` moves the calling thread only, so everything here is
safe in a program with threads: a thread that stands inside makes the sockets and the children, and
opens the files below /proc/sys/net.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import socket
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from harness.errors import HarnessError, PermissionNeededError, UsageError

_CLONE_NEWNS = 0x00020000
_CLONE_NEWUSER = 0x10000000
_CLONE_NEWNET = 0x40000000
_MS_REC = 0x4000
_MS_PRIVATE = 1 << 18
_OWN_NAMESPACE = "/proc/thread-self/ns/net"

_libc = ctypes.CDLL(None, use_errno=True)

# What forbids user namespaces where: (file, value that forbids, what to do). Read only to explain a
# refusal.
_USER_NAMESPACE_SWITCHES = (
    ("kernel/unprivileged_userns_clone", "0", "sysctl -w kernel.unprivileged_userns_clone=1"),
    (
        "kernel/apparmor_restrict_unprivileged_userns",
        "1",
        "sysctl -w kernel.apparmor_restrict_unprivileged_userns=0",
    ),
    ("user/max_user_namespaces", "0", "sysctl -w user.max_user_namespaces=10000"),
)


def create() -> int:
    """Make one network namespace, as `create_many` does."""
    return create_many(1)[0]


def create_many(count: int) -> list[int]:
    """Make network namespaces without IPv6; returns a descriptor of each, which is all that holds
    it.

    A helper thread makes them, so the caller never leaves its own namespace. Raises
    PermissionNeededError without CAP_SYS_ADMIN, HarnessError where a limit (descriptors,
    user.max_net_namespaces) is reached; then none of them is left.
    """
    made: list[int] = []
    failed: list[OSError] = []

    def make() -> None:
        try:
            for _ in range(count):
                _check(_libc.unshare(_CLONE_NEWNET), "unshare")
                made.append(os.open(_OWN_NAMESPACE, os.O_RDONLY | os.O_CLOEXEC))
                # Before any link exists: a link that comes up with IPv6 on sends router
                # solicitations and MLD reports.
                for which in ("default", "all"):
                    _without_ipv6(which)
        except OSError as error:
            failed.append(error)

    thread = threading.Thread(target=make, name="harness-namespaces")
    thread.start()
    thread.join()
    if failed:
        for namespace in made:
            os.close(namespace)
        raise _translated(
            f"network namespace {len(made) + 1} of {count} could not be made", failed[0]
        ) from failed[0]
    return made


@contextlib.contextmanager
def inside(namespace: int) -> Iterator[None]:
    """Keep the calling thread in the network namespace while the body runs. Nothing forks, and no
    other thread moves.

    Threads and processes that the body starts begin in the namespace and stay there. Raises
    PermissionNeededError without CAP_SYS_ADMIN over the namespace, HarnessError where the
    descriptor is not of a network namespace.
    """
    try:
        here = os.open(_OWN_NAMESPACE, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise _translated(
            "the thread's own network namespace could not be opened", error
        ) from error
    try:
        try:
            _check(_libc.setns(namespace, _CLONE_NEWNET), "setns")
        except OSError as error:
            raise _translated(
                f"descriptor {namespace}: the network namespace could not be entered", error
            ) from error
        try:
            yield
        finally:
            # A thread that cannot go back would do everything that follows in the wrong network:
            # nothing may catch that.
            if _libc.setns(here, _CLONE_NEWNET):
                raise SystemExit(
                    "harness: a thread could not leave a namespace: "
                    f"{os.strerror(ctypes.get_errno())}"
                )
    finally:
        os.close(here)


def stay_in(namespace: int) -> None:
    """Move the calling thread into the network namespace for good. Raises as `inside`."""
    try:
        _check(_libc.setns(namespace, _CLONE_NEWNET), "setns")
    except OSError as error:
        raise _translated(
            f"descriptor {namespace}: the network namespace could not be entered", error
        ) from error


def open_socket(namespace: int, family: int, kind: int, protocol: int = 0) -> socket.socket:
    """Open a socket that stays in the namespace, wherever it is used from. Raises as `inside` does,
    and OSError.
    """
    with inside(namespace):
        return socket.socket(family, kind, protocol)


def spawn_in(
    namespace: int,
    argv: Sequence[str],
    *,
    stdio: tuple[int, int, int],
    environment: Mapping[str, str] | None = None,
    directory: Path | None = None,
    session: bool = False,
) -> subprocess.Popen[bytes]:
    """Start a command in the network namespace; `stdio` are its descriptors 0, 1 and 2. Safe in any
    thread. `session`: it leads one of its own.

    A thread that stands inside makes the child, so no code of ours runs between fork and exec. The
    child belongs to the caller, who waits for it. Raises UsageError where there is no such program,
    otherwise as `inside`.
    """
    try:
        with inside(namespace):
            return subprocess.Popen(
                argv,
                stdin=stdio[0],
                stdout=stdio[1],
                stderr=stdio[2],
                env=environment,
                cwd=directory,
                close_fds=True,
                start_new_session=session,
            )
    except (FileNotFoundError, PermissionError) as error:
        raise UsageError(f"{argv[0]!r} cannot be run: {error.strerror}") from error


def read_sysctl(name: str) -> str:
    """Read a sysctl by its path below /proc/sys; ``net/…`` is that of the calling thread's
    namespace. Raises OSError.
    """
    with open(f"/proc/sys/{name}", encoding="ascii") as file:
        return file.read().strip()


def write_sysctl(name: str, value: str) -> None:
    """Set a sysctl by its path below /proc/sys; ``net/…`` is that of the calling thread's
    namespace. Raises OSError.
    """
    with open(f"/proc/sys/{name}", "w", encoding="ascii") as file:
        file.write(value)


def enter_user_namespace() -> None:
    """Become root of a new user namespace with a network and a mount namespace of its own, for the
    rest of this process.

    Only the caller's uid and gid are mapped, to 0: files and sockets still belong to the caller
    outside. Must be called while the process has one thread. Raises PermissionNeededError with one
    sentence that says what forbids it.
    """
    threads = len(os.listdir("/proc/self/task"))
    if threads != 1:
        raise HarnessError(
            "a user namespace can only be entered by a process with one thread, this one has "
            f"{threads} "
            "(importing numpy or pyarrow starts some: enter first)"
        )
    uid, gid = os.geteuid(), os.getegid()
    try:
        _check(_libc.unshare(_CLONE_NEWUSER | _CLONE_NEWNET | _CLONE_NEWNS), "unshare")
        for file, text in (
            ("setgroups", "deny"),
            ("uid_map", f"0 {uid} 1"),
            ("gid_map", f"0 {gid} 1"),
        ):
            with open(f"/proc/self/{file}", "w", encoding="ascii") as handle:
                handle.write(text)
        # Also the proof that the new root has its capabilities: AppArmor lets unshare pass and
        # takes them away.
        _check(_libc.mount(b"none", b"/", None, _MS_REC | _MS_PRIVATE, None), "mount")
    except OSError as error:
        raise PermissionNeededError(_why_no_user_namespace(error)) from error


def _why_no_user_namespace(error: OSError) -> str:
    for name, forbids, cure in _USER_NAMESPACE_SWITCHES:
        with contextlib.suppress(OSError):
            if read_sysctl(name) == forbids:
                return (
                    f"Root is needed, or a user namespace, which {name.replace('/', '.')} = "
                    f"{forbids} forbids: `{cure}`."
                )
    if error.errno in {errno.ENOSPC, errno.EUSERS}:
        return (
            "Root is needed, or a user namespace, of which there are too many now: raise "
            "user.max_user_namespaces."
        )
    return (
        f"Root is needed, or a user namespace, which this system refuses ({error.strerror}): "
        "a container's seccomp profile or a security module forbids it."
    )


def _without_ipv6(which: str) -> None:
    with contextlib.suppress(FileNotFoundError):  # a kernel without IPv6 has nothing to switch off
        write_sysctl(f"net/ipv6/conf/{which}/disable_ipv6", "1")


def _check(result: int, call: str) -> None:
    if result:
        number = ctypes.get_errno()
        raise OSError(number, f"{call}: {os.strerror(number)}")


def _translated(what: str, error: OSError) -> HarnessError:
    if error.errno in {errno.EPERM, errno.EACCES}:
        return PermissionNeededError(
            f"{what}: {error.strerror}; expected CAP_SYS_ADMIN: root, or a user namespace"
        )
    if error.errno == errno.EMFILE:
        return HarnessError(f"{what}: this process may have no more open files (ulimit -n)")
    if error.errno == errno.ENOSPC:
        return HarnessError(f"{what}: no more are allowed (sysctl user.max_net_namespaces)")
    return HarnessError(f"{what}: {error.strerror}")

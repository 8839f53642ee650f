"""What a machine boots: Debian's kernel, unpacked from its package and never installed, and an
initial root of busybox and a few modules.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from harness.errors import UnavailableError

META_PACKAGE = "linux-image-amd64"  # the cloud flavour has no 9p
MODULES = ("virtio_pci", "9pnet_virtio", "9p", "overlay")
PROGRAMS = {
    "qemu-system-x86_64": "qemu-system-x86",
    "busybox": "busybox-static",
    "depmod": "kmod",
    "modprobe": "kmod",
    "dpkg-deb": "dpkg",
}
INIT = """#!/bin/sh
B=/bin/busybox
$B mount -t proc p /proc; $B mount -t sysfs s /sys; $B mount -t devtmpfs d /dev
for m in $($B cat /order); do $B insmod /m/$m; done
$B mount -t tmpfs t /run; $B mkdir -p /run/low /run/new; $B mount -t tmpfs t /run/new
$B mkdir -p /run/new/u /run/new/w /run/root
$B mount -t 9p -o trans=virtio,version=9p2000.L,msize=1048576,cache=loose,ro host /run/low
$B mount -t overlay -o lowerdir=/run/low,upperdir=/run/new/u,workdir=/run/new/w o /run/root
$B mkdir -p /run/root/out
$B mount -t 9p -o trans=virtio,version=9p2000.L,msize=1048576 out /run/root/out
for d in proc sys dev; do $B mount --move /$d /run/root/$d; done
exec $B switch_root /run/root /bin/sh /out/first
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """A kernel and what it starts with."""

    version: str  # of the kernel
    root: Path  # the unpacked package
    initrd: Path

    @property
    def kernel(self) -> Path:
        """The kernel's file."""
        return self.root / "boot" / f"vmlinuz-{self.version}"


def image(progress: Callable[[str], None] = lambda _: None) -> Image:
    """Find the image in the cache, or make it. Raises UnavailableError with what to install."""
    lacking = sorted(
        {
            package
            for program, package in PROGRAMS.items()
            if shutil.which(program, path=_path()) is None
        }
    )
    if lacking:
        raise UnavailableError(
            "the machine needs programs that are not installed (Debian: apt-get install "
            f"{' '.join(lacking)})"
        )
    cache = (
        Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "p2p-harness" / "machine"
    )
    cache.mkdir(parents=True, exist_ok=True)
    root = _kernel(cache, progress)
    version = next(iter(sorted((root / "lib" / "modules").iterdir()))).name
    recipe = hashlib.sha256(f"{INIT}{MODULES}".encode()).hexdigest()[:12]
    initrd = cache / f"initrd-{version}-{recipe}"
    if not initrd.exists():
        progress("making the initial root")
        made = initrd.with_suffix(".new")
        made.write_bytes(_initrd(root, version))
        made.replace(initrd)
    return Image(version=version, root=root, initrd=initrd)


def _kernel(cache: Path, progress: Callable[[str], None]) -> Path:
    """Find the newest unpacked package in the cache; where there is none, fetch one by apt."""
    known = sorted(
        path for path in cache.glob("linux-image-*") if (path / "lib" / "modules").is_dir()
    )
    if known:
        return known[-1]
    said = _call(["apt-cache", "depends", "--important", META_PACKAGE], "find a kernel")
    package = next(
        (
            line.split()[-1]
            for line in said.splitlines()
            if line.strip().startswith("Depends: linux-image-")
        ),
        None,
    )
    if package is None:
        raise UnavailableError(
            f"apt knows no {META_PACKAGE}: the machine needs Debian's kernel package (apt-get "
            "update)"
        )
    with tempfile.TemporaryDirectory(dir=cache) as scratch:
        progress(f"fetching {package}, 70 MB")
        _call(["apt-get", "download", "-qq", package], f"fetch {package}", Path(scratch))
        progress("unpacking it")
        [archive] = Path(scratch).glob("*.deb")
        _call(["dpkg-deb", "-x", str(archive), str(Path(scratch) / "root")], f"unpack {package}")
        root = Path(scratch) / "root"
        version = next(iter((root / "lib" / "modules").iterdir())).name
        _call(["depmod", "-b", str(root), version], "index its modules")
        root.rename(cache / package)
    return cache / package


def _initrd(root: Path, version: str) -> bytes:
    """Pack busybox, the modules in the order of their needs, and the init script into a cpio
    archive ("newc").
    """
    order: list[Path] = []
    for module in MODULES:
        said = _call(
            ["modprobe", "-d", str(root), "-S", version, "--show-depends", module],
            f"find the module {module}",
        )
        order += [
            path
            for line in said.splitlines()
            if line.startswith("insmod") and (path := Path(line.split()[1])) not in order
        ]
    busybox = Path(shutil.which("busybox", path=_path()) or "")
    entries = [
        (folder, stat.S_IFDIR | 0o755, b"") for folder in ("bin", "proc", "sys", "dev", "run", "m")
    ]
    entries += [
        ("bin/busybox", stat.S_IFREG | 0o755, busybox.read_bytes()),
        ("bin/sh", stat.S_IFLNK | 0o777, b"busybox"),
    ]
    entries += [(f"m/{path.name}", stat.S_IFREG | 0o644, path.read_bytes()) for path in order]
    entries += [
        ("order", stat.S_IFREG | 0o644, "\n".join(path.name for path in order).encode()),
        ("init", stat.S_IFREG | 0o755, INIT.encode()),
    ]
    return b"".join(_cpio(number, *entry) for number, entry in enumerate(entries, 1)) + _cpio(
        0, "TRAILER!!!", 0, b""
    )


def _cpio(inode: int, name: str, mode: int, data: bytes) -> bytes:
    header = b"070701" + b"".join(
        b"%08x" % field
        for field in (inode, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name) + 1, 0)
    )
    named = header + name.encode() + b"\0"
    return named.ljust((len(named) + 3) & ~3, b"\0") + data.ljust((len(data) + 3) & ~3, b"\0")


def _call(argv: list[str], what: str, directory: Path | None = None) -> str:
    done = subprocess.run(
        argv,
        capture_output=True,
        text=True,
        check=False,
        cwd=directory,
        env={**os.environ, "PATH": _path()},
    )
    if done.returncode:
        raise UnavailableError(
            f"the machine: could not {what}: {(done.stderr or done.stdout).strip()[-300:]}"
        )
    return done.stdout


def _path() -> str:
    return f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"

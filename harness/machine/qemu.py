"""Runs one command in a throw-away machine and returns how it ended."""

from __future__ import annotations

import os
import shlex
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from harness.errors import HarnessError, UnavailableError
from harness.machine.image import image

IN_MACHINE = "HARNESS_IN_MACHINE"            # set for what runs inside
FIRST = """export PATH={path}
mkdir -p /lib/modules; ln -sfn {modules} /lib/modules/{version}
mount -t tmpfs t /run; mkdir -p /dev/shm /dev/pts; mount -t tmpfs t /dev/shm; mount -t devpts d /dev/pts
ip link set lo up
cd {directory}
{environment} {command} >/out/log 2>&1 </dev/null
echo $? >/out/rc; sync; echo o >/proc/sysrq-trigger; sleep 9
"""


def run(
    command: Sequence[str], *, directory: Path, environment: Mapping[str, str] | None = None, timeout_s: float = 900.0, memory_mb: int = 3072,
    progress: Callable[[str], None] = lambda _: None,
) -> tuple[int, str]:
    """Exit code and output of a command, run as root in a fresh machine over this host's files, of which none is changed.

    Raises UnavailableError where QEMU or the kernel is missing, HarnessError where the machine did not get to the command's end.
    """
    booted = image(progress)
    progress("booting")
    with tempfile.TemporaryDirectory(prefix="machine-") as scratch:
        out = Path(scratch)
        given = {**(environment or {}), IN_MACHINE: "1", "HOME": os.environ.get("HOME", "/root"), "LANG": "C.UTF-8"}
        (out / "first").write_text(FIRST.format(
            path=shlex.quote(f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"), modules=shlex.quote(str(booted.root / "lib" / "modules" / booted.version)), version=booted.version,
            directory=shlex.quote(str(directory)), environment=" ".join(f"{key}={shlex.quote(value)}" for key, value in given.items()), command=shlex.join(command),
        ))
        argv = [
            "qemu-system-x86_64", "-accel", "tcg,thread=single,tb-size=512", "-icount", "shift=0,sleep=off", "-cpu", "max", "-smp", "1", "-m", str(memory_mb),
            "-nodefaults", "-no-user-config", "-nographic", "-no-reboot", "-serial", f"file:{out}/console", "-kernel", str(booted.kernel),
            "-initrd", str(booted.initrd), "-append", "console=ttyS0 quiet panic=-1 mitigations=off", "-device", "virtio-rng-pci",
            "-fsdev", "local,id=h,path=/,security_model=none,readonly=on,multidevs=remap", "-device", "virtio-9p-pci,fsdev=h,mount_tag=host",
            "-fsdev", f"local,id=o,path={out},security_model=none", "-device", "virtio-9p-pci,fsdev=o,mount_tag=out",
        ]
        try:
            done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout_s, check=False)
        except subprocess.TimeoutExpired:
            raise HarnessError(f"the machine did not end within {timeout_s:.0f} s; {_told(out)}") from None
        except OSError as error:
            raise UnavailableError(f"the machine could not be started: {error}") from error
        if not (out / "rc").exists():
            raise HarnessError(f"the machine ended before the command did: {done.stderr.strip()[-300:] or 'QEMU said nothing'}; {_told(out)}")
        return int((out / "rc").read_text()), (out / "log").read_text(errors="replace")


def _told(out: Path) -> str:
    for name in ("log", "console"):
        if (out / name).exists() and (text := (out / name).read_text(errors="replace").strip()):
            return f"its {name} ends:\n{text[-1500:]}"
    return "it wrote nothing"

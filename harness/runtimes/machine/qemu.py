"""One command in a throw-away machine."""

from __future__ import annotations

import os
import shlex
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from harness.errors import HarnessError, UnavailableError
from harness.runtimes.machine.image import Image, image

TIMEOUT_S = 900.0
IN_MACHINE = "HARNESS_IN_MACHINE"  # set for what runs inside
FIRST = """export PATH={path}
mkdir -p /lib/modules; ln -sfn {modules} /lib/modules/{version}
mount -t tmpfs t /run; mkdir -p /dev/shm /dev/pts
mount -t tmpfs t /dev/shm; mount -t devpts d /dev/pts
ip link set lo up
cd {directory}
{environment} {command} >/out/log 2>&1 </dev/null
echo $? >/out/rc; sync; echo o >/proc/sysrq-trigger; sleep 9
"""


def run(
    command: Sequence[str],
    *,
    directory: Path,
    environment: Mapping[str, str] | None = None,
    timeout_s: float = TIMEOUT_S,
    memory_mb: int = 3072,
    progress: Callable[[str], None] = lambda _: None,
    heard: Callable[[str], None] = lambda _: None,
) -> tuple[int, str]:
    """Run a command as root in a fresh machine over this host's files, and change none of them;
    returns its exit code and output.

    `heard` is told the output as it comes.

    Raises UnavailableError where QEMU or the kernel is missing, HarnessError where the machine
    ended, or the time was over, before the command did.
    """
    booted = image(progress)
    progress("booting")
    with tempfile.TemporaryDirectory(prefix="machine-") as scratch:
        out = Path(scratch)
        (out / "first").write_text(_script(booted, command, directory, environment or {}))
        try:
            with (out / "qemu").open("w") as said:
                machine = subprocess.Popen(
                    _argv(booted, out, memory_mb),
                    stdin=subprocess.DEVNULL,
                    stdout=said,
                    stderr=said,
                )
        except OSError as error:
            raise UnavailableError(f"the machine could not be started: {error}") from error
        try:
            _follow(machine, out / "log", time.monotonic() + timeout_s, heard)
        finally:  # also where somebody interrupts
            ended = machine.poll() is not None
            machine.kill()
            machine.wait()
        if not ended:
            raise HarnessError(f"the machine did not end within {timeout_s:.0f} s; {_told(out)}")
        if not (out / "rc").exists():
            raise HarnessError(
                "the machine ended before the command did: "
                f"{(out / 'qemu').read_text().strip()[-300:] or 'QEMU said nothing'}; "
                f"{_told(out)}"
            )
        return int((out / "rc").read_text()), (out / "log").read_text(errors="replace")


def _script(
    booted: Image, command: Sequence[str], directory: Path, environment: Mapping[str, str]
) -> str:
    """Write the machine's first script: it mounts, runs the command, and switches off."""
    given = {
        **environment,
        IN_MACHINE: "1",
        "HOME": os.environ.get("HOME", "/root"),
        "LANG": "C.UTF-8",
    }
    return FIRST.format(
        path=shlex.quote(f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"),
        modules=shlex.quote(str(booted.root / "lib" / "modules" / booted.version)),
        version=booted.version,
        directory=shlex.quote(str(directory)),
        environment=" ".join(f"{key}={shlex.quote(value)}" for key, value in given.items()),
        command=shlex.join(command),
    )


def _argv(booted: Image, out: Path, memory_mb: int) -> list[str]:
    """Write QEMU's command line. `out` is the folder into which the machine writes."""
    options = {
        "-accel": "tcg,thread=single,tb-size=512",
        "-icount": "shift=0,sleep=off",  # an instruction is a nanosecond, idle time is skipped
        "-cpu": "max",
        "-smp": "1",
        "-m": str(memory_mb),
        "-serial": f"file:{out}/console",
        "-kernel": str(booted.kernel),
        "-initrd": str(booted.initrd),
        "-append": "console=ttyS0 quiet panic=-1 mitigations=off",
    }
    devices = (
        ("-device", "virtio-rng-pci"),
        ("-fsdev", "local,id=h,path=/,security_model=none,readonly=on,multidevs=remap"),
        ("-device", "virtio-9p-pci,fsdev=h,mount_tag=host"),
        ("-fsdev", f"local,id=o,path={out},security_model=none"),
        ("-device", "virtio-9p-pci,fsdev=o,mount_tag=out"),
    )
    return [
        "qemu-system-x86_64",
        *("-nodefaults", "-no-user-config", "-nographic", "-no-reboot"),
        *(word for option in (*options.items(), *devices) for word in option),
    ]


def _follow(
    machine: subprocess.Popen[bytes], log: Path, until_s: float, heard: Callable[[str], None]
) -> None:
    """Wait for the machine's end, at most until `until_s`, and pass on what its command writes."""
    at = 0
    while True:
        ended = machine.poll() is not None
        if log.exists():
            with log.open("rb") as file:
                file.seek(at)
                new = file.read()
            at += len(new)
            if new:
                heard(new.decode(errors="replace"))
        if ended or time.monotonic() > until_s:
            return
        time.sleep(0.1)


def _told(out: Path) -> str:
    for name in ("log", "console"):
        if (out / name).exists() and (text := (out / name).read_text(errors="replace").strip()):
            return f"its {name} ends:\n{text[-1500:]}"
    return "it wrote nothing"

"""A machine in a box: stock QEMU without KVM, a stock Debian kernel, this host's root shared
read-only under a RAM overlay.

One instruction is one nanosecond of the guest's time and idle time is skipped, so the host's noise
cannot be seen from inside and a test that waits a minute takes a second. It is where netem is used
and measured on hosts whose kernel has none.
"""

from __future__ import annotations

from harness.runtimes.machine.image import Image, image
from harness.runtimes.machine.qemu import run

__all__ = ["Image", "image", "run"]

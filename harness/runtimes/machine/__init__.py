"""A throw-away machine: stock QEMU without KVM, a stock Debian kernel, this host's root shared
read-only under a RAM overlay.

One instruction is one nanosecond of the guest's time and idle time is skipped. So the host's noise
cannot be seen from inside, and a test that waits a minute takes a second. Netem is used and
measured in it on hosts whose kernel has none.
"""

from __future__ import annotations

from harness.runtimes.machine.image import Image, image
from harness.runtimes.machine.qemu import run

__all__ = ["Image", "image", "run"]

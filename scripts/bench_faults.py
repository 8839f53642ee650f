"""How accurate faults are, by tools that are not ours: writes docs/accuracy.md. `make bench-faults`
(about ten minutes).

Here: delay and jitter by ping and by kernel timestamps of numbered datagrams, loss by datagrams
counted at the receiver, rates by iperf3, cuts by datagrams that must not arrive. With ``--inside``
it prints its lines as JSON: that is how the machine with netem runs it.
"""

from __future__ import annotations

import json
import math
import os
import platform
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from kit.network import Net

from harness.errors import HarnessError
from harness.faults import spec
from harness.kernel.namespaces import open_socket

TARGET = Path(__file__).parent.parent / "docs" / "accuracy.md"
INSIDE = "--inside" in sys.argv
LOSS_PACKETS = 20_000
DELAY_PACKETS = 1_000
Line = dict[str, str | bool]


def line(backend: str, what: str, asked_for: str, measured: str, wanted: str, kept: bool) -> Line:
    return {
        "backend": backend,
        "what": what,
        "asked": asked_for,
        "measured": measured,
        "wanted": wanted,
        "kept": bool(kept),
    }


def delays(it: Net) -> Iterator[Line]:
    for delay_ms in (1, 10, 50, 200):
        it.set(where="n0 -> n1", delay=f"{delay_ms}ms", name="f")
        backend = it.network.backends["delay"]
        found = it.one_way(DELAY_PACKETS, 0.002)[:, 1]
        wanted = max(0.5, 0.02 * delay_ms)
        middle = float(np.median(found))
        yield line(
            backend,
            "delay",
            f"{delay_ms} ms",
            f"p50 {middle:.3f} ms, p99 {np.quantile(found, 0.99):.3f} ms (n={len(found)})",
            f"p50 ± {wanted:g} ms",
            abs(middle - delay_ms) <= wanted,
        )
    it.set(where="n0 <-> n1", delay="25ms", name="f")
    received, _, mean, deviation = it.ping("n0", "n1", 100, 0.01)
    yield line(
        it.network.backends["delay"],
        "round trip by ping",
        "25 + 25 ms",
        f"mean {mean:.3f} ms, mdev {deviation:.3f} ms ({received} of 100)",
        "± 1 ms",
        abs(mean - 50) <= 1,
    )
    for delay_ms, jitter_ms in ((50, 10), (100, 50)):
        it.set(where="n0 -> n1", delay=f"{delay_ms}ms", jitter=f"{jitter_ms}ms", name="f")
        found = it.one_way(2 * DELAY_PACKETS, 0.002)[:, 1]
        ideal = jitter_ms / math.sqrt(3)
        yield line(
            it.network.backends["jitter"],
            "jitter",
            f"{delay_ms} ± {jitter_ms} ms",
            f"deviation {found.std():.2f} ms (uniform: {ideal:.2f})",
            "within 10 %",
            abs(found.std() - ideal) <= 0.1 * ideal,
        )
    it.network.clear()


def losses(it: Net) -> Iterator[Line]:
    for loss in ("0.1%", "1%", "5%", "25%"):
        it.set(where="n0 -> n1", loss=loss, name="f")
        share = float(loss.rstrip("%")) / 100
        lost = LOSS_PACKETS - len(it.one_way(LOSS_PACKETS, 0.0001))
        half = 2.576 * math.sqrt(share * (1 - share) / LOSS_PACKETS)
        yield line(
            "nftables",
            "loss",
            loss,
            f"{lost / LOSS_PACKETS:.3%} of {LOSS_PACKETS:,}",
            f"99 % interval, ± {half:.3%}",
            abs(lost / LOSS_PACKETS - share) <= half,
        )
    it.network.clear()


def rates(it: Net) -> Iterator[Line]:
    for rate in ("1mbit", "10mbit", "100mbit", "1gbit"):
        for what, words in (
            ("path", {"where": "n0 -> n1", "rate": rate}),
            ("upload", {"where": "n0", "up": rate}),
            ("download", {"where": "n1", "down": rate}),
        ):
            it.set(**words, name="f")
            ideal = (
                int(re.match(r"\d+", rate)[0])
                * {"mbit": 1.0, "gbit": 1000.0}[rate.lstrip("0123456789")]
                * 1448
                / 1514
            )
            carried = iperf3(it, 6)
            yield line(
                "qdisc",
                f"rate of a {what}" if what == "path" else f"{what} of a node",
                rate,
                f"{carried:,.3f} Mbit/s, {carried / ideal - 1:+.1%} of ideal goodput {ideal:,.3f}",
                "within 3 %",
                abs(carried / ideal - 1) <= 0.03,
            )
    it.network.clear()


def iperf3(it: Net, seconds: int, *options: str) -> float:
    server = threading.Thread(target=it.run, args=("n1", "iperf3", "-s", "-1"))
    server.start()
    while ":5201" not in it.run("n1", "ss", "-ltn"):
        time.sleep(0.05)
    said = json.loads(
        it.run(
            "n0",
            "iperf3",
            "-J",
            "-t",
            str(seconds),
            "-O",
            "2",
            *(options or ("-C", "reno")),
            "-c",
            it.addresses["n1"],
        )
    )
    server.join()
    return float(said["end"]["sum_received"]["bits_per_second"]) / 1e6


def cutting(count: int, wanted_ms: float) -> Iterator[Line]:
    it = Net(count)
    try:
        it.set(where="n0 -> n1", delay="1ms", name="opened")  # tables are made at the first fault
        change = it.network.set(spec.parse({"cut": "halves", "name": "c"}).resolve(it.nodes, 1))
        took_ms = change.took_ns / 1e6
        crossed = sum(
            it.ping(f"n{index}", f"n{count - 1 - index}", 3, 0.01)[0] for index in range(10)
        )
        yield line(
            "nftables",
            f"cut of {count} nodes in halves",
            f"{change.fault.count:,} paths",
            f"call {took_ms:.1f} ms, {crossed} of 30 pings crossed",
            f"call ≤ {wanted_ms:g} ms, 0 cross",
            took_ms <= wanted_ms and not crossed,
        )
        begun = time.monotonic()
        it.network.clear("c")
        while not it.ping("n0", f"n{count - 1}", 1)[0]:
            pass
        healed_ms = (time.monotonic() - begun) * 1e3
        yield line(
            "nftables",
            f"heal of {count} nodes",
            "clear",
            f"first packet after {healed_ms:.0f} ms",
            "≤ 1 s",
            healed_ms <= 1000,
        )
    finally:
        it.close()


def together(it: Net) -> Iterator[Line]:
    """Faults of three backends on one path at once, and a cut on top."""
    for delay_ms, jitter_ms, loss, rate in ((50, 0, "1%", "10mbit"), (200, 50, "5%", "1mbit")):
        words = f"{delay_ms} ± {jitter_ms} ms, {loss}, {rate}"
        it.set(where="n0 -> n1", delay=f"{delay_ms}ms", jitter=f"{jitter_ms}ms", name="d")
        it.set(where="n0 -> n1", loss=loss, name="l")
        it.set(where="n0 -> n1", rate=rate, name="r")
        found, share = it.one_way(LOSS_PACKETS, 0.0006)[:, 1], float(loss.rstrip("%")) / 100
        middle, lost, half = (
            float(np.median(found)),
            1 - len(found) / LOSS_PACKETS,
            2.576 * math.sqrt(share * (1 - share) / LOSS_PACKETS),
        )
        wanted = max(1.0, 0.02 * delay_ms)
        yield line(
            "three at once",
            "delay",
            words,
            f"p50 {middle:.3f} ms",
            f"p50 ± {wanted:g} ms",
            abs(middle - delay_ms) <= wanted,
        )
        yield line(
            "three at once",
            "loss",
            words,
            f"{lost:.3%} of {LOSS_PACKETS:,}",
            f"99 % interval, ± {half:.3%}",
            abs(lost - share) <= half,
        )
        mbit = float(rate.removesuffix("mbit"))
        it.network.clear("l")
        # Datagrams: TCP takes what jitter reorders for loss.
        ideal, carried = (
            mbit * 1400 / 1442,
            iperf3(it, 10, "-u", "-l", "1400", "-b", f"{1.5 * mbit}M"),
        )
        yield line(
            "three at once",
            "rate, the loss taken back",
            words,
            f"{carried:,.3f} Mbit/s of datagrams, {carried / ideal - 1:+.1%} of ideal goodput",
            "within 3 %",
            abs(carried / ideal - 1) <= 0.03,
        )
        it.set(cut="isolate", of=["n1"], name="c")
        crossed = len(it.one_way(200, 0.002))
        yield line(
            "three at once",
            "a cut on top",
            words,
            f"{crossed} of 200 crossed",
            "0 cross",
            not crossed,
        )
        it.network.clear()
        yield line(
            "three at once",
            "after clear",
            "nothing",
            f"p50 {np.median(it.one_way(200)[:, 1]):.3f} ms, kernel as before: "
            f"{it.kernel() == it.before}",
            "kernel as before",
            it.kernel() == it.before,
        )


def toxics() -> Iterator[Line]:
    it = Net(2, ports=(8000,))
    try:
        for words, asked_for, look, within in TOXICS:
            it.set(where="n0 -> n1", toxic=[words], name="t")
            took = [look(it) for _ in range(5)]
            middle = float(np.median(took))
            unit = "bytes" if look is until_limit else "ms"
            yield line(
                "toxiproxy",
                f"toxic {words.split()[0]}",
                words.partition(" ")[2],
                f"{middle:,.1f} {unit} (wanted {asked_for:,})",
                f"within {within:g} {unit}",
                abs(middle - asked_for) <= within,
            )
    finally:
        it.close()


@contextmanager
def dialled(it: Net) -> Iterator[tuple[socket.socket, socket.socket]]:
    """A fresh connection from n0 to n1:8000, both ends."""
    with (
        open_socket(it.namespaces["n1"], socket.AF_INET, socket.SOCK_STREAM) as listener,
        open_socket(it.namespaces["n0"], socket.AF_INET, socket.SOCK_STREAM) as here,
    ):
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((it.addresses["n1"], 8000))
        listener.listen()
        here.connect((it.addresses["n1"], 8000))
        peer, _ = listener.accept()
        with peer:
            yield here, peer


def exchange(it: Net) -> float:
    """Ms of one byte to n1 and back."""
    with dialled(it) as (here, peer):
        begun = time.monotonic()
        here.send(b".")
        peer.send(peer.recv(1))
        here.recv(1)
        return (time.monotonic() - begun) * 1e3


def carry(it: Net, count: int) -> float:
    """Ms of so many bytes from n1 to n0."""
    with dialled(it) as (here, peer):
        begun = time.monotonic()
        sending = threading.Thread(target=peer.sendall, args=(b"." * count,))
        sending.start()
        while count > 0:
            count -= len(here.recv(65_536))
        sending.join()
        return (time.monotonic() - begun) * 1e3


def until_end(it: Net, *, close: bool = False) -> float:
    """Ms until n0's end ends, since n1 sent something, or closed."""
    with dialled(it) as (here, peer):
        begun = time.monotonic()
        if close:
            peer.close()
        else:
            peer.send(b".")
        with suppress(ConnectionError):
            here.recv(1)
        return (time.monotonic() - begun) * 1e3


def until_limit(it: Net) -> float:
    """Bytes that come to n0 before its end ends."""
    count = 0
    with dialled(it) as (here, peer), suppress(ConnectionError):
        peer.sendall(b"." * 20_000)
        while data := here.recv(65_536):
            count += len(data)
    return float(count)


# what is asked of Toxiproxy, what should come out, how it is looked at, how far off it may be (ms,
# bytes); it slices by halving: 5,000 bytes into 64
TOXICS: list[tuple[str, float, Callable[[Net], float], float]] = [
    ("latency latency=50", 50, exchange, 2.5),
    ("latency latency=200", 200, exchange, 10),
    ("bandwidth rate=1250", 800, partial(carry, count=1_000_000), 40),
    ("slicer average_size=100 size_variation=1 delay=1000", 64, partial(carry, count=5_000), 16),
    ("timeout timeout=500", 500, until_end, 10),
    ("reset_peer timeout=500", 500, until_end, 10),
    ("slow_close delay=300", 300, partial(until_end, close=True), 10),
    ("limit_data bytes=10000", 10_000, until_limit, 0),
]


def measure() -> Iterator[Line]:
    it = Net(4)
    try:
        yield from delays(it)
        if not INSIDE:
            yield from losses(it)
            yield from rates(it)
            yield from together(it)
    finally:
        it.close()
    if not INSIDE:
        yield from toxics()
        yield from cutting(100, 20)
        yield from cutting(1000, 50)


def inside() -> list[Line]:
    """The same delays and jitters on a kernel with netem, in the machine."""
    from harness.runtimes.machine import run

    try:
        code, output = run(
            [sys.executable, str(Path(__file__).resolve()), "--inside"],
            directory=TARGET.parent.parent,
            environment={"PYTHONPATH": os.environ.get("PYTHONPATH", "")},
        )
    except HarnessError as error:
        print(f"the machine: {error}", file=sys.stderr)
        return []
    lines = [json.loads(text) for text in output.splitlines() if text.startswith("{")]
    if code:
        print(output, file=sys.stderr)
    return [{**one, "backend": f"{one['backend']}, in the machine"} for one in lines]


def main() -> int:
    found = []
    for one in measure():
        print(
            json.dumps(one)
            if INSIDE
            else f"{'kept  ' if one['kept'] else 'MISSED'} {one['backend']:10} {one['what']}: "
            f"{one['asked']}: {one['measured']} ({one['wanted']})",
            flush=True,
        )
        found.append(one)
    if INSIDE:
        return 0
    found += inside()
    cpu = next(
        (
            text.split(":", 1)[1].strip()
            for text in Path("/proc/cpuinfo").read_text().splitlines()
            if text.startswith("model name")
        ),
        "?",
    )
    tools = " · ".join(
        subprocess.run(argv, capture_output=True, text=True, check=False).stdout.splitlines()[0]
        for argv in (["iperf3", "--version"], ["ping", "-V"])
    )
    rows = "".join(
        f"| {one['backend']} | {one['what']} | {one['asked']} | {one['measured']} | "
        f"{one['wanted']} | {'kept' if one['kept'] else '**missed**'} |\n"
        for one in found
    )
    TARGET.write_text(
        "# Accuracy of faults\n\n"
        "Written by `make bench-faults`; misses stay. Delays and jitter are measured by kernel "
        "timestamps\nof numbered datagrams, round trips by ping, loss by counting datagrams at the "
        "receiver, rates by\niperf3 (reno), cuts by ping.\n\n"
        f"{datetime.now(UTC).date()}, {cpu}, {os.cpu_count()} cores, kernel {platform.release()};\n"
        f"{tools}.\n\n"
        f"| backend | what | asked | measured | wanted | |\n|---|---|---|---|---|---|\n{rows}"
    )
    missed = sum(not one["kept"] for one in found)
    print(f"{len(found)} lines, {missed} missed: {TARGET}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

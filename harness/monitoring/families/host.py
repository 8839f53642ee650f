"""The host, and the harness's own processes on it: what may have been the bottleneck."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import Metric

from harness.monitoring.families.family import counter, total, value
from harness.monitoring.seen import Seen


def make(seen: Seen) -> Iterator[Metric]:
    """The families of the host."""
    used = seen.cluster.get("used") or {}
    if "host" not in used:
        return
    host = used["host"]
    yield value("harness_host_cores", "Cores of the host.", used["cores"])
    for name, says, known, unit in (
        ("cpu_busy", "CPU time that was used, all cores.", host["cpu_busy_ns"], 1e9),
        ("cpu_steal", "CPU time that the hypervisor gave to others.", host["cpu_steal_ns"], 1e9),
        (
            "cpu_pressure",
            "Time in which some task waited for a core (PSI); absent where the kernel has none.",
            host["psi_cpu_some_us"],
            1e6,
        ),
        (
            "cpu_throttled",
            "Time in which the harness's control group had used up its quota.",
            host["cpu_throttled_us"],
            1e6,
        ),
    ):
        yield total(f"harness_host_{name}_seconds", says, None if known is None else known / unit)
    yield value(
        "harness_host_memory_available_bytes",
        "Memory that the host can still give.",
        host["memory_available_bytes"],
    )
    yield total(
        "harness_host_packets_dropped",
        "Packets that a core dropped because its backlog was full, of whichever namespace.",
        host["packets_dropped"],
    )
    yield counter(
        "harness_process_cpu_seconds",
        "CPU time of the harness's own processes: supervisor, gateway, and all of the load.",
        ("process",),
        [((name,), cpu_ns / 1e9) for name, cpu_ns in host["load_cpu_ns"].items()],
    )

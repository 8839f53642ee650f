"""The exporter serves what is seen of one cluster to Prometheus, and goes on when the cluster ends
or is started again. It is a process of its own: the supervisor is asked once a scrape.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterator
from typing import Any, Self

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import Metric
from prometheus_client.exposition import start_http_server
from prometheus_client.registry import Collector

from harness.errors import HarnessError, PermissionNeededError, UnavailableError, UsageError
from harness.monitoring import families
from harness.monitoring.watch import Watch

VERSION = 1


class Families(Collector):
    """What the library asks at each scrape."""

    def __init__(self, watch: Watch) -> None:
        self._watch = watch

    def collect(self) -> Iterator[Metric]:
        """Look, and tell."""
        return families.make(self._watch.look())


class Exporter:
    """Serves at an address until `close`; `port` is where, also if it was asked for any (0)."""

    def __init__(self, cluster: str, bind: str, port: int) -> None:
        """Raises UnavailableError for a port in use, PermissionNeededError for one that only root
        may take, UsageError for an address that is none of this host's.
        """
        self._watch = Watch(cluster)
        registry = CollectorRegistry(auto_describe=False)
        registry.register(Families(self._watch))
        ProcessCollector(registry=registry)
        try:
            self._server, self._thread = start_http_server(port, bind, registry)
        except (OSError, UnicodeError) as error:
            raise _refusal(error, bind, port) from error
        self.port = int(self._server.server_port)

    def close(self) -> None:
        """Stop serving, and end what looks at a verdict."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
        self._watch.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _refusal(error: Exception, bind: str, port: int) -> HarnessError:
    at = f"{bind}:{port}"
    number = getattr(error, "errno", None)
    if number == errno.EADDRINUSE:
        return UnavailableError(
            f"{at} is in use, by another `harness metrics` or another program: --port chooses "
            "another one (0: any that is free)"
        )
    if number == errno.EACCES:
        return PermissionNeededError(f"{at}: only root may take a port below 1024 here")
    if number == errno.EADDRNOTAVAIL or isinstance(error, socket.gaierror | UnicodeError):
        return UsageError(f"--bind {bind}: expected an address of this host, such as 127.0.0.1")
    return UnavailableError(f"{at} cannot be served: {error}")


class Once:
    """One look at a cluster, told as a scrape would be, without the exporter's own process."""

    def __init__(self, cluster: str) -> None:
        watch = Watch(cluster, is_once=True)
        self.families = list(families.make(watch.look()))
        self.refusal = watch.refusal  # why there is no cluster

    def collect(self) -> Iterator[Metric]:
        """What the library asks for."""
        return iter(self.families)

    def as_text(self) -> str:
        """Return Prometheus's own format."""
        return generate_latest(self).decode()

    def as_json(self) -> dict[str, Any]:
        """Return the same as JSON: families by name, each with its samples."""
        return {
            "version": VERSION,
            "families": [
                {
                    "name": family.name,
                    "type": family.type,
                    "help": family.documentation,
                    "samples": [
                        {"name": one.name, "labels": one.labels, "value": one.value}
                        for one in family.samples
                    ],
                }
                for family in self.families
            ],
        }

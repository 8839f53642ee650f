"""Toxiproxy's server: found, built, or taken out of its published image."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from harness.errors import UnavailableError
from harness.runtimes import builds, compiled

IMAGE, IMAGE_VARIABLE = "ghcr.io/shopify/toxiproxy:2.5.0", "HARNESS_TOXIPROXY_IMAGE"

MODULE = "github.com/Shopify/toxiproxy/v2/cmd/server@v2.5.0"

CALL_TIMEOUT_S, START_TIMEOUT_S, END_TIMEOUT_S = 5.0, 10.0, 5.0


def server(progress: Callable[[str], None] = lambda _: None) -> str:
    """Return the server's path: on PATH, or in our cache.

    Where it is in neither, it is put into the cache: built with Go (20 s), or taken out of its
    published image. Raises UnavailableError.
    """
    if (found := find()) is not None:
        return found
    cached = _cached()
    cached.parent.mkdir(parents=True, exist_ok=True)
    refused = []
    for make in (_build, _take):
        try:
            make(cached, progress)
            return str(cached)
        except UnavailableError as error:
            refused.append(str(error))
    raise UnavailableError(
        "faults of streams need Toxiproxy's server (toxiproxy-server on PATH), and it could not "
        f"be had: {'; '.join(refused)}"
    )


def find() -> str | None:
    """Find the server on PATH or in our cache; None where it is in neither. Makes nothing."""
    cached = _cached()
    return shutil.which("toxiproxy-server") or (str(cached) if cached.is_file() else None)


def _cached() -> Path:
    return compiled.cache() / "toxiproxy-server"


def _build(cached: Path, progress: Callable[[str], None]) -> None:
    build = builds.Build(tool="go", source=MODULE, program="toxiproxy-server")
    if shutil.which(build.tool) is not None:
        progress("building Toxiproxy's server with Go, about 20 s")
    builds.into(build, cached)


def _take(cached: Path, progress: Callable[[str], None]) -> None:
    from harness.runtimes.docker.engine import connect  # the SDK only where it is needed

    with closing(connect()) as engine:
        program = engine.program(os.environ.get(IMAGE_VARIABLE) or IMAGE, progress)
    made = cached.with_suffix(".new")
    made.write_bytes(program)
    made.chmod(0o755)
    made.replace(cached)

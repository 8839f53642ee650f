"""The Docker SDK's errors, turned into ours. This folder is the SDK's only home."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager

import docker.errors
import requests

from harness.errors import UnavailableError


def knock(host: str) -> None:
    """Check that the engine's socket is open before the SDK tries: where it is not, the SDK leaks
    its own and names no cause.
    """
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(host.removeprefix("unix://"))
        except OSError as error:
            raise UnavailableError(
                f"no Docker engine answers at {host}: {error.strerror or error}; is dockerd "
                "running?"
            ) from error


@contextmanager
def translated(what: str) -> Iterator[None]:
    """Turn the SDK's errors into UnavailableError, with the engine's own words."""
    try:
        yield
    except docker.errors.APIError as error:
        raise UnavailableError(
            f"the Docker engine could not {what}: {error.explanation or error}"
        ) from error
    except (docker.errors.DockerException, requests.RequestException) as error:
        raise UnavailableError(f"the Docker engine could not {what}: {error}") from error

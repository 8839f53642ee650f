"""A Docker engine of this host, as far as the docker runtime uses it."""

from __future__ import annotations

import io
import os
import resource
import tarfile
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from functools import partial
from pathlib import Path
from typing import Any

import docker
import docker.errors
import docker.types
import requests

from harness.errors import HarnessError, PermissionNeededError, UnavailableError
from harness.runtimes import processes, resident
from harness.runtimes.docker import entry, image
from harness.runtimes.docker.labels import LABEL
from harness.runtimes.docker.sdk import knock, translated
from harness.runtimes.runtime import Image, Recipe

DEFAULT_HOST = "unix:///var/run/docker.sock"
BASE_IMAGE = "python:3.12-slim"  # of docker/meshnode/Dockerfile
CONNECT_TIMEOUT_S = 5
REGISTRY_TIMEOUT_S = 3
ENGINE_TIMEOUT_S = 300
THREADS = 4  # on two cores more only wait for each other
NOFILE_MAX = 20_000


def connect() -> Engine:
    """Connect to the engine of this host.

    Raises PermissionNeededError without root, UnavailableError where there is no engine, or it runs
    elsewhere.
    """
    host = os.environ.get("DOCKER_HOST") or DEFAULT_HOST
    if not host.startswith("unix://"):
        raise UnavailableError(
            f"DOCKER_HOST is {host}: expected an engine on this host (unix://…), whose network "
            "can be wired from here"
        )
    if os.geteuid() != 0:
        raise PermissionNeededError(
            "the docker runtime needs root: it wires the containers' network itself; `--runtime "
            "netns` does not"
        )
    knock(host)
    with (
        translated(f"be reached at {host}"),
        closing(
            docker.APIClient(base_url=host, version="auto", timeout=CONNECT_TIMEOUT_S)
        ) as asking,
    ):
        facts = asking.info()
    here = os.uname()
    elsewhere = (facts.get("KernelVersion"), facts.get("Name")) != (here.release, here.nodename)
    if elsewhere or any("rootless" in option for option in facts.get("SecurityOptions") or ()):
        raise UnavailableError(
            f"the engine at {host} runs on {facts.get('Name')} ({facts.get('OperatingSystem')}, "
            f"kernel {facts.get('KernelVersion')}); "
            f"expected one of root on this very host, {here.nodename} (kernel {here.release})"
        )
    with translated(f"be reached at {host}"):
        return Engine(
            docker.APIClient(
                base_url=host, version="auto", timeout=ENGINE_TIMEOUT_S, num_pools=THREADS
            ),
            host,
        )


class Engine:
    """A Docker engine, with its errors as UnavailableError."""

    def __init__(self, client: Any, host: str) -> None:
        self._client = client
        self._host = host

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def versions(self) -> dict[str, str]:
        """Ask for the versions of the engine and its parts: ``engine``, ``containerd``,
        ``runc``.
        """
        with translated("say its version"):
            components = {
                part["Name"].lower(): part["Version"]
                for part in self._client.version().get("Components", ())
            }
        return {
            "engine": components.get("engine", "unknown"),
            **{n: components[n] for n in ("containerd", "runc") if n in components},
        }

    def create(
        self,
        name: str,
        image_id: str,
        argv: Sequence[str],
        *,
        labels: Mapping[str, str],
        environment: Mapping[str, str],
        mounts: Mapping[Path, bool],
        directory: Path | None = None,
        joins: str | None = None,
        user: str | None = None,
    ) -> str:
        """Make a container without starting it; returns its id.

        `mounts`: path (the same inside) → whether the container may write it. `joins`: another
        container, in whose network it starts; otherwise it starts in the host's, with the right to
        leave it.
        """
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        limit = NOFILE_MAX if hard == resource.RLIM_INFINITY else min(NOFILE_MAX, hard)
        with translated(f"make the container {name}"):
            settings = self._client.create_host_config(
                network_mode=f"container:{joins}" if joins else "host",
                cap_add=None if joins else ["SYS_ADMIN"],
                mounts=[
                    docker.types.Mount(str(path), str(path), "bind", read_only=not write)
                    for path, write in mounts.items()
                ],
                ulimits=[docker.types.Ulimit(name="nofile", soft=limit, hard=limit)],
                log_config=docker.types.LogConfig(
                    type="json-file"
                ),  # `docker logs` has the helper's and the zygote's words
            )
            made = self._client.create_container(
                image_id,
                entrypoint=list(argv[:1]),
                command=list(argv[1:]),
                name=name,
                labels=dict(labels),
                environment=dict(environment),
                host_config=settings,
                working_dir=str(directory) if directory else None,
                user=user,
            )
        return str(made["Id"])

    def start(self, container: str, name: str, *, again: bool = False) -> entry.Container:
        """Start a container; `again` waits first until the engine has noticed that it ended."""
        with translated(f"start the container {name}"):
            if again:
                self._client.wait(
                    container, condition="not-running", timeout=resident.KILL_TIMEOUT_S
                )
            started_s = time.time()
            self._client.start(container)
        return entry.Container(
            id=container,
            name=name,
            started_s=started_s,
            is_running=partial(self._is_running, container),
            said=partial(self._said, container),
        )

    def identity(self) -> str:
        """Ask for what no other engine is called."""
        with translated("say who it is"):
            return str(self._client.info()["ID"])

    def inspect(self, container: str) -> dict[str, Any]:
        """Look at a container, which is told by its id or its name, as ``docker inspect`` does."""
        with translated(f"look at the container {container}"):
            return dict(self._client.inspect_container(container))

    def digests(self, image_id: str) -> list[str]:
        """List the digests by which registries know an image; none where it came from none, or is
        here no more.
        """
        with translated("look at an image"), suppress(docker.errors.ImageNotFound):
            return list(self._client.inspect_image(image_id)["RepoDigests"] or ())
        return []

    def pid(self, container: str) -> int:
        """Look up the first process of a container as this host sees it; 0 where it has ended."""
        return int(self.inspect(container)["State"]["Pid"])

    def kill(self, container: str) -> None:
        """End a container at once, and leave it."""
        with translated(f"end the container {container[:12]}"):
            self._client.kill(container)

    def exit_code(self, container: str) -> int:
        """Wait until the engine knows how a container's process ended; 128 + n may mean by signal
        n. Raises UnavailableError where that takes too long.
        """
        with translated("wait for a container"):
            done = self._client.wait(
                container, condition="not-running", timeout=resident.KILL_TIMEOUT_S
            )
            return int(done["StatusCode"])

    def changes(self, container: str) -> list[str]:
        """List the files that a container has added to its image or changed of it."""
        with translated("look at a container's files"):
            found = {str(one["Path"]) for one in self._client.diff(container) or ()}
        # A folder is listed where anything in it is; and so are the points of its mounts.
        return sorted(
            one for one in found if not any(other.startswith(f"{one}/") for other in found)
        )

    def copy_output(self, container: str, descriptor: int, since_s: float) -> None:
        """Copy what a container writes from `since_s` (Unix time) on, until it ends; then close the
        descriptor. Raises UnavailableError where it cannot; the last line says so too.
        """
        with open(descriptor, "wb", buffering=0) as log:
            try:
                with translated("follow a container's output"):
                    wanted = {"stream": True, "follow": True, "since": since_s}
                    for chunk in self._client.logs(container, **wanted):
                        log.write(chunk)
            except HarnessError as error:
                with suppress(OSError):
                    log.write(f"harness: {error}\n".encode())
                raise

    def _is_running(self, container: str) -> bool:
        return bool(self.inspect(container)["State"]["Running"])

    def _said(self, container: str) -> str:
        with translated("show a container's output"):
            return str(
                self._client.logs(container, tail=processes.LAST_LINES).decode("utf-8", "replace")
            ).strip()

    def containers(self, labels: Mapping[str, str]) -> dict[str, tuple[str, str]]:
        """List the containers with all these labels, running or not: id → (name, cluster)."""
        wanted = [f"{key}={value}" for key, value in labels.items()]
        with translated("list containers"):
            found = self._client.containers(all=True, filters={"label": wanted})
        return {
            one["Id"]: (one["Names"][0].lstrip("/"), one["Labels"][LABEL])
            for one in found
            if one["Names"]
        }

    def sweep(self, labels: Mapping[str, str]) -> list[str]:
        """Kill and remove the containers with all these labels, many at once; returns their
        names.
        """
        removed: list[str] = []
        # Again: a start that was under way may have added one.
        while found := self.containers(labels):
            with ThreadPoolExecutor(THREADS) as pool:
                list(pool.map(self.remove, found))
            removed += sorted(name for name, _ in found.values())
        return removed

    def remove(self, container: str) -> None:
        """Kill and remove a container; nothing happens where it is gone."""
        with translated(f"remove the container {container[:12]}"):
            try:
                self._client.remove_container(container, force=True, v=True)
            except docker.errors.NotFound:
                pass
            except docker.errors.APIError as error:
                if (
                    error.status_code != 409
                ):  # "removal … is already in progress": by another hand, and as good
                    raise
                self._client.wait(container, condition="removed", timeout=resident.KILL_TIMEOUT_S)

    def image(self, wanted: Image, progress: Callable[[str], None]) -> dict[str, str]:
        """Make or fetch an image where it is missing; returns ``image`` (reference), ``image_id``
        and ``image_origin``.
        """
        given = wanted.recipe is Recipe.REFERENCE
        reference, origin = (wanted.name if given else image.tag(wanted)), "local"
        if not self._has(reference):
            if given:
                if not self._registry_has(reference, progress):
                    raise UnavailableError(
                        f"the image {reference} is not on this host, and no registry that has it "
                        f"answered in {REGISTRY_TIMEOUT_S} s"
                    )
                origin = "pulled"
                with translated(f"pull {reference}"):
                    self._client.pull(reference)
            elif (
                wanted.recipe is Recipe.PYTHON
                and self._registry_has(BASE_IMAGE, progress)
                and self._build(wanted.name, reference, progress)
            ):
                origin = "built"
            else:
                origin = (
                    "made from this host's Python"
                    if wanted.recipe is Recipe.PYTHON
                    else "made from this host's program"
                )
                self._import(wanted, reference, progress)
        with translated(f"look at the image {reference}"):
            return {
                "image": reference,
                "image_id": self._client.inspect_image(reference)["Id"],
                "image_origin": origin,
            }

    def program(self, reference: str, progress: Callable[[str], None]) -> bytes:
        """Read the file that an image starts, fetched where it is missing; no container of it ever
        runs.
        """
        found = self.image(Image(reference, Recipe.REFERENCE), progress)
        with translated(f"take the program out of {reference}"):
            entrypoint = self._client.inspect_image(found["image_id"])["Config"]["Entrypoint"]
            if not entrypoint:
                raise UnavailableError(f"the image {reference} names no program that it starts")
            made = self._client.create_container(found["image_id"])
            try:
                chunks, _ = self._client.get_archive(made["Id"], entrypoint[0])
                with tarfile.open(fileobj=io.BytesIO(b"".join(chunks))) as archive:
                    member = archive.extractfile(archive.getmembers()[0])
                    assert member is not None
                    return member.read()
            finally:
                self._client.remove_container(made["Id"])

    def _has(self, reference: str) -> bool:
        with translated(f"look for the image {reference}"):
            try:
                self._client.inspect_image(reference)
            except docker.errors.ImageNotFound:
                return False
        return True

    def _registry_has(self, reference: str, progress: Callable[[str], None]) -> bool:
        progress(f"asking a registry for {reference}, at most {REGISTRY_TIMEOUT_S} s")
        try:
            with closing(
                docker.APIClient(base_url=self._host, version="auto", timeout=REGISTRY_TIMEOUT_S)
            ) as asking:
                asking.inspect_distribution(reference)
        except (docker.errors.DockerException, requests.RequestException):
            return False
        return True

    def _build(self, name: str, reference: str, progress: Callable[[str], None]) -> bool:
        progress(f"building {reference} on {BASE_IMAGE}")
        try:
            with tempfile.TemporaryFile() as context, translated("build the image"):
                context.write(image.build_context(name))
                context.seek(0)
                for line in self._client.build(
                    fileobj=context,
                    custom_context=True,
                    tag=reference,
                    rm=True,
                    forcerm=True,
                    decode=True,
                    buildargs={"BASE": BASE_IMAGE},
                ):
                    if "error" in line:
                        raise UnavailableError(
                            f"the image could not be built: {line['error'].strip()}"
                        )
        except HarnessError as error:
            progress(f"{error}; making one from this host's Python instead")
            return False
        return True

    def _import(self, wanted: Image, reference: str, progress: Callable[[str], None]) -> None:
        changes = [f"ENV {key}={value}" for key, value in image.ENVIRONMENT.items()]
        repository, tag = reference.split(":")
        with tempfile.TemporaryDirectory() as scratch, translated(f"import the image {reference}"):
            root = Path(scratch) / "root.tar"
            image.write_root(wanted, root, Path(scratch), progress)
            progress(f"importing {root.stat().st_size / 1e6:.0f} MB as {reference}")
            with root.open("rb") as data:
                # Chunks, no file: of a file requests tells the length, while the SDK promises
                # chunks.
                chunks = iter(partial(data.read, 1 << 20), b"")
                said = self._client.import_image_from_stream(
                    chunks, repository=repository, tag=tag, changes=changes
                )
        if '"error"' in str(said):
            raise UnavailableError(
                f"the Docker engine could not import the image {reference}: {said}"
            )

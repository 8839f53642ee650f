"""Nodes as containers, on prepared namespaces and without Docker's networking. The only home of the Docker SDK.

A container starts in the host's network, which costs the engine nothing, and the helper in it (entry.py) enters the
node's namespace before the node's program runs. With many nodes, ten share a container: its program is a zygote.
"""

from __future__ import annotations

import os
import resource
import shutil
import socket
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import docker
import docker.errors
import docker.types
import requests

from harness.errors import HarnessError, PermissionNeededError, UnavailableError
from harness.ports import Image, Place, Process, Recipe, Running
from harness.runtime import entry, image, processes, zygote
from harness.runtime.zygote import Zygote

LABEL = "p2p-harness.cluster"
STATE_LABEL = "p2p-harness.state"   # the folder of all clusters that this one stands in: its doctor may remove it, no other's
DEFAULT_HOST = "unix:///var/run/docker.sock"
BASE_IMAGE = "python:3.12-slim"     # of docker/meshnode/Dockerfile
CONNECT_TIMEOUT_S = 5
REGISTRY_TIMEOUT_S = 3
ENGINE_TIMEOUT_S = 300
THREADS = 4                         # on two cores more only wait for each other
NOFILE_MAX = 20_000
NODES_A_CONTAINER = 10
PACKED_ABOVE = 100


def connect() -> Engine:
    """The engine of this host. Raises PermissionNeededError without root, UnavailableError where there is none, or it is elsewhere."""
    host = os.environ.get("DOCKER_HOST") or DEFAULT_HOST
    if not host.startswith("unix://"):
        raise UnavailableError(f"DOCKER_HOST is {host}: expected an engine on this host (unix://…), whose network can be wired from here")
    if os.geteuid() != 0:
        raise PermissionNeededError("the docker runtime needs root: it wires the containers' network itself; `--runtime netns` does not")
    _knock(host)
    with (
        _translated(f"be reached at {host}"),
        closing(docker.APIClient(base_url=host, version="auto", timeout=CONNECT_TIMEOUT_S)) as asking,
    ):
        facts = asking.info()
    here = os.uname()
    elsewhere = (facts.get("KernelVersion"), facts.get("Name")) != (here.release, here.nodename)
    if elsewhere or any("rootless" in option for option in facts.get("SecurityOptions") or ()):
        raise UnavailableError(
            f"the engine at {host} runs on {facts.get('Name')} ({facts.get('OperatingSystem')}, kernel {facts.get('KernelVersion')}); "
            f"expected one of root on this very host, {here.nodename} (kernel {here.release})"
        )
    with _translated(f"be reached at {host}"):
        return Engine(docker.APIClient(base_url=host, version="auto", timeout=ENGINE_TIMEOUT_S, num_pools=THREADS), host)


def _knock(host: str) -> None:
    """See that somebody listens, before the SDK tries: where nobody does, it leaks its socket and names no cause."""
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(host.removeprefix("unix://"))
        except OSError as error:
            raise UnavailableError(f"no Docker engine answers at {host}: {error.strerror or error}; is dockerd running?") from error


@contextmanager
def _translated(what: str) -> Iterator[None]:
    """The SDK's errors as ours, with the engine's own words."""
    try:
        yield
    except docker.errors.APIError as error:
        raise UnavailableError(f"the Docker engine could not {what}: {error.explanation or error}") from error
    except (docker.errors.DockerException, requests.RequestException) as error:
        raise UnavailableError(f"the Docker engine could not {what}: {error}") from error


class Engine:
    """What we ask of a Docker engine, with its errors translated to UnavailableError."""

    def __init__(self, client: Any, host: str) -> None:
        self._client = client
        self._host = host

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def versions(self) -> dict[str, str]:
        """Of the engine and its parts, by name: ``engine``, ``containerd``, ``runc``."""
        with _translated("say its version"):
            components = {part["Name"].lower(): part["Version"] for part in self._client.version().get("Components", ())}
        return {"engine": components.get("engine", "unknown"), **{n: components[n] for n in ("containerd", "runc") if n in components}}

    def create(
        self, name: str, image_id: str, argv: Sequence[str], *, labels: Mapping[str, str], environment: Mapping[str, str],
        mounts: Mapping[Path, bool],
    ) -> str:
        """A container that has not started; `mounts`: path (the same inside) → whether it may be written. Returns its id."""
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        limit = NOFILE_MAX if hard == resource.RLIM_INFINITY else min(NOFILE_MAX, hard)
        with _translated(f"make the container {name}"):
            settings = self._client.create_host_config(
                network_mode="host", cap_add=["SYS_ADMIN"],
                mounts=[docker.types.Mount(str(path), str(path), "bind", read_only=not write) for path, write in mounts.items()],
                ulimits=[docker.types.Ulimit(name="nofile", soft=limit, hard=limit)],
                log_config=docker.types.LogConfig(type="json-file"),     # `docker logs` has the helper's and the zygote's words
            )
            made = self._client.create_container(
                image_id, entrypoint=list(argv[:1]), command=list(argv[1:]), name=name, labels=dict(labels),
                environment=dict(environment), host_config=settings,
            )
        return str(made["Id"])

    def start(self, container: str, name: str, *, again: bool = False) -> entry.Container:
        """Start a container; `again`: once the engine has noticed that it ended."""
        with _translated(f"start the container {name}"):
            if again:
                self._client.wait(container, condition="not-running", timeout=processes.KILL_TIMEOUT_S)
            self._client.start(container)
        return entry.Container(id=container, name=name, is_running=partial(self._is_running, container), said=partial(self._said, container))

    def _is_running(self, container: str) -> bool:
        with _translated("look at a container"):
            return bool(self._client.inspect_container(container)["State"]["Running"])

    def _said(self, container: str) -> str:
        with _translated("show a container's output"):
            return str(self._client.logs(container, tail=processes.LAST_LINES).decode("utf-8", "replace")).strip()

    def containers(self, wanted: str) -> dict[str, tuple[str, str]]:
        """Id → (name, cluster) of the containers with a label ("key=value"), running or not."""
        with _translated("list containers"):
            found = self._client.containers(all=True, filters={"label": wanted})
        return {one["Id"]: (one["Names"][0].lstrip("/"), one["Labels"][LABEL]) for one in found if one["Names"]}

    def sweep(self, label: str) -> list[str]:
        """Kill and remove the containers of one cluster, in parallel; returns their names."""
        removed: list[str] = []
        while found := self.containers(f"{LABEL}={label}"):            # again: a start that was under way may have added one
            with ThreadPoolExecutor(THREADS) as pool:
                list(pool.map(self._remove, found))
            removed += sorted(name for name, _ in found.values())
        return removed

    def _remove(self, container: str) -> None:
        with _translated(f"remove the container {container[:12]}"):
            try:
                self._client.remove_container(container, force=True, v=True)
            except docker.errors.NotFound:
                pass
            except docker.errors.APIError as error:
                if error.status_code != 409:              # "removal … is already in progress": by another hand, and as good
                    raise
                self._client.wait(container, condition="removed", timeout=processes.KILL_TIMEOUT_S)

    def image(self, wanted: Image, progress: Callable[[str], None]) -> dict[str, str]:
        """``image`` (reference), ``image_id`` and ``image_origin`` of what is wanted, made or fetched where it is missing."""
        given = wanted.recipe is Recipe.REFERENCE
        reference, origin = (wanted.name if given else image.tag(wanted)), "local"
        if not self._has(reference):
            if given:
                if not self._registry_has(reference, progress):
                    raise UnavailableError(f"the image {reference} is not on this host, and no registry that has it answered in {REGISTRY_TIMEOUT_S} s")
                origin = "pulled"
                with _translated(f"pull {reference}"):
                    self._client.pull(reference)
            elif wanted.recipe is Recipe.PYTHON and self._registry_has(BASE_IMAGE, progress) and self._build(wanted.name, reference, progress):
                origin = "built"
            else:
                origin = "made from this host's Python" if wanted.recipe is Recipe.PYTHON else "made from this host's program"
                self._import(wanted, reference, progress)
        with _translated(f"look at the image {reference}"):
            return {"image": reference, "image_id": self._client.inspect_image(reference)["Id"], "image_origin": origin}

    def _has(self, reference: str) -> bool:
        with _translated(f"look for the image {reference}"):
            try:
                self._client.inspect_image(reference)
            except docker.errors.ImageNotFound:
                return False
        return True

    def _registry_has(self, reference: str, progress: Callable[[str], None]) -> bool:
        progress(f"asking a registry for {reference}, at most {REGISTRY_TIMEOUT_S} s")
        try:
            with closing(docker.APIClient(base_url=self._host, version="auto", timeout=REGISTRY_TIMEOUT_S)) as asking:
                asking.inspect_distribution(reference)
        except (docker.errors.DockerException, requests.RequestException):
            return False
        return True

    def _build(self, name: str, reference: str, progress: Callable[[str], None]) -> bool:
        progress(f"building {reference} on {BASE_IMAGE}")
        try:
            with tempfile.TemporaryFile() as context, _translated("build the image"):
                context.write(image.build_context(name))
                context.seek(0)
                for line in self._client.build(
                    fileobj=context, custom_context=True, tag=reference, rm=True, forcerm=True, decode=True, buildargs={"BASE": BASE_IMAGE},
                ):
                    if "error" in line:
                        raise UnavailableError(f"the image could not be built: {line['error'].strip()}")
        except HarnessError as error:
            progress(f"{error}; making one from this host's Python instead")
            return False
        return True

    def _import(self, wanted: Image, reference: str, progress: Callable[[str], None]) -> None:
        changes = [f"ENV {key}={value}" for key, value in image.ENVIRONMENT.items()]
        repository, tag = reference.split(":")
        with tempfile.TemporaryDirectory() as scratch, _translated(f"import the image {reference}"):
            root = Path(scratch) / "root.tar"
            image.write_root(wanted, root, Path(scratch), progress)
            progress(f"importing {root.stat().st_size / 1e6:.0f} MB as {reference}")
            with root.open("rb") as data:
                # Chunks, no file: of a file requests tells the length, while the SDK promises chunks.
                chunks = iter(partial(data.read, 1 << 20), b"")
                said = self._client.import_image_from_stream(chunks, repository=repository, tag=tag, changes=changes)
        if '"error"' in str(said):
            raise UnavailableError(f"the Docker engine could not import the image {reference}: {said}")


class DockerRuntime(processes.HostProcesses):
    """One cluster's nodes in containers of this host's engine. Raises as ports.Runtime says."""

    name = "docker"

    def __init__(
        self, *, label: str, state: Path, packed_above: int = PACKED_ABOVE, nodes_a_container: int = NODES_A_CONTAINER,
    ) -> None:
        """Above `packed_above` nodes, `nodes_a_container` of them share a container."""
        super().__init__(label=label, state=state)
        self._packed_above = packed_above
        self._nodes_a_container = nodes_a_container
        self._engine: Engine | None = None
        self._containers: dict[str, str] = {}           # node → container, where it has one to itself
        self._zygotes: dict[str, Zygote] = {}           # node → its container's zygote, where it shares one
        self._images: dict[Image, dict[str, str]] = {}
        self._facts: dict[str, str] = {}
        self._doors = state / "enter"

    @property
    def _running_engine(self) -> Engine:
        if self._engine is None:
            raise HarnessError("the docker runtime was asked for a node before `start` or after `close`")
        return self._engine

    def start(
        self, launches: Sequence[tuple[Place, Process]], started: Callable[[Running], None], doing: Callable[[str], None] = lambda _: None,
    ) -> None:
        """See ports.Runtime. Where one container fails, none is left."""
        self._engine = self._engine or connect()
        try:
            helper = entry.helper()
            self._doors.mkdir(mode=0o700, exist_ok=True)
            shutil.copy2(helper, self._doors / "enter")
            for wanted in {process.image for _, process in launches}:
                self._images[wanted] = self._engine.image(wanted, doing)
            # What no zygote forks has a container of its own, however many there are.
            packed = len(launches) > self._packed_above and all(process.zygote and not process.pod for _, process in launches)
            each = self._nodes_a_container if packed else 1
            self._facts = {
                **self._engine.versions(), **next(iter(self._images.values()), {}), "nodes_per_container": str(each), "entry": helper.name,
            }
            self._start_parallel(self._jobs(launches, each, started))
        except BaseException:
            self.close()
            raise

    def facts(self) -> Mapping[str, str]:
        """See ports.Runtime: versions, image, and ``nodes_per_container``."""
        return {"runtime": self.name, **self._facts}

    def close(self) -> None:
        """See ports.Runtime."""
        engine, self._engine = self._engine, None
        for one in set(self._zygotes.values()):
            one.close()
        if engine is not None:
            engine.sweep(self.label)
            engine.close()
        self._kill_all()
        self._zygotes.clear()
        self._containers.clear()
        shutil.rmtree(self._doors, ignore_errors=True)

    def _jobs(
        self, launches: Sequence[tuple[Place, Process]], each: int, started: Callable[[Running], None]
    ) -> list[Callable[[], None]]:
        if each == 1:
            return [partial(self._start_alone, place, process, started) for place, process in launches]
        kinds: dict[tuple[Image, tuple[str, ...]], list[tuple[Place, Process]]] = {}
        for place, process in launches:
            kinds.setdefault((process.image, process.zygote), []).append((place, process))
        packs = [kind[at : at + each] for kind in kinds.values() for at in range(0, len(kind), each)]
        return [partial(self._start_pack, number, pack, started) for number, pack in enumerate(packs)]

    def _start_parallel(self, jobs: Sequence[Callable[[], None]]) -> None:
        pool = ThreadPoolExecutor(THREADS, thread_name_prefix="docker")
        try:
            for future in as_completed([pool.submit(job) for job in jobs]):
                future.result()
        finally:
            pool.shutdown(cancel_futures=True)

    def _start_alone(self, place: Place, process: Process, started: Callable[[Running], None]) -> None:
        name = place.node.name
        self._containers[name] = self._create(
            name, process, [str(self._doors / "enter"), str(self._door(name)), *process.argv], [(place, process)]
        )
        started(self._lives(place, process, self._spawn(place, process)))

    def _start_pack(self, number: int, pack: Sequence[tuple[Place, Process]], started: Callable[[Running], None]) -> None:
        name = f"zygote-{number}"
        _, first = pack[0]
        container = self._create(name, first, [*first.zygote, "--connect", str(self._door(name))], pack)
        with entry.Doorway(self._door(name)) as doorway:
            running = self._running_engine.start(container, name)
            connection, _ = doorway.call(running)
        made = Zygote(
            connection, environment={"HARNESS_CLUSTER": self.label, **image.ENVIRONMENT}, container=container,
            last_words=lambda: f"; its container said: {running.said() or 'nothing'}",
        )
        self._zygotes |= {place.node.name: made for place, _ in pack}
        zygote.start_all(
            ((made, place, process) for place, process in pack),
            lambda place, process, running: started(self._lives(place, process, running)),
        )

    def _create(self, name: str, process: Process, argv: Sequence[str], residents: Sequence[tuple[Place, Process]]) -> str:
        mounts = {self._doors: False} | {place.directory: True for place, _ in residents}
        notify = Path(process.environment.get("NOTIFY_SOCKET", ""))
        if notify.is_absolute():          # abstract sockets are reachable without a mount, in the network namespace only
            mounts[notify if notify.parent == self.state else notify.parent] = False
        environment = {"HARNESS_CLUSTER": self.label, **process.environment}
        return self._running_engine.create(
            f"{self.label}-{name}", self._images[process.image]["image_id"], argv, environment=environment, mounts=mounts,
            labels={LABEL: self.label, STATE_LABEL: str(self.state.parent)},
        )

    def _door(self, name: str) -> Path:
        return self._doors / f"{name}.sock"

    def _spawn(self, place: Place, process: Process) -> Running:
        name = place.node.name
        if name in self._zygotes:
            return self._zygotes[name].ask(place, process).result(zygote.ANSWER_TIMEOUT_S)
        with entry.Doorway(self._door(name)) as doorway:
            container = self._running_engine.start(self._containers[name], name, again=name in self._residents)
            return entry.let_in(doorway, container, place)


def leftovers(label: str) -> list[str]:
    """Names of the containers that carry a cluster's label. Raises UnavailableError where no engine answers."""
    engine = connect()
    try:
        return sorted(name for name, _ in engine.containers(f"{LABEL}={label}").values())
    finally:
        engine.close()


def sweep(label: str) -> list[str]:
    """Remove what carries a cluster's label, and nothing else; returns the names. Raises as `leftovers`."""
    engine = connect()
    try:
        return engine.sweep(label)
    finally:
        engine.close()


def orphans(root: Path) -> list[str]:
    """Labels of the clusters below the state folder `root` that have a container. Raises as `leftovers`."""
    engine = connect()
    try:
        return sorted({label for _, label in engine.containers(f"{STATE_LABEL}={root}").values()})
    finally:
        engine.close()

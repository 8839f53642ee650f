"""The image that is made without a registry, run by testcontainers."""

from __future__ import annotations

import contextlib
import io
import os
import socket
import subprocess
import sys
import tarfile
import time
import urllib.request
from pathlib import Path

import docker
import pytest

from harness.errors import UnavailableError
from harness.network.injectors import toxiproxy_server
from harness.runtimes import compiled
from harness.runtimes.docker import engine as engine_module
from harness.runtimes.docker import image as recipe
from harness.runtimes.runtime import Image, Recipe


@pytest.fixture
def container(testcontainer):
    return testcontainer(
        command=["python3", "-c", "import time; time.sleep(1000)"], network_mode="none"
    )


def test_the_image_runs_this_python_and_the_program(container):
    """All that the program requires is inside."""
    names = (
        "meshnode, nacl.signing, uvloop, msgpack, google.protobuf, cryptography.x509, ssl, "
        "asyncio, ctypes"
    )
    code, output = container.exec(["python3", "-c", f"import sys, {names}; print(sys.version)"])
    assert (code, output.decode().strip()) == (0, sys.version)


def test_its_program_answers(container):
    code, output = container.exec(["meshnode", "--help"])
    assert code == 0, output
    assert b"zygote" in output


@pytest.mark.parametrize("shell", ["sh", "/bin/sh", "bash", "/usr/bin/env"])
def test_it_has_no_shell(container, shell):
    code, output = container.exec([shell, "-c", "true"])
    assert code in {126, 127}
    assert b"not found" in output or b"no such file" in output


def test_every_module_it_loads_is_compiled(container):
    code, output = container.exec(
        [
            "python3",
            "-c",
            (
                "import sys, os, asyncio, ssl, nacl.signing, cryptography.x509, "
                "google.protobuf.message\n"
                "print([m.__name__ for m in list(sys.modules.values()) if getattr(m, "
                "'__cached__', None) and not os.path.exists(m.__cached__)])"
            ),
        ]
    )
    assert (code, output.decode().strip()) == (0, "[]")


def test_it_is_found_again_under_its_tag(engine, image):
    said = []
    facts = engine.image(Image("meshnode"), said.append)
    assert facts["image"] == image == recipe.tag(Image("meshnode"))
    assert facts["image_origin"] == "local"
    assert said == []


def test_an_image_that_nobody_has_is_named(engine):
    with pytest.raises(
        UnavailableError, match="p2p-harness/nobody:0 is not on this host, and no registry"
    ):
        engine.image(Image("p2p-harness/nobody:0", Recipe.REFERENCE), print)


def test_the_dockerfile_is_built_with_the_programs_sources(engine, image, sdk, state, monkeypatch):
    """On our own image instead of a registry's: the base is all that differs."""
    dockerfile = state / "docker" / "meshnode" / "Dockerfile"
    dockerfile.parent.mkdir(parents=True)
    dockerfile.write_text(f"FROM {image}\nCOPY src/meshnode /copied\n")
    monkeypatch.setattr(compiled, "shipped", state.joinpath)
    reference = f"p2p-harness/sources-{os.getpid()}:1"
    assert engine._build("meshnode", reference, print)
    try:
        listing = sdk.containers.run(
            reference,
            ["python3", "-c", "import os; print(sorted(os.listdir('/copied')))"],
            network_mode="none",
            remove=True,
        )
        assert b"'__init__.py'" in listing
    finally:
        sdk.images.remove(reference)


@pytest.fixture
def registry(tmp_path):
    """A real registry on loopback, which the engine trusts without TLS: its address."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    settings = tmp_path / "registry.yml"
    settings.write_text(
        f"version: 0.1\nstorage: {{filesystem: {{rootdirectory: {tmp_path}/blobs}}}}\nhttp: "
        f"{{addr: '{address}'}}\nlog: {{level: error}}\n"
    )
    with (tmp_path / "log").open("wb") as log:
        server = subprocess.Popen(
            ["docker-registry", "serve", str(settings)], stdout=log, stderr=log
        )
    try:
        for _ in range(100):
            with (
                contextlib.suppress(OSError),
                urllib.request.urlopen(f"http://{address}/v2/", timeout=5),
            ):
                break
            assert server.poll() is None, (tmp_path / "log").read_text()
            time.sleep(0.1)
        yield address
    finally:
        server.kill()
        server.wait()


@pytest.fixture
def published(registry, image, sdk):
    """Our image in the registry, and no longer here under that name."""
    name = f"{registry}/python"
    assert sdk.images.get(image).tag(name, "3.12-slim")
    said = sdk.images.push(name, "3.12-slim")
    assert "errorDetail" not in said, said
    sdk.images.remove(f"{name}:3.12-slim", noprune=True)
    yield f"{name}:3.12-slim"
    with contextlib.suppress(docker.errors.ImageNotFound):
        sdk.images.remove(f"{name}:3.12-slim", noprune=True)


@pytest.mark.registry
def test_an_image_is_pulled_where_a_registry_has_it(engine, published):
    said = []
    facts = engine.image(Image(published, Recipe.REFERENCE), said.append)
    assert facts["image_origin"] == "pulled"
    assert engine.image(Image(published, Recipe.REFERENCE), said.append)["image_origin"] == "local"
    assert said == [f"asking a registry for {published}, at most 3 s"]


@pytest.mark.registry
@pytest.mark.toxiproxy
def test_toxiproxys_server_comes_out_of_its_image(registry, sdk, tmp_path, monkeypatch):
    """A host without Go gets the server this way."""
    program, reference = Path(toxiproxy_server.server()), f"{registry}/toxiproxy:2.5.0"
    with io.BytesIO() as root:
        with tarfile.open(fileobj=root, mode="w") as archive:
            archive.add(program, "toxiproxy")
        sdk.api.import_image_from_data(
            root.getvalue(),
            repository=f"{registry}/toxiproxy",
            tag="2.5.0",
            changes=['ENTRYPOINT ["/toxiproxy"]'],
        )
    said = sdk.images.push(f"{registry}/toxiproxy", "2.5.0")
    assert "errorDetail" not in said, said
    sdk.images.remove(reference)
    monkeypatch.setenv("PATH", "/usr/sbin:/sbin")  # no Go, no server
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("HARNESS_TOXIPROXY_IMAGE", reference)
    try:
        taken = Path(toxiproxy_server.server(print))
        assert taken == tmp_path / "p2p-harness" / "toxiproxy-server"
        assert taken.read_bytes() == program.read_bytes()
        subprocess.run([taken, "-version"], check=True)
    finally:
        sdk.images.remove(reference)


@pytest.mark.registry
def test_the_base_is_built_upon_where_a_registry_has_it(engine, published, sdk, state, monkeypatch):
    dockerfile = state / "docker" / "meshnode" / "Dockerfile"
    dockerfile.parent.mkdir(parents=True)
    dockerfile.write_text("ARG BASE\nFROM ${BASE}\nCOPY src/meshnode /copied\n")
    reference = f"p2p-harness/base-{os.getpid()}:1"
    monkeypatch.setattr(compiled, "shipped", state.joinpath)
    monkeypatch.setattr(engine_module, "BASE_IMAGE", published)
    monkeypatch.setattr(recipe, "tag", lambda _: reference)
    try:
        facts = engine.image(Image("meshnode"), print)
        assert (facts["image"], facts["image_origin"]) == (reference, "built")
        assert facts["image_id"] == sdk.images.get(reference).id
    finally:
        sdk.images.remove(reference)


def test_a_failed_build_gives_way_to_the_local_image(engine, state, monkeypatch):
    """The user is told of it."""
    dockerfile = state / "docker" / "meshnode" / "Dockerfile"
    dockerfile.parent.mkdir(parents=True)
    dockerfile.write_text("FROM scratch\nCOPY nothing-of-the-kind /\n")
    monkeypatch.setattr(compiled, "shipped", state.joinpath)
    said = []
    assert not engine._build("meshnode", "p2p-harness/never:1", said.append)
    assert "nothing-of-the-kind" in said[-1]
    assert said[-1].endswith("making one from this host's Python instead")

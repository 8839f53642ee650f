"""What goes into an image that is made without a registry."""

from __future__ import annotations

import importlib.metadata
import io
import os
import shutil
import sys
import tarfile
from pathlib import Path

import pytest

from harness.errors import UnavailableError
from harness.runtimes import compiled
from harness.runtimes.docker import image
from harness.runtimes.runtime import Image, Recipe


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("image")
    image.write_root(Image("meshnode"), folder / "root.tar", folder, lambda _: None)
    with tarfile.open(folder / "root.tar") as tar:
        yield tar


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """An installed program ``tinynode`` of one file, with a requirement of each kind."""

    def install(requires=(), source="VALUE = 1\n"):
        package, metadata = tmp_path / "tinynode", tmp_path / "tinynode-1.0.dist-info"
        package.mkdir(exist_ok=True)
        metadata.mkdir(exist_ok=True)
        (package / "__init__.py").write_text(source)
        lines = [
            "Metadata-Version: 2.1",
            "Name: tinynode",
            "Version: 1.0",
            *(f"Requires-Dist: {one}" for one in requires),
        ]
        (metadata / "METADATA").write_text("\n".join(lines) + "\n")
        (metadata / "RECORD").write_text(
            "tinynode/__init__.py,,\ntinynode-1.0.dist-info/METADATA,,\n"
        )
        monkeypatch.syspath_prepend(tmp_path)

    return install


def test_the_closure_has_what_is_required_by_what_is_required():
    found = image.closure("meshnode")
    assert {"meshnode", "pynacl", "cffi", "cryptography", "msgpack", "protobuf", "uvloop"} <= set(
        found
    )
    assert "pytest" not in found


def test_requirements_of_other_systems_are_left_out(installed):
    """Requirements of extras are left out too."""
    installed(
        ['msgpack>=1; extra == "fast"', 'no-such-thing; sys_platform == "win32"', "PyNaCl (>=1.5)"]
    )
    assert sorted(image.closure("tinynode")) == ["cffi", "pycparser", "pynacl", "tinynode"]


def test_a_requirement_that_is_not_installed_is_named(installed):
    installed(["no-such-thing>=2"])
    with pytest.raises(
        UnavailableError,
        match="needs the Python distribution 'no-such-thing', which is not installed here",
    ):
        image.tag(Image("tinynode"))


def test_a_program_that_is_not_installed_is_named():
    with pytest.raises(UnavailableError, match="'nobody-wrote-this'"):
        image.tag(Image("nobody-wrote-this"))


def test_the_tag_follows_the_sources_and_nothing_else(installed):
    installed()
    first = image.tag(Image("tinynode"))
    assert first.startswith("p2p-harness/tinynode:")
    installed()
    assert image.tag(Image("tinynode")) == first
    installed(source="VALUE = 2\n")
    assert image.tag(Image("tinynode")) != first


@pytest.mark.parametrize(
    ("name", "repository"),
    [("_My node+1", "my-node-1"), ("redis-server", "redis-server"), ("+", "program")],
)
def test_a_program_of_any_name_has_a_tag_that_docker_takes(tmp_path, name, repository):
    shutil.copy(shutil.which("true"), tmp_path / name)
    found = image.tag(Image(str(tmp_path / name), Recipe.PROGRAM))
    assert found.startswith(f"p2p-harness/{repository}:")


def test_no_shell_and_no_package_manager_is_inside(root):
    names = set(root.getnames())
    assert not names & {"bin/sh", "bin/bash", "usr/bin/env", "bin/busybox"}
    assert not any("/pip/" in name or "/test/" in name for name in names)


def test_the_program_is_executable(root):
    """Everything belongs to root."""
    assert root.getmember("usr/local/bin/meshnode").mode == 0o755
    assert root.getmember("tmp").mode == 0o1777
    assert {(member.uid, member.gid) for member in root.getmembers()} == {(0, 0)}


def test_every_shared_library_that_an_extension_needs_is_inside(root):
    names = set(root.getnames())
    libraries = [
        name for name in names if "/libc.so" in name or "libcrypto.so" in name or "ld-linux" in name
    ]
    assert len(libraries) >= 3
    assert any(name.startswith("opt/site/nacl/_sodium") for name in names)


def test_every_module_has_a_current_compiled_form(root):
    members = {member.name: member for member in root.getmembers()}
    sources = [
        name for name in members if name.endswith(".py") and name.startswith("opt/site/meshnode/")
    ]
    assert sources
    for name in sources:
        folder, file = os.path.split(name)
        compiled = next(
            m
            for n, m in members.items()
            if n.startswith(f"{folder}/__pycache__/{file[:-3]}.cpython-")
        )
        header = root.extractfile(compiled).read(16)
        assert int.from_bytes(header[8:12], "little") == int(members[name].mtime)


def test_the_build_context_has_the_dockerfile_and_the_sources(tmp_path, monkeypatch):
    dockerfile = tmp_path / "docker" / "meshnode" / "Dockerfile"
    dockerfile.parent.mkdir(parents=True)
    monkeypatch.setattr(compiled, "shipped", tmp_path.joinpath)
    dockerfile.write_text("")
    with pytest.raises(UnavailableError, match="Dockerfile is empty"):
        image.build_context("meshnode")
    dockerfile.write_text("FROM scratch\n")
    with tarfile.open(fileobj=io.BytesIO(image.build_context("meshnode"))) as tar:
        assert {"Dockerfile", "src/meshnode/__init__.py"} <= set(tar.getnames())
        assert not any("__pycache__" in name for name in tar.getnames())


def test_a_distribution_that_lists_no_files_is_named(monkeypatch):
    monkeypatch.setattr(importlib.metadata.Distribution, "files", None)
    with pytest.raises(
        UnavailableError, match="does not say which files it has; install it with pip or uv"
    ):
        image._site("meshnode")


@pytest.mark.parametrize("python", ["python3", "/usr/bin/python3"])
def test_a_program_that_is_python_has_its_standard_library(tmp_path, python):
    """It ended with "No module named 'encodings'"."""
    program = sys._base_executable if python == "python3" else python
    if not Path(program).is_file():
        pytest.skip(f"there is no {program}")
    made = Image(program, Recipe.PROGRAM)
    image.write_root(made, tmp_path / "r.tar", tmp_path, lambda _: None)
    with tarfile.open(tmp_path / "r.tar") as tar:
        names = tar.getnames()
    assert any(name.endswith("/encodings/__init__.py") for name in names)
    assert any("/lib-dynload/_ssl" in name for name in names)
    assert not any("/site-packages/" in name or "/test/" in name for name in names)

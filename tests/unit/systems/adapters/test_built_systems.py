"""Command files whose program is built: what they may say, and the one that comes along."""

from __future__ import annotations

import re

import pytest

from harness.errors import BadFileError, UnavailableError
from harness.experiments import run, validation
from harness.operations import Operation
from harness.runtimes.builds import Build
from harness.scenario import shipped
from harness.systems import adapters
from harness.systems.adapter import BuiltAdapter
from harness.systems.adapters import command_file

FILE = """
[start]
argv = ["mynode", "{peers}"]
build = BUILD
[ready]
tcp = "127.0.0.1:7000"
[send.dht_get]
http = "x"
"""
FILE = FILE.replace('http = "x"', 'http = { url = "http://127.0.0.1:7000/{key}" }')


LOCK = """
[[package]]
name = "mynode"
[[package]]
name = "tokio"
source = "registry"
"""


@pytest.fixture
def read(tmp_path):
    (tmp_path / "crate").mkdir()
    (tmp_path / "crate" / "Cargo.toml").touch()
    (tmp_path / "crate" / "Cargo.lock").write_text(LOCK)

    def read(build: str, old: str = "", new: str = "") -> command_file.CommandFile:
        path = tmp_path / "mynode.toml"
        path.write_text(FILE.replace("BUILD", build).replace(old, new))
        return command_file.read(path)

    return read


@pytest.fixture
def bare(tmp_path, monkeypatch):
    """A host on which nothing was built, and no tool is."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def test_a_crate_beside_the_file_or_a_module_of_go(read, tmp_path):
    crate = str(tmp_path / "crate")
    built = read('{ cargo = "crate" }').start.build
    assert built == Build(tool="cargo", source=crate, program="mynode")
    built = read('{ go = "example.org/mynode@v1.0.0" }').start.build
    assert built == Build(tool="go", source="example.org/mynode@v1.0.0", program="mynode")


@pytest.mark.parametrize(
    ("build", "says"),
    [
        ("{}", "start.build: expected exactly one of cargo, go; found none"),
        ('{ cargo = "crate", go = "m@v1" }', "exactly one of cargo, go; found cargo, go"),
        ('{ make = "crate" }', "start.build: expected exactly one of cargo, go; found none"),
        ('{ cargo = "elsewhere" }', "start.build.cargo: there is no file"),
        ('{ go = "example.org/mynode" }', "start.build.go: expected MODULE@VERSION, found"),
        ('{ go = "example.org/mynode@latest" }', "found 'example.org/mynode@latest'; a version is"),
        ('{ go = "example.org/mynode@v1" }', "a version is exact, such as"),
        ("{ cargo = 1 }", "start.build.cargo: expected text"),
        ('"crate"', "start.build: expected a table"),
    ],
)
def test_what_is_wrong_is_said(read, build, says):
    with pytest.raises(BadFileError, match=re.escape(says)):
        read(build)


@pytest.mark.parametrize(
    ("old", "new"), [('"mynode"', '"./mynode"'), ("[ready]", 'image = "mine:1"\n[ready]')]
)
def test_what_is_built_is_a_program_by_its_name_and_no_image(read, old, new):
    with pytest.raises(BadFileError, match=r"start\.build: expected start\.argv to begin with"):
        read('{ cargo = "crate" }', old, new)


def test_what_lies_outside_of_the_crate_could_change_unseen(read, tmp_path):
    """The program of before would be run, and nobody would know."""
    (tmp_path / "crate" / "Cargo.lock").write_text(LOCK + '[[package]]\nname = "mine"\n')
    with pytest.raises(BadFileError, match=r"come from a registry; found 2 .* \(mynode, mine\)"):
        read('{ cargo = "crate" }')
    (tmp_path / "crate" / "Cargo.lock").write_text("[package")
    with pytest.raises(BadFileError, match=r"Cargo\.lock cannot be read"):
        read('{ cargo = "crate" }')


def test_a_shipped_system_may_be_a_command_file():
    libp2p = adapters.named("libp2p")
    assert isinstance(libp2p, BuiltAdapter)
    assert libp2p.name == libp2p.budget == "libp2p"
    assert not adapters.is_foreign("libp2p")
    assert libp2p.operations == set(command_file.OPERATIONS) - {Operation.CONNECT}
    assert Operation.BROADCAST in libp2p.operations
    assert libp2p.side_by_side == libp2p.operations  # by HTTP
    assert libp2p.given_up == {Operation.PRIVATE_MESSAGE}  # request-response
    assert libp2p.unpromised == {"broadcast": ("at most once",)}  # gossipsub


def test_nats_is_built_of_one_version_and_at_most_once():
    nats = adapters.named("nats")
    assert isinstance(nats, BuiltAdapter)
    assert nats.operations == {Operation.PRIVATE_MESSAGE, Operation.BROADCAST}
    assert nats.unpromised == dict.fromkeys(("private_message", "broadcast"), ("at most once",))
    assert nats.side_by_side == frozenset()  # by lines of one connection
    build = command_file.read(shipped.root() / "systems" / "nats.toml").start.build
    assert (build.tool, build.program) == ("go", "nats-server")
    assert build.source.startswith("github.com/nats-io/nats-server/v2@v2.")


@pytest.mark.usefixtures("bare")
def test_check_says_that_it_could_not_be_built_and_builds_nothing(tmp_path):
    file = shipped.root() / "systems" / "libp2p.toml"
    with pytest.raises(UnavailableError, match="cargo, which builds it, is not here: install Rust"):
        validation.validate(file)
    assert not (tmp_path / "cache").exists()


def test_check_is_content_with_what_can_be_built(bare, tmp_path):
    for name in ("cargo", "rustc"):
        (tmp_path / name).touch(0o755)
    file = shipped.root() / "systems" / "libp2p.toml"
    assert "libp2p can do broadcast" in validation.validate(file).sentence
    assert not (tmp_path / "cache").exists()


@pytest.mark.usefixtures("bare")
def test_up_wants_the_program_before_anything_starts(tmp_path, monkeypatch):
    monkeypatch.setenv("HARNESS_STATE", str(tmp_path / "state"))
    with pytest.raises(UnavailableError, match="libp2p-node is not on PATH or in our cache"):
        run.up(shipped.find("cluster-10", "topologies"), system="libp2p", runtime_name="netns")
    assert not (tmp_path / "state").exists()

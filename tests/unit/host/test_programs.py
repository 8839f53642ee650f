"""What README says is needed stands in `harness capabilities`, with what it is for and how to get
it.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from harness.host import capabilities, programs
from harness.systems.adapters import command_file

ROOT = Path(__file__).parents[3]
README = (ROOT / "README.md").read_text()
NEEDS = README.split("## What it needs")[1].split("\n## ")[0]
# Word of README → the capability that says whether it is here.
NAMED = {
    "user namespaces": "user namespaces",
    "C compiler": "C compiler",
    "Docker": "docker",
    "libnftables": "nftables",
    "iptables": "iptables",
    "Toxiproxy": "Toxiproxy",
    "Go": "go",
    "netem": "netem",
    "qemu-system-x86": "QEMU",
    "busybox-static": "busybox",
    "kmod": "kmod",
    "dhtnode": "dhtnode",
    "serf": "serf",
    "cargo": "cargo",
    "nats-server": "nats-server",
    "curl": "curl",
    "Chromium": "Chromium",
    "Prometheus": "Prometheus",
}


@pytest.fixture(scope="module")
def found():
    return {one.name: one for one in capabilities.probe().capabilities}


@pytest.mark.parametrize("word", NAMED)
def test_what_readme_names_is_probed(found, word):
    assert re.search(rf"\b{re.escape(word)}\b", NEEDS), f"README names {word} no more"
    assert NAMED[word] in found


def test_each_says_what_it_is_for_and_how_to_get_it(found):
    assert [one.name for one in found.values() if not (one.needed_for and one.get)] == []


def test_nothing_is_here_where_the_path_is_empty(monkeypatch, tmp_path):
    """And none of them is fetched or built by looking."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    found = programs.found()
    assert found["Toxiproxy"] == (False, "no toxiproxy-server on PATH or in our cache")
    assert found["Chromium"] == (False, "no chromium on PATH")
    assert not (tmp_path / "cache").exists()


def test_what_a_shipped_system_has_built_is_found_in_the_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert programs.found()["nats-server"] == (False, "no nats-server on PATH or in our cache")
    build = command_file.read(ROOT / "systems" / "nats.toml").start.build
    build.cached.parent.mkdir()
    build.cached.touch()
    assert programs.found()["nats-server"] == (True, str(build.cached))


def test_toxiproxy_is_found_in_the_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    server = tmp_path / "p2p-harness" / "toxiproxy-server"
    server.parent.mkdir()
    server.touch()
    assert programs.found()["Toxiproxy"] == (True, str(server))

"""The Compose file of the monitoring, as Compose reads it: none of its images can be had here."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FILE = ROOT / "docker" / "monitoring" / "compose.yaml"


def lint(*files):
    return subprocess.run(
        [ROOT / "scripts" / "lint_compose", *files], capture_output=True, text=True, check=False
    )


@pytest.mark.go
def test_the_monitoring_is_good_and_what_it_mounts_is_there():
    done = lint()
    assert done.returncode == 0, done.stderr
    model = json.loads(done.stdout)
    services = model["services"]
    assert set(services) == {"grafana", "prometheus"} >= set(services["grafana"]["depends_on"])
    volumes = [one for service in services.values() for one in service["volumes"]]
    mounted = [Path(one["source"]) for one in volumes if one["type"] == "bind"]
    assert len(mounted) == 4
    assert [one for one in mounted if not one.exists()] == []
    assert all(one.get("read_only") for one in volumes if one["type"] == "bind")
    assert {one["source"] for one in volumes if one["type"] == "volume"} == set(model["volumes"])


@pytest.mark.go
@pytest.mark.parametrize(
    ("word", "wrong", "says"),
    [
        ("network_mode:", "network_mod:", "network_mod is not allowed"),
        ("restart: unless-stopped", "restart: 7", "restart must be a string"),
        ("image: docker.io/prom", "  image: docker.io/prom", "yaml"),
    ],
)
def test_a_bad_one_is_found(tmp_path, word, wrong, says):
    bad = tmp_path / "compose.yaml"
    assert word in FILE.read_text()
    bad.write_text(FILE.read_text().replace(word, wrong, 1))
    done = lint(bad)
    assert done.returncode == 1
    assert says in done.stderr

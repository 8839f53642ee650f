"""What commands say at their end: of what is there, in plain words."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from harness.cli import cluster, main
from harness.control import state


@pytest.mark.parametrize(
    ("names", "said"), [(["a"], "1 cluster lives in "), ([], "0 clusters live")]
)
def test_clusters_are_counted(monkeypatch, tmp_path, names, said):
    monkeypatch.setenv("HARNESS_STATE", str(tmp_path))
    monkeypatch.setattr(state, "clusters", lambda: names)
    monkeypatch.setattr(state, "is_alive", lambda _: True)
    found = CliRunner().invoke(main, ["clusters"])
    assert found.output.splitlines()[-1].startswith(said)


def test_after_up_comes_what_works_in_this_folder(tmp_path):
    """Without its configuration Locust says that it cannot find a locustfile."""
    assert cluster._next(tmp_path) == "harness init && locust"
    (tmp_path / "locust.conf").touch()
    assert cluster._next(tmp_path) == "locust"

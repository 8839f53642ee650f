"""A command file to begin with: it is good as it is written, and nothing is overwritten."""

from __future__ import annotations

import json
import os
import re
import tomllib

import pytest
from click.testing import CliRunner

from harness.cli import main
from harness.errors import UsageError
from harness.experiments import validation
from harness.runtimes import compiled
from harness.systems import adapters, example
from harness.systems.adapters import command_file


def init(*words: str):
    return CliRunner().invoke(main, ["init", *words])


def test_check_is_content_with_what_is_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = init("--system", "my-node")
    assert done.exit_code == 0, done.output
    assert "Next: harness check my-node.toml" in done.output
    assert sorted(path.name for path in tmp_path.iterdir()) == ["my-node.toml", "tinynode.py"]
    said = CliRunner().invoke(main, ["check", "my-node.toml"])
    assert said.exit_code == 0, said.output
    assert "a good system: my-node can do broadcast, dht_get, dht_put, private_message" in (
        said.output
    )
    found = json.loads(init("other", "--system", "my-node", "--json").output)
    assert found["files"] == ["other/my-node.toml", "other/tinynode.py"]


def test_every_key_that_is_commented_out_is_one(tmp_path):
    """What a user takes the comment sign from is good, but for programs that are not here."""
    file, node = example.write("mine", tmp_path)
    text = file.read_text()
    tables = re.sub(r"^# (?=(\[|[a-z_]+ = ))", "", text, flags=re.MULTILINE)
    assert tables.count("\n#") < text.count("\n#") - 15
    assert "[secrets]" in tables
    file.write_text(tables)
    command_file.read(file)
    assert node.exists()
    assert {key for key in tomllib.loads(tables) if key not in tomllib.loads(text)} == {
        "budget",
        "exempt",
        "metrics",
        "secrets",
    }


def test_a_file_that_is_there_is_never_overwritten(tmp_path):
    (tmp_path / "mine.toml").write_text("precious")
    with pytest.raises(UsageError, match=r"mine\.toml exists already; .*: nothing was written"):
        example.write("mine", tmp_path)
    assert [path.read_text() for path in tmp_path.iterdir()] == ["precious"]
    (tmp_path / "tinynode.py").write_text("precious too")
    with pytest.raises(UsageError, match=r"tinynode\.py exists already"):
        example.write("other", tmp_path)
    assert not (tmp_path / "other.toml").exists()


def test_the_system_under_test_is_none_that_is_written(tmp_path):
    done = CliRunner().invoke(main, ["init", str(tmp_path)], env={"SYSTEM": "my-node"})
    assert "files copied" in done.output
    assert not (tmp_path / "my-node.toml").exists()


def test_a_second_system_shares_the_node(tmp_path):
    example.write("one", tmp_path)
    example.write("two", tmp_path)
    assert len(list(tmp_path.iterdir())) == 3


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("mine.toml", "found 'mine.toml'; did you mean 'mine'?"),
        ("My_Node", "expected a name of 1 to 32 of a-z, 0-9 and '-', found 'My_Node'"),
        ("../mine", "found '../mine'; did you mean 'mine'?"),
        ("", "found ''"),
        *((name, f"{name} comes along") for name in adapters.TABLE),
    ],
)
def test_a_name_that_is_none(tmp_path, name, says):
    with pytest.raises(UsageError, match=re.escape(says)):
        example.write(name, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_said(tmp_path):
    (tmp_path / "file").touch()
    done = init(str(tmp_path / "file" / "below"), "--system", "mine")
    assert done.exit_code == 74
    assert "cannot be written" in done.output


def test_redis_comes_along_as_a_command_file(tmp_path, monkeypatch):
    (tmp_path / "redis-server").touch(0o755)  # nothing is started
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    redis = adapters.named("redis")
    assert (redis.name, redis.budget, redis.ports) == ("redis", "redis", (6379,))
    assert "dht_put" not in redis.exempt  # its replicas tell what they store
    file = validation.validate(compiled.shipped("systems/redis.toml"))
    assert "redis can do broadcast, dht_get, dht_put, private_message" in file.sentence

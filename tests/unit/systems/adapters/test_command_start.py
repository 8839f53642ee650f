"""What a command file says of the start of nodes, of secrets, helpers and lines: what is wrong in
it is said with its key, before anything starts.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from harness import redaction
from harness.errors import BadFileError, UsageError
from harness.faults.fault import State
from harness.operations import Operation
from harness.operations.records import RecordKind
from harness.runtimes.runtime import Place
from harness.systems import abilities
from harness.systems.adapters import command_file, command_launch
from harness.systems.adapters.command import Command
from harness.systems.adapters.command_asks import DialogAsk, HelperAsk, LineAsk
from harness.systems.transports.lines import Hello, Shape
from harness.topology.topology import Node, Topology

GOOD = """
[secrets]
password = "MY_PASSWORD"

[connection]
to = "127.0.0.1:6379"
end = "\\r\\n"
greeting = "^INFO"
hello = [{ say = "AUTH {password}", ok = "^OK" }]
skip = "^-"
length = '^\\$(-?\\d+)'

[helper]
argv = ["python3", "{folder}/helper.py", "{all}"]
environment = { PASSWORD = "{password}" }

[start]
argv = ["python3", "{directory}/node.py"]
files = ["node.py"]
environment = { PASSWORD = "{password}" }
prepare = ["echo", "id-{index}"]
peer = "{prepared}@{address}"
state = "wipe"

[[start.file]]
name = "etc/node.conf"
template = "node.conf.in"

[[start.joined]]
each = "entrances"
line = "MEET {peer_address}"
ok = "^OK {peer_prepared}"

[[start.joined]]
line = { say = "STATE", until = "^END" }
ok = "ok {count}"

[ready]
line = "PING"
ok = "PONG"

[send.private_message]
helper = "SEND {target_prepared} {payload}"

[send.broadcast]
line = { say = ["DATA {payload_bytes}", "{payload}"], ok = ["^354", "^250"] }

[send.connect]
exec = ["true", "{target}"]

[received]
log = "."
[received.kinds]
delivered = "^got "
received = "^heard "
connected = "^met "
"""
TEMPLATE = "peers = {peers}\nall = {all}\nme = {prepared}\npassword = {password}\n"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(redaction, "_known", {})
    monkeypatch.setenv("MY_PASSWORD", "correct horse")
    for name in ("node.py", "helper.py"):
        (tmp_path / name).write_text("")
    (tmp_path / "node.conf.in").write_text(TEMPLATE)
    return tmp_path


def read(folder: Path, text: str) -> command_file.CommandFile:
    (folder / "mine.toml").write_text(text)
    return command_file.read(folder / "mine.toml")


def places(folder: Path) -> list[Place]:
    return [
        Place(
            node=Node(name=f"node-{index}"),
            index=index,
            address=f"198.18.0.{index + 1}",
            directory=folder / "nodes" / f"node-{index}",
            namespace=command_launch.REHEARSED,
        )
        for index in range(3)
    ]


RING = Topology(
    name="t",
    nodes=tuple(Node(name=f"node-{index}") for index in range(3)),
    links=frozenset({("node-0", "node-1"), ("node-1", "node-2")}),
)


def test_a_file_with_everything_as_values(folder):
    made = read(folder, GOOD)
    assert made.start.state is State.WIPE
    assert [each.each for each in made.start.joined] == ["entrances", None]
    state = made.start.joined[1].send.ask
    assert isinstance(state, LineAsk)
    assert state.to == "127.0.0.1:6379"
    assert state.speech.hello == (Hello(say="AUTH {password}", ok=re.compile("^OK")),)
    assert state.shape == Shape(length=re.compile(r"^\$(-?\d+)"), until=re.compile("^END"))
    assert made.send[Operation.PRIVATE_MESSAGE].ask == HelperAsk(
        say="SEND {target_prepared} {payload}"
    )
    said = made.send[Operation.BROADCAST].ask
    assert isinstance(said, DialogAsk)
    assert (said.say, said.ok) == (("DATA {payload_bytes}", "{payload}"), ("^354", "^250"))
    assert set(made.received.kinds) == {
        RecordKind.DELIVERED,
        RecordKind.RECEIVED,
        RecordKind.CONNECTED,
    }


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('"echo", "id-{index}"', '"echo", "{prepared}"', "start.prepare: there is no field {prep"),
        ('"echo", "id-{index}"', '"echo", "{peers}"', "it is run before {prepared} is known"),
        ("prepare = [", "# prepare = [", "{prepared} is what start.prepare prints; expected start"),
        ('"{directory}/node.py"]', '"{password}"]', "{password} is a secret, and anybody on this"),
        ('"true", "{target}"', '"true", "{password}"', "send.connect.exec: {password} is a secret"),
        ('"etc/node.conf"', '"../node.conf"', "start.file[1].name: expected a file below the node"),
        ('"etc/node.conf"', '"/etc/node.conf"', "expected a file below the node's folder"),
        ('"etc/node.conf"', '"node.py"', "'node.py' is a file of start.files or another"),
        ('"etc/node.conf"', '"log"', "'log' is the harness's own; expected another name"),
        ('template = "node.conf.in"', "", "expected either template, a file beside this one, or"),
        ('"node.conf.in"', '"node.conf.out"', "start.file[1].template: there is no file"),
        ('each = "entrances"\n', "", "{peer_address} is of one other node; expected each, one of"),
        ('each = "entrances"', 'each = "friends"', "each: expected one of entrances, peers, all"),
        ("MEET {peer_address}", "MEET", "ok"),  # the pattern names the peer still
        ('state = "wipe"', 'state = "burn"', "start.state: expected one of keep, wipe; found"),
        ('[helper]\nargv = ["python3"', '[helper]\nargs = ["python3"', "helper.argv: expected the"),
        ("[helper]", "[helpers]", "expected [helper], which says what program it is; found none"),
        ('to = "127.0.0.1:6379"', "", "expected to, HOST:PORT or unix:PATH, here or in [connect"),
        ("'^\\$(-?\\d+)'", "'^\\$-?\\d+'", "length: expected a group that is the number of bytes"),
        ('ok = ["^354", "^250"]', 'ok = ["^354"]', "for the answer to each of the 2 lines of say"),
        ('connected = "^met "', "", "expected connected, by which the ledger of connect is kept"),
        ("{ PASSWORD = ", "{ COUNT = 1, PASSWORD = ", "environment.COUNT: expected text, found 1"),
        ('password = "MY', 'payload = "MY', "secrets.payload: expected a name of a-z and '_' that"),
        ('end = "\\\\r\\\\n"', 'end = "|"', r"connection.end: expected \n or \r\n, found '|'"),
        ('peer = "{prepared}@', 'peer = "{password}@', "start.peer: there is no field {password}"),
        ("{folder}/helper.py", "{folder}/other.py", "{folder}/other.py: there is no file"),
        ("password = {password}", "p = {pasword}", "there is no field {pasword}; did you mean"),
    ],
)
def test_bad_files(folder, old, new, said):
    old = old.replace("\\\\", "\\")
    template = TEMPLATE.replace(old, new)
    (folder / "node.conf.in").write_text(template)
    assert old in GOOD or template != TEMPLATE
    if said == "ok":
        assert read(folder, GOOD.replace(old, new)).start.joined[0].each == "entrances"
        return
    with pytest.raises(BadFileError, match=re.escape(said)):
        read(folder, GOOD.replace(old, new))


def test_who_answered_a_get_is_said_by_both_or_by_nobody(folder):
    get = '\n[send.dht_get]\nline = "GET {key}"\n'
    both = "expected received.kinds.answered and send.dht_get.by both, or neither"
    assert read(folder, GOOD + get).send
    with pytest.raises(BadFileError, match=both):
        read(folder, GOOD + get + "by = 'from (\\S+)'\n")
    answered = GOOD.replace("connected =", 'answered = "^gave "\nconnected =')
    with pytest.raises(BadFileError, match=both):
        read(folder, answered + get)
    assert read(folder, answered + get + "by = 'from (\\S+)'\n").send[Operation.DHT_GET].by
    with pytest.raises(BadFileError, match="by: expected a pattern with one group"):
        read(folder, answered + get + "by = 'from'\n")


def test_files_are_filled_in_and_nothing_runs_in_a_rehearsal(folder):
    system = Command(folder / "mine.toml") if read(folder, GOOD) else None
    launched = system.prepare(RING, places(folder), folder)
    written = (folder / "nodes" / "node-1" / "etc" / "node.conf").read_text()
    everybody = ",".join(f"@198.18.0.{index + 1}" for index in range(3))
    assert f"all = {everybody}\nme = \npassword = correct horse\n" in written
    assert launched[1][1].environment == {"PASSWORD": "correct horse"}
    assert (folder / command_launch.KEPT).stat().st_mode & 0o777 == 0o600
    assert sorted(system.kept()) == [
        "system/helper.py",
        "system/mine.toml",
        "system/node.conf.in",
        "system/node.py",
    ]
    assert not any("correct horse" in text for text in system.kept().values())


@pytest.mark.parametrize("name", ["mine.toml", "node.py", "node.conf.in"])
def test_files_that_were_edited_since_the_nodes_started_are_named(folder, name):
    """A run on the cluster that was up was of the old ones, and its folder kept the new one."""
    (folder / "rows.toml").write_text("")
    read(folder, 'budget = "rows.toml"\n' + GOOD)
    system = Command(folder / "mine.toml")
    system.prepare(RING, places(folder), folder)
    (folder / "rows.toml").write_text("# another judgement")
    assert system.edited() == []
    abilities.require_same(system, [])
    (folder / name).write_text((folder / name).read_text() + "\n# edited")
    assert system.edited() == [str(folder / name)]
    with pytest.raises(UsageError, match=f"{name}: edited since the nodes of mine were started"):
        abilities.require_same(system, [])
    (folder / name).unlink()
    assert system.edited() == []


def test_every_node_knows_the_first_one(folder):
    """In what it is started with, and in what it is asked, whatever its neighbours are."""
    made = read(folder, GOOD.replace("AUTH {password}", "AUTH {first_address}"))
    order = {place.node.name: place for place in places(folder)}
    for place in order.values():
        assert command_launch.Around().values(place, order, made)["first_address"] == "198.18.0.1"


def test_a_budget_that_is_not_there_keeps_no_cluster_from_starting(folder):
    """Another may judge; where none does, the run says so."""
    read(folder, 'budget = "gone.toml"\n' + GOOD)
    system = Command(folder / "mine.toml")
    system.prepare(RING, places(folder), folder)
    assert "system/gone.toml" not in system.kept()


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (None, "secrets.password: the environment variable MY_PASSWORD is not set"),
        ("short", "has 5 characters; expected at least 8"),
    ],
)
def test_a_secret_that_is_none_is_said_before_anything_is_written(folder, monkeypatch, value, said):
    monkeypatch.delenv("MY_PASSWORD")
    if value is not None:
        monkeypatch.setenv("MY_PASSWORD", value)
    made = read(folder, GOOD)
    with pytest.raises(BadFileError, match=said):
        command_launch.launches(made, RING, places(folder), folder)
    assert not (folder / "nodes").exists()


@pytest.mark.parametrize(
    ("old", "new", "where"),
    [
        ('["echo", "id-{index}"]', '["no-such-program"]', "start.prepare"),
        ('["python3", "{folder}/helper.py", "{all}"]', '["./helpers.py"]', "helper.argv"),
        ('["true", "{target}"]', '["no-such-program"]', "send.connect.exec"),
    ],
)
def test_a_program_that_is_not_here_is_said(folder, old, new, where):
    assert old in GOOD
    made = read(folder, GOOD.replace(old, new))
    with pytest.raises(BadFileError, match=f"{where}: there is no program"):
        command_launch.launches(made, RING, places(folder), folder)


PAGE = Path(__file__).parents[4] / "docs" / "your-own-node.md"
BASE = {
    "[start]": '[start]\nargv = ["true"]\n',
    "[ready]": '[ready]\nlog = "."\n',
    "[connection]": '[connection]\nto = "127.0.0.1:1"\n',
    "[received]": '[received]\nlog = "."\n',
    "[send.": '[send.broadcast]\nline = "x"\n',
    "[secrets]": '[secrets]\npassword = "MY_PASSWORD"\n',
}


def test_the_guides_parts_of_files_are_good(folder):
    parts = [
        block
        for block in re.findall(r"```toml\n(?!# \S+\.toml\n)(.*?)```", PAGE.read_text(), re.DOTALL)
        if "[connection]" in block or "[[start.joined]]" in block or "[secrets]" in block
    ]
    assert len(parts) == 6
    for part in parts:
        lacking = "".join(text for key, text in BASE.items() if key not in part)
        assert read(folder, lacking + part).send


BROUGHT = """
[start]
brought = true
joined = { line = { to = "127.0.0.1:7000", say = "MEET" } }
[ready]
tcp = "127.0.0.1:7000"
[send.broadcast]
http = { url = "http://127.0.0.1:7000/b", body = "{payload}" }
[received]
log = "^got "
"""


def test_nodes_that_are_brought_are_not_started(tmp_path):
    """Neither by a file that starts none, nor by one that would start others."""
    brought, other = tmp_path / "mine.toml", tmp_path / "other.toml"
    brought.write_text(BROUGHT)
    other.write_text(BROUGHT.replace("brought = true", 'argv = ["./not-here"]'))
    assert [Command(file).starts for file in (brought, other)] == [False, True]
    place = Place(
        node=Node(name="a"),
        index=0,
        address="172.18.0.2",
        directory=tmp_path / "a",
        namespace=0,
        container="mine",
    )
    topology = Topology(name="t", nodes=(place.node,), links=frozenset())
    for file in (brought, other):
        [(_, process)] = Command(file).prepare(topology, [place], tmp_path)
        assert process.argv == ()
    brought.write_text(BROUGHT.replace("brought = true", 'brought = true\nimage = "x"'))
    with pytest.raises(BadFileError, match=r"start.brought: .* expected no image"):
        Command(brought)

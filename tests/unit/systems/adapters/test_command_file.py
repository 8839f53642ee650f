"""Command files: what is wrong is said with its key, before anything starts; and the ways to speak
to a node, over real sockets and files.
"""

from __future__ import annotations

import asyncio
import re
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import BadFileError, UsageError
from harness.operations import Operation
from harness.runtimes.runtime import Place
from harness.scenario import files
from harness.systems import adapters
from harness.systems.adapter import MetricsPage
from harness.systems.adapters import command_fields, command_file
from harness.systems.adapters.command_asks import (
    ExecAsk,
    HttpAsk,
    LineAsk,
    LogAsk,
    Send,
    TcpAsk,
)
from harness.systems.adapters.command_fields import FIELD
from harness.systems.transports import logs
from harness.systems.transports.lines import Lines
from harness.topology.topology import Node

ROOT = Path(__file__).parents[4]
GOOD = """
[start]
argv = ["sh", "-c", "exec node {peers}"]
[ready]
tcp = "127.0.0.1:7000"
[send.broadcast]
http = { url = "http://127.0.0.1:7000/b", body = '{"text": "{payload}"}' }
[received]
log = "^got "
"""


def read(tmp_path: Path, text: str) -> command_file.CommandFile:
    path = tmp_path / "mynode.toml"
    path.write_text(text)
    return command_file.read(path)


def test_a_good_file_as_values(tmp_path):
    made = read(tmp_path, GOOD)
    assert (made.name, made.start.argv[0], made.start.pod) == ("mynode", "sh", False)
    assert (made.ready.ask, made.received.ask) == (
        TcpAsk(to="127.0.0.1:7000"),
        LogAsk(pattern=re.compile("^got ")),
    )
    assert made.send[Operation.BROADCAST].ask == HttpAsk(
        method="POST", url="http://127.0.0.1:7000/b", body='{"text": "{payload}"}'
    )


def test_every_way_to_ask(tmp_path):
    more = (
        GOOD
        + """
[send.private_message]
exec = ["ctl", "send", "{target}", "{payload}"]
ok = "sent to {target}"
[send.dht_get]
line = { to = "unix:{directory}/ctl", say = "GET {key}" }
"""
    )
    made = read(tmp_path, more)
    assert made.send[Operation.PRIVATE_MESSAGE] == Send(
        ask=ExecAsk(argv=("ctl", "send", "{target}", "{payload}")), ok="sent to {target}"
    )
    assert made.send[Operation.DHT_GET].ask == LineAsk(to="unix:{directory}/ctl", say="GET {key}")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (
            "{peers}",
            "{peer}",
            (
                "start.argv: there is no field {peer}; did you mean '{peers}'? Possible: {name}, "
                "{index}, {address}, {directory}, {peers}, {entrances}"
            ),
        ),
        (
            "{payload}",
            "{key}{paylod}",
            "send.broadcast.http.body: there is no field {paylod}; did you mean '{payload}'?",
        ),
        (
            'argv = ["sh", "-c", "exec node {peers}"]',
            "",
            "start.argv: expected the program and its arguments, found nothing",
        ),
        (
            'tcp = "127.0.0.1:7000"',
            "",
            "ready: expected exactly one of http, tcp, exec, log, line, helper; found none",
        ),
        (
            'tcp = "127.0.0.1:7000"',
            'tcp = "127.0.0.1:7000"\nlog = "x"',
            "ready: expected exactly one of http, tcp, exec, log, line, helper; found tcp, log",
        ),
        (
            "[ready]",
            "[readiness]",
            "ready: expected exactly one of http, tcp, exec, log, line, helper; found none",
        ),
        (
            "http://127",
            "https://127",
            "send.broadcast.http.url: expected a URL that begins with http://",
        ),
        (
            "url =",
            "uri =",
            (
                "send.broadcast.http.url: expected text, found nothing: the key is required; did "
                "you mean it by 'uri'?"
            ),
        ),
        (
            "argv =",
            "arvg =",
            (
                "start.argv: expected the program and its arguments, found nothing; did you mean "
                "it by 'arvg'?"
            ),
        ),
        (
            "[send.broadcast]",
            "[send.broadcasts]",
            "send.broadcasts: unknown key; did you mean 'broadcast'?",
        ),
        (
            'log = "^got "',
            'log = "(got"',
            "received.log: expected a regular expression, found '(got'",
        ),
        (
            "[send.broadcast]",
            "[send.broadcast]\ngiven_up = true",
            "send.broadcast.given_up: expected of what is asked of one other node; found it of a",
        ),
        (
            '[received]\nlog = "^got "',
            "",
            (
                "received: expected http, line, log or helper, found nothing: that a node took a "
                "broadcast says nothing of who received it"
            ),
        ),
        ("[start]", "[start]\nfiles = ['not-here']", "start.files: there is no file"),
        (
            "[start]",
            "[start]\nplacement = 'moon'",
            "start.placement: expected one of entered, pod; found 'moon'",
        ),
        (
            "[start]",
            "name = 'My Node'\n[start]",
            "name: expected 1 to 32 of a-z, 0-9 and '-', found 'My Node'",
        ),
    ],
)
def test_bad_files(tmp_path, old, new, said):
    assert old in GOOD
    with pytest.raises(BadFileError, match=re.escape(said)):
        read(tmp_path, GOOD.replace(old, new))


PUT_AND_GET = """
[send.dht_put]
http = { url = "http://127.0.0.1:7000/put/{key}", body = "a value", headers = { x = "{name}" } }
[send.dht_get]
line = { to = "127.0.0.1:6000", say = "GET {key}" }
"""


def test_values_that_no_get_could_be_seen_to_bring_are_refused(tmp_path):
    with pytest.raises(BadFileError, match=re.escape("send.dht_put: expected {payload} or {id}")):
        read(tmp_path, GOOD + PUT_AND_GET)
    for told in ("a value", "{name}"):
        for field in ("{payload}", "{id}"):
            assert read(tmp_path, GOOD + PUT_AND_GET.replace(told, field)).send
    read(tmp_path, GOOD + PUT_AND_GET.partition("[send.dht_get]")[0])


def test_a_system_is_a_name_a_file_or_a_class(tmp_path):
    (tmp_path / "mynode.toml").write_text(GOOD)
    assert adapters.named(str(tmp_path / "mynode.toml")).operations == {Operation.BROADCAST}
    with pytest.raises(
        UsageError,
        match="expected one of meshnode, opendht, serf, libp2p, nats, redis, or module:attribute",
    ):
        adapters.named("nobody")
    with pytest.raises(BadFileError, match="no such file"):
        adapters.named(str(tmp_path / "other.toml"))
    scenario = tmp_path / "s.toml"
    scenario.write_text(
        "topology = 't.toml'\nsystem = 'mynode.toml'\n[[phase]]\nname = 'load'\nduration_s = 1\n"
    )
    (tmp_path / "t.toml").write_text("[nodes]\ncount = 2\n")
    assert files.read_scenario(scenario).topology.adapter == str(tmp_path / "mynode.toml")


@given(
    st.text(),
    st.dictionaries(
        st.sampled_from(["id", "payload", "key"]), st.text(alphabet="0123456789abcdef")
    ),
)
def test_filling_in_touches_fields_only(text, values):
    filled = command_fields.filled(text, values)
    assert FIELD.sub("", filled) == FIELD.sub(
        lambda match: values.get(match[1], ""), text
    ) or "{" in "".join(values.values())
    assert command_fields.filled('{"json": {}}', values) == '{"json": {}}'


def test_the_guides_example_is_the_file_that_the_tests_run():
    page = (ROOT / "docs" / "your-own-node.md").read_text()
    example = tomllib.loads(re.findall(r"```toml\n(name = \"tinynode\".*?)```", page, re.DOTALL)[0])
    run = tomllib.loads((ROOT / "tests" / "systems" / "tiny" / "tinynode.toml").read_text())
    run.pop("budget")
    for operation in ("dht_put", "dht_get"):
        run["send"].pop(operation)
    assert example == run


def test_a_log_is_followed_from_where_a_life_begins(tmp_path):
    path = tmp_path / "log"
    path.write_text("of an earlier life\n")

    async def followed() -> list[str]:
        found: list[str] = []

        async def follow() -> None:
            async for line in logs.follow(path, len("of an earlier life\n")):
                found.append(line)
                if len(found) == 3:
                    return

        task = asyncio.create_task(follow())
        await asyncio.sleep(0.05)
        with path.open("a") as log:
            for part in ("one\nt", "wo\n", "three\n"):
                log.write(part)
                log.flush()
                await asyncio.sleep(0.02)
        await asyncio.wait_for(task, 60)
        return found

    assert asyncio.run(followed()) == ["one", "two", "three"]


def test_lines_are_answered_in_order_and_a_hang_up_is_told(tmp_path):
    async def spoken() -> list[str]:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            async for line in reader:
                if line == b"bye\n":
                    break
                writer.write(b"heard " + line)
            writer.close()

        server = await asyncio.start_unix_server(serve, tmp_path / "ctl")
        connection = await Lines.connect(-1, f"unix:{tmp_path}/ctl")
        try:
            said = await asyncio.wait_for(
                asyncio.gather(*(connection.ask(str(number)) for number in range(3))), 60
            )
            with pytest.raises(ConnectionError, match="closed its line connection"):
                await asyncio.wait_for(connection.ask("bye"), 60)
            with pytest.raises(ConnectionError):
                await connection.ask("anybody?")
            assert connection.closed
        finally:
            connection.close()
            server.close()
        return said

    assert asyncio.run(spoken()) == ["heard 0", "heard 1", "heard 2"]


EXEMPT = (
    GOOD
    + """
[metrics]
prometheus = "http://127.0.0.1:9100/metrics/{name}"
only = ["raft_*"]
[exempt]
broadcast = "at most once"
"""
)


def test_what_a_system_tells_and_does_not_promise(tmp_path):
    made = read(tmp_path, EXEMPT)
    assert made.metrics == MetricsPage(url="http://127.0.0.1:9100/metrics/{name}", only=("raft_*",))
    assert made.exempt == {"broadcast": ("at most once",)}
    place = Place(
        node=Node(name="n-1"), index=0, address="198.18.0.1", directory=tmp_path, namespace=-1
    )
    assert made.metrics.url_at(place) == "http://127.0.0.1:9100/metrics/n-1"
    both = EXEMPT.replace('"at most once"', '["at most once", "at least once"]')
    assert read(tmp_path, both).exempt == {"broadcast": ("at most once", "at least once")}


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("at most once", "at most", "exempt.broadcast: expected one of at most once"),
        ('"at most once"', "3", "exempt.broadcast: expected one of at most once"),
        ('"at most once"', "[]", "exempt.broadcast: expected one of at most once"),
        (
            "at most once",
            "unordered",
            "'unordered' exempts from nothing that a broadcast is held to; possible: at most once",
        ),
        (
            'broadcast = "at',
            'broadcasts = "at',
            "exempt: the file has no send.broadcasts; did you mean 'broadcast'?",
        ),
        ("/{name}", "/{id}", "metrics.prometheus: there is no field {id}"),
        ("http://127.0.0.1:9100", "127.0.0.1:9100", "expected a URL that begins with http://"),
        ("prometheus =", "prometeus =", "metrics.prometheus: expected text, found nothing"),
        ("only =", "just =", "metrics.just: unknown key"),
    ],
)
def test_what_no_system_can_say_of_itself_is_refused(tmp_path, old, new, said):
    with pytest.raises(BadFileError) as refused:
        read(tmp_path, EXEMPT.replace(old, new))
    assert said in str(refused.value)

"""What a command file's node reports is what its lines say."""

from __future__ import annotations

import asyncio
import base64
import os
import re
from contextlib import suppress

import pytest
from kit.spoken import SPOKEN, spoken, told_to

from harness.operations import Operation, Outcome, Request
from harness.operations.operation import key_of, shared_key
from harness.runtimes.runtime import Place
from harness.systems.adapters import command, command_file, command_join
from harness.systems.adapters.command_reports import Reports
from harness.systems.transports.http import refuses
from harness.topology.topology import Node

ID, OTHER, UNKNOWN = (bytes([number]) * 16 for number in (0xAB, 0xCD, 0x12))
TO_COME = ID[:12] + bytes(4)  # of the same stream, and not sent yet
FILE = """
name = "told"
[start]
argv = ["true"]
[ready]
log = "up"
[send.broadcast]
exec = ["true"]
[received]
log = ""
"""


@pytest.mark.parametrize(
    ("line", "reported"),
    [
        (f"{ID.hex()} and again {ID.hex()}", [ID]),
        (f"received{ID.hex()}", [ID]),  # the d is a digit too
        (f"{ID.hex()}{OTHER.hex()}", [ID, OTHER]),
        (f"f{ID.hex()}0123456789abcdef {OTHER.hex()}", [ID, OTHER]),
        (f"{UNKNOWN.hex()} {ID.hex()[:31]}", []),
        (f"{TO_COME.hex()} {ID.hex()}", [ID, TO_COME]),  # foretold, which was not heard
    ],
)
def test_a_line_reports_each_id_in_it_once(tmp_path, line, reported):
    (tmp_path / "told.toml").write_text(FILE)
    (tmp_path / "log").write_text(f"{line}\nlast {UNKNOWN.hex()}{'0' * 32}\n{bytes(16).hex()}\n")
    seen = []

    async def observed():
        namespace = os.open("/proc/self/ns/net", os.O_RDONLY)
        place = Place(
            node=Node(name="a"),
            index=0,
            address="198.18.0.1",
            directory=tmp_path,
            namespace=namespace,
        )
        reports = Reports()
        for id_, kind in {ID: 1, OTHER: 1, bytes(16): 2}.items():
            reports.sent.remember(id_, kind)
        driver = command.Driver(command_file.read(tmp_path / "told.toml"), place, {}, reports)
        whole = asyncio.Event()

        def saw(kind, id_, at_ns):
            seen.append((kind, id_))
            if len([one for one in seen if one[0] == 2]) == 2:
                whole.set()

        observing = asyncio.create_task(driver.observe(saw, lambda: None))
        await whole.wait()
        observing.cancel()
        with suppress(asyncio.CancelledError):
            await observing
        await driver.close()
        os.close(namespace)

    asyncio.run(observed())
    assert sorted(id_ for kind, id_ in seen if kind == 1) == sorted(reported)


def test_all_who_ask_at_once_share_one_connection(tmp_path):
    """Each opened one of its own, and all but the last stayed open for good."""
    file = FILE.replace(
        'exec = ["true"]', 'line = { to = "unix:{directory}/ctl", say = "PUB {payload}" }'
    )
    (tmp_path / "told.toml").write_text(file)
    opened, all_closed = [], asyncio.Event()

    async def answer(reader, writer):
        opened.append(writer)
        while await reader.readline():
            writer.write(b"ok\n")
        writer.close()
        all_closed.set()

    async def asked():
        server = await asyncio.start_unix_server(answer, tmp_path / "ctl")
        place = Place(
            node=Node(name="a"), index=0, address="198.18.0.1", directory=tmp_path, namespace=-1
        )
        driver = command.Driver(command_file.read(tmp_path / "told.toml"), place, {}, Reports())
        requests = [
            Request(bytes([number]) * 16, Operation.BROADCAST, None, b"x" * 32, 1000)
            for number in range(5)
        ]
        answers = await asyncio.gather(*(driver.perform(each, lambda: None) for each in requests))
        await driver.close()
        server.close()
        await all_closed.wait()
        return [each.outcome for each in answers]

    assert asyncio.run(asked()) == [Outcome.OK] * 5
    assert len(opened) == 1


DHT = """
[start]
argv = ["true"]
[ready]
log = "up"
[send.dht_put]
line = { to = "unix:{directory}/ctl", say = "PUT {key} {payload}" }
ok = "^OK"
[send.dht_get]
line = { to = "unix:{directory}/ctl", say = "GET {key}" }
"""


def answered(tmp_path, answers, *requests):
    """What a driver makes of these requests, in turn, to a node that gives these answers."""
    (tmp_path / "told.toml").write_text(DHT)
    all_closed = asyncio.Event()

    async def answer(reader, writer):
        for line in answers:
            await reader.readline()
            writer.write(line.encode() + b"\n")
        await reader.read()
        writer.close()
        all_closed.set()

    async def asked():
        server = await asyncio.start_unix_server(answer, tmp_path / "ctl")
        place = Place(
            node=Node(name="a"), index=0, address="198.18.0.1", directory=tmp_path, namespace=-1
        )
        driver = command.Driver(command_file.read(tmp_path / "told.toml"), place, {}, Reports())
        found = [await driver.perform(each, lambda: None) for each in requests]
        await driver.close()
        server.close()
        if answers:
            await all_closed.wait()
        return found

    return asyncio.run(asked())


def get(key):
    return Request(b"g" * 16, Operation.DHT_GET, key, None, 1000)


def put(id_, key, payload_bytes=40):
    payload = (id_ + bytes(payload_bytes))[:payload_bytes]
    return Request(id_, Operation.DHT_PUT, key, payload, 1000)


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (f"VALUE {ID.hex()}0000", None),
        (f"f{ID.hex()}", None),
        (f'{{"Value": "{base64.b64encode(ID.hex().encode() + b"00").decode()}"}}', None),
        (f"value: {base64.b64encode(b'put:' + ID.hex().encode()).decode()}", None),
        (f'{{"key": "{key_of(ID).hex()}", "value": "{ID.hex()}"}}', None),
        ("f" * 512, "the value is not one that was put under the key, or not as it was put"),
        (OTHER.hex(), "the value is not one that was put under the key, or not as it was put"),
        (ID.hex()[:31], f"each begins with 32 hexadecimal digits: {ID.hex()[:31]}"),
        (key_of(ID).hex(), f"no value is in the answer, .* digits: {key_of(ID).hex()}"),
        ("", "digits: nothing"),
    ],
)
def test_a_get_is_ok_only_where_it_brought_what_was_put(tmp_path, answer, error):
    """Whatever a node answered was a value found: 100 % of a node that always said ff."""
    [found] = answered(tmp_path, [answer], get(key_of(ID)))
    if error is None:
        assert (found.outcome, found.error, found.value) == (Outcome.OK, None, ID)
    else:
        assert (found.outcome, found.value) == (Outcome.FAILED, None)
        assert re.search(error, found.error), found.error


def test_of_a_key_that_puts_share_each_value_that_was_put_there_is_one(tmp_path):
    key, other = (shared_key(b"salt", number) for number in (1, 2))
    answers = ["OK", "OK", f"VALUE {ID.hex()}", f"VALUE {OTHER.hex()}", f"VALUE {UNKNOWN.hex()}"]
    _, _, mine, others, nobodys = answered(
        tmp_path, answers, put(ID, key), put(OTHER, other), get(key), get(key), get(key)
    )
    assert (mine.outcome, mine.value) == (Outcome.OK, ID)
    assert [others.outcome, nobodys.outcome] == [Outcome.FAILED] * 2


@pytest.mark.parametrize(
    ("status", "is_certain"), [(400, True), (404, True), (408, False), (500, False), (503, False)]
)
def test_an_http_error_says_that_nothing_was_done_or_does_not(status, is_certain):
    assert refuses(status) is is_certain


def test_a_put_that_a_node_did_not_agree_to_may_have_happened(tmp_path):
    """It was FAILED, which says: certainly not done. A get that failed changed nothing."""
    put_, got = answered(tmp_path, ["ERR busy", "ERR busy"], put(ID, key_of(ID)), get(key_of(ID)))
    assert (put_.outcome, put_.error) == (Outcome.UNKNOWN, "the node answered: ERR busy")
    assert got.outcome is Outcome.FAILED


def test_a_value_too_short_to_be_known_again_is_not_put(tmp_path):
    [found] = answered(tmp_path, [], put(ID, key_of(ID), 31))
    assert found.outcome is Outcome.FAILED
    assert found.error == "unsent: payload_bytes: expected at least 32, the id as text"


def test_a_node_joins_once_all_are_up_and_is_asked_until_it_agrees(tmp_path, monkeypatch):
    monkeypatch.setattr(command_join, "AGAIN_S", 0.0)
    heard, refusals = [], iter([True, False, False])

    def answers(words):
        return "PONG\n" if words == ["PING"] else "BUSY\n" if next(refusals) else "OK\n"

    async def scene(driver, reports):
        said = [await driver.ready(2)]
        reports.up.add("b")
        while status := await driver.ready(2):
            said.append(status)
            await asyncio.sleep(0)
        assert await driver.ready(2) == ""  # it is asked once a life
        return list(dict.fromkeys(said))

    (said, up), _ = spoken(tmp_path, told_to(heard, answers), scene)
    assert said[0] == "up; 1 of 2 nodes are"
    assert "joining, step 1: the node answered: BUSY (expected '^OK')" in said
    assert [each for each in heard if each != "PING"] == [
        "MEET 198.18.0.2",
        "MEET 198.18.0.2",
        "MEET 198.18.0.3",
    ]
    assert up == ["b"], "who is gone is not up"


def test_an_answer_that_nobody_asked_for_is_a_doubt(tmp_path):
    async def scene(driver, _):
        answer = await driver.perform(put(ID, key_of(ID)), lambda: None)
        await asyncio.sleep(0.1)
        return answer.outcome

    (outcome, _), doubts = spoken(tmp_path, told_to([], lambda _: "OK\nOK\n"), scene)
    assert outcome is Outcome.OK
    assert doubts == ["the node said 'OK' when nothing was asked"]


def test_a_dialog_has_a_connection_of_its_own_and_ends_where_it_is_refused(tmp_path):
    heard, selects = [], iter(["OK\n", "ERR\n", "OK\n"])

    def answers(words):
        return next(selects) if words[0] == "SELECT" else f"VALUE {ID.hex()}\n"

    async def scene(driver, _):
        return [await driver.perform(get(key_of(ID)), lambda: None) for _ in range(3)]

    (found, _), doubts = spoken(tmp_path, told_to(heard, answers), scene)
    assert [each.outcome for each in found] == [Outcome.OK, Outcome.FAILED, Outcome.OK]
    key = key_of(ID).hex()
    assert heard == ["SELECT 1", f"GET {key}", "SELECT 1", "SELECT 1", f"GET {key}"]
    assert doubts == []


def test_what_could_not_be_said_was_certainly_not_done(tmp_path):
    """The node was not there to be asked, and it was UNKNOWN: perhaps done. That it took long to
    connect is the node's time, as `sent` comes first: it was the load generator that was late.
    """
    (tmp_path / "told.toml").write_text(SPOKEN)
    asked = []

    async def scene():
        place = Place(
            node=Node(name="a"), index=0, address="198.18.0.1", directory=tmp_path, namespace=-1
        )
        driver = command.Driver(command_file.read(tmp_path / "told.toml"), place, {}, Reports())
        answer = await driver.perform(put(ID, key_of(ID)), lambda: asked.append(True))
        await driver.close()
        return answer

    answer = asyncio.run(scene())
    assert answer.outcome is Outcome.FAILED
    assert "it could not be asked: unix:" in answer.error
    assert asked == [True]

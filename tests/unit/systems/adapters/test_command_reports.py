"""What lines of reports say by their kinds, and what is doubtful in them."""

from __future__ import annotations

import asyncio
import re

import pytest

from harness.operations import Operation, Request, own
from harness.operations.operation import key_of, shared_key
from harness.operations.records import RecordKind
from harness.runtimes.runtime import Place
from harness.systems.adapters.command_reports import Reports
from harness.systems.adapters.driven import wire_id
from harness.topology.topology import Node

ID, OTHER = b"\xab" * 16, b"\xcd" * 16
A, B, C = (wire_id(name) for name in ("node-a", "node-b", "node-c"))
PATTERNS = {
    RecordKind.DELIVERED: re.compile("^got"),
    RecordKind.RECEIVED: re.compile("^heard"),
    RecordKind.STORED: re.compile("^stored"),
    RecordKind.ANSWERED: re.compile("^gave"),
    RecordKind.CONNECTED: re.compile("^met"),
}


@pytest.fixture
def reports():
    places = {
        wire_id(name): Place(
            node=Node(name=name),
            index=index,
            address=f"198.18.0.{index + 1}",
            directory=None,
            namespace=-1,
        )
        for index, name in enumerate(("node-a", "node-b", "node-c"))
    }
    return Reports.of(places)


def told(reports, line, own=A):
    """What a line makes of records: kind, id, peer; and what is doubtful in it."""
    seen = []
    doubt = reports.tell(
        line, own, PATTERNS, 7, lambda kind, id_, _, peer=b"": seen.append((kind, id_, peer))
    )
    return seen, doubt


@pytest.mark.parametrize(
    ("behind", "is_doubtful"),
    [
        ("0123456789abcdef" * 2, False),
        ("0123456789abcdef", False),  # cut short
        ("", False),
        (" from node-b", False),
        ("deadline", False),  # a word of the node's own
        ("0123456789abcdef" + "f" * 16, True),
        ("f" * 32, True),
        ("0123456789abcdef" + "zz", True),
        (OTHER.hex(), False),  # another id
    ],
)
def test_a_payload_that_came_as_another_one_is_doubtful(reports, behind, is_doubtful):
    """Whoever changed what stands behind the id, and kept its size, passed."""
    payload = ID.hex() + "0123456789abcdef" * 2
    reports.remember(Request(OTHER, Operation.BROADCAST, None, b"", 1000), B, OTHER.hex())
    reports.remember(Request(ID, Operation.BROADCAST, None, b"", 1000), B, payload)
    seen, doubt = told(reports, f"heard {ID.hex()}{behind}")
    assert (RecordKind.RECEIVED, ID, b"") in seen
    assert bool(doubt) is is_doubtful
    without_kinds = reports.tell(f"{ID.hex()}{behind}\n", A, {}, 7, lambda *_, **__: None)
    assert bool(without_kinds) is is_doubtful


def put(reports, id_, key, source):
    reports.remember(Request(id_, Operation.DHT_PUT, key, id_ + bytes(24), 1000), source)


def test_a_line_says_what_its_kind_says_and_others_say_nothing(reports):
    reports.remember(Request(ID, Operation.BROADCAST, None, ID, 1000), B)
    assert told(reports, f"heard {ID.hex()}") == ([(RecordKind.RECEIVED, ID, b"")], "")
    assert told(reports, f"got {ID.hex()}") == ([(RecordKind.DELIVERED, ID, b"")], "")
    assert told(reports, f"sent {ID.hex()}") == ([], "")


def test_a_key_that_was_stored_is_its_puts(reports):
    key = key_of(ID)
    put(reports, ID, key, B)
    assert told(reports, f"stored {key.hex()}=x") == ([(RecordKind.STORED, key[:16], B)], "")
    assert told(reports, f"stored {key_of(OTHER).hex()}") == ([], "")


def test_of_a_key_that_puts_share_a_line_has_to_say_whose(reports):
    """It would be nobody's: a FAIL of who stored it."""
    key = shared_key(b"salt", 1)
    put(reports, ID, key, B)
    put(reports, OTHER, key, C)
    whose = [(RecordKind.STORED, key[:16], C)]
    assert told(reports, f"stored {key.hex()} {OTHER.hex()}") == (whose, "")
    assert told(reports, f"stored {key.hex()} of node-c") == (whose, "")
    _, doubt = told(reports, f"stored {key.hex()}")
    assert "does not say whose" in doubt


def test_a_meeting_names_the_other_by_name_or_address(reports):
    for line in ("met node-b", "met 198.18.0.2:4321 here at 198.18.0.1"):
        assert told(reports, line) == ([(RecordKind.CONNECTED, bytes(16), B)], "")
    assert told(reports, "met 198.18.0.1") == ([], ""), "itself"
    _, doubt = told(reports, "met somebody")
    assert "says connected, and names no node by name or address" in doubt


def test_who_answered_says_of_which_key(reports):
    """A record of no key was one that nobody had asked for: a FAIL."""
    key = key_of(ID)
    put(reports, ID, key, B)
    gave = [(RecordKind.ANSWERED, key[:16], B)]
    assert told(reports, f"gave {key.hex()} to node-b") == (gave, "")
    _, doubt = told(reports, "gave something to node-b")
    assert "says answered, and names no key that somebody put" in doubt


def test_each_meeting_is_of_one_who_asked(reports):
    meeting = RecordKind.CONNECTED, A, B

    async def scene():
        waiting = [asyncio.create_task(reports.meeting(meeting, since)) for since in (0, 5)]
        await asyncio.sleep(0)
        told(reports, "met node-b")
        assert await waiting[0] == 7
        assert not waiting[1].done()
        told(reports, "met node-b")
        assert await waiting[1] == 7
        told(reports, "met node-b")
        assert await reports.meeting(meeting, 6) == 7  # it was told before it was asked for
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(reports.meeting(meeting, 8), 0.01)

    asyncio.run(scene())


@pytest.mark.parametrize("ledger", ["stored", "none"])
def test_a_key_of_an_operation_of_ones_own_is_known_whatever_its_ledger(reports, ledger):
    """Who gave what was under it named no key that anybody had put: the run was in doubt."""
    keep, key = own.made(64, "keep", ledger, "new key"), key_of(ID)
    reports.remember(Request(ID, keep, key, ID + bytes(24), 1000), B)
    assert told(reports, f"stored {key.hex()}") == ([(RecordKind.STORED, key[:16], B)], "")
    assert told(reports, f"gave {key.hex()} to node-c") == (
        [(RecordKind.ANSWERED, key[:16], C)],
        "",
    )

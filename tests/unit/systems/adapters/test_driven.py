"""What adapters with drivers share."""

from __future__ import annotations

from harness.operations import Operation, Request
from harness.operations.operation import key_of, shared_key
from harness.systems.adapters import driven
from harness.systems.adapters.driven import Values

ID, OTHER = bytes(range(16)), bytes(range(1, 17))
KEY, OTHER_KEY = (shared_key(b"salt", number) for number in (1, 2))


def put(id_, key):
    return Request(id_, Operation.DHT_PUT, key, id_ + b"more", 1000)


def test_a_value_is_of_the_key_that_it_was_put_under():
    """OpenDHT's gets under keys that puts share failed, each: the id does not tell such a key."""
    known = Values()
    assert known.may_hold(key_of(ID), ID + b"more")
    assert not known.may_hold(KEY, ID + b"more")
    known.remember(put(ID, KEY))
    assert known.may_hold(KEY, ID + b"more")
    for key, id_ in ((OTHER_KEY, ID), (KEY, OTHER)):
        assert not known.may_hold(key, id_ + b"more")


def test_the_oldest_puts_are_forgotten(monkeypatch):
    monkeypatch.setattr(driven, "PUTS_MAX", 1)
    known = Values()
    for id_ in (ID, OTHER):
        known.remember(put(id_, KEY))
    assert [known.may_hold(KEY, id_) for id_ in (ID, OTHER)] == [False, True]

"""What is secret is shown by its name, in whatever form a program repeats it."""

from __future__ import annotations

import base64
import json
import urllib.parse

import pytest

from harness import redaction

SECRET = 'päss "word"/1'


@pytest.fixture(autouse=True)
def known(monkeypatch):
    monkeypatch.setattr(redaction, "_known", {})
    redaction.hide("password", SECRET)


@pytest.mark.parametrize(
    "form",
    [
        SECRET,
        json.dumps(SECRET)[1:-1],
        urllib.parse.quote(SECRET, safe=""),
        urllib.parse.quote_plus(SECRET),
        urllib.parse.quote(SECRET),
        urllib.parse.quote(SECRET).replace("%C3%A4", "%c3%a4"),
        SECRET.encode().hex(),
        SECRET.encode().hex().upper(),
    ],
)
def test_no_form_of_a_secret_is_shown(form):
    said = f"AUTH {form} failed"
    assert redaction.redacted(said) == "AUTH [password: secret] failed"
    assert redaction.redacted_bytes(said.encode()) == b"AUTH [password: secret] failed"


@pytest.mark.parametrize("user", ["", "u", "us", "use", "user:"])
def test_nor_is_it_in_base64_of_a_longer_text(user):
    said = base64.b64encode(f"{user}{SECRET}".encode()).decode()
    assert "[password: secret]" in redaction.redacted(f"Basic {said}")


def test_all_else_is_shown():
    assert redaction.redacted("AUTH ok") == "AUTH ok"
    assert redaction.redacted_bytes(b"\xff\x00") == b"\xff\x00"


def streamed(*parts: bytes) -> bytes:
    stream = redaction.Stream()
    return b"".join([*map(stream.feed, parts), stream.end()])


@pytest.mark.parametrize("form", [SECRET, SECRET.encode().hex(), urllib.parse.quote(SECRET)])
def test_a_secret_that_comes_in_parts_is_none_the_less_one(form):
    said, shown = f"AUTH {form} failed".encode(), b"AUTH [password: secret] failed"
    for at in range(len(said)):
        assert streamed(said[:at], said[at:]) == shown
    assert streamed(*(said[at : at + 1] for at in range(len(said)))) == shown


def test_of_two_secrets_that_begin_alike_the_longer_is_replaced():
    redaction.hide("short", "hunter-hunter")
    redaction.hide("long", "hunter-hunter-2")
    assert streamed(b"a hunter-hunter", b"-2 b") == b"a [long: secret] b"
    assert streamed(b"a hunter-hunter", b"-3 b") == b"a [short: secret]-3 b"
    assert streamed(b"a hunter-hunter") == b"a [short: secret]"
    assert redaction.redacted_bytes(b"hunter-hunter-2hunter-hunter") == (
        b"[long: secret][short: secret]"
    )


def test_what_overlaps_the_beginning_of_another_is_replaced():
    redaction.hide("one", "abcabcabx")
    redaction.hide("two", "abxabxabxy")
    for said in (b"abcabcabx", b"abcabcabxabxabxy"):
        assert b"abcabcabx" not in streamed(*(said[at : at + 1] for at in range(len(said))))


def test_what_is_the_beginning_of_no_secret_is_shown_at_once():
    stream = redaction.Stream()
    assert stream.feed(b"node-1# ") == b"node-1# "
    assert (stream.feed("ok pä".encode()), stream.end()) == (b"ok ", "pä".encode())

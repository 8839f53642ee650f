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
        SECRET.encode().hex(),
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

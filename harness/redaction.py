"""Redaction: what this process knows to be secret is never shown. It is told of each secret before
anything could say it, and all that leaves for a run folder, a report or a terminal passes here.
"""

from __future__ import annotations

import base64
import json
import urllib.parse

LEAST = 8  # characters of a secret: a shorter one stands in texts that have nothing to do with it

_known: dict[str, str] = {}  # each form of a secret → what is shown instead


def hide(name: str, secret: str) -> None:
    """Have a secret shown by its name from now on, however it is written: as it is, in JSON, in a
    URL, in base64, or in hexadecimal digits.
    """
    raw = secret.encode()
    forms = {
        secret,
        json.dumps(secret)[1:-1],
        urllib.parse.quote(secret, safe=""),
        urllib.parse.quote_plus(secret),
        raw.hex(),
        *_in_base64(raw),
    }
    _known.update((form, f"[{name}: secret]") for form in forms)


def _in_base64(raw: bytes) -> list[str]:
    """Return how bytes stand in base64, also in that of a longer text (``user:password``): three
    ways, without the characters that what is around them has a part in.
    """
    found = []
    for before, shared in enumerate((0, 2, 3)):
        encoded = base64.b64encode(bytes(before) + raw).decode()
        is_whole = (before + len(raw)) % 3 == 0
        found.append(encoded[shared:] if is_whole else encoded.rstrip("=")[shared:-1])
    return found


def redacted(text: str) -> str:
    """Return the text with every known secret replaced by its name."""
    for form in sorted(_known, key=len, reverse=True):
        text = text.replace(form, _known[form])
    return text


def redacted_bytes(data: bytes) -> bytes:
    """Return bytes with every known secret replaced by its name; all others are as they were."""
    for form in sorted(_known, key=len, reverse=True):
        data = data.replace(form.encode(), _known[form].encode())
    return data

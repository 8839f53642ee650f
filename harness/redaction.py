"""Redaction: what this process knows to be secret is never shown. It is told of each secret before
anything could say it, and all that leaves for a run folder, a report or a terminal passes here.
"""

from __future__ import annotations

import base64
import json
import re
import urllib.parse
from collections.abc import Collection

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
        *_in_urls(secret),
        raw.hex(),
        raw.hex().upper(),
        *_in_base64(raw),
    }
    _known.update((form, f"[{name}: secret]") for form in forms)


def _in_urls(secret: str) -> list[str]:
    """Return how a text stands in a URL: its slashes kept or not, in a path or in a query, with
    digits of either case.
    """
    quote = urllib.parse.quote
    found = [quote(secret, safe=""), quote(secret), urllib.parse.quote_plus(secret)]
    return found + [re.sub("%..", lambda code: code[0].lower(), each) for each in found]


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
    return _shown(data, is_whole=True)[0]


def is_needed() -> bool:
    """Whether there is any secret to keep."""
    return bool(_known)


class Stream:
    """Redacts bytes as they come. What may be the beginning of a secret is held back until what
    comes next, or the end, tells: half a secret is one too.
    """

    def __init__(self) -> None:
        self._held = b""

    def feed(self, data: bytes) -> bytes:
        """Return what can be shown by now."""
        shown, self._held = _shown(self._held + data, is_whole=False)
        return shown

    def end(self) -> bytes:
        """Return what was held back, after which nothing comes."""
        shown, self._held = redacted_bytes(self._held), b""
        return shown


def _shown(data: bytes, *, is_whole: bool) -> tuple[bytes, bytes]:
    """Return the data without secrets, and what of its end may be the beginning of one: nothing
    where it is whole. Of secrets that overlap the first is replaced, of those that begin at one
    place the longest.
    """
    known = {form.encode(): said.encode() for form, said in list(_known.items())}
    there = sorted((form for form in known if form in data), key=len, reverse=True)
    any_form = re.compile(b"|".join(map(re.escape, there)))
    parts, at = list[bytes](), 0
    while True:
        end = len(data) if is_whole else _whole_until(data, at, known)
        found = any_form.search(data, at) if there else None
        if found is None or found.start() >= end:
            return b"".join([*parts, data[at:end]]), data[end:]
        parts += [data[at : found.start()], known[found[0]]]
        at = found.end()


def _whole_until(data: bytes, at: int, forms: Collection[bytes]) -> int:
    """Return the first place from `at` on from which the data is the beginning of a longer form."""
    longest = max(map(len, forms), default=0)
    for place in range(max(at, len(data) - longest + 1), len(data)):
        end = data[place:]
        if any(len(form) > len(end) and form.startswith(end) for form in forms):
            return place
    return len(data)

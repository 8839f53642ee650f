"""Choices: what people are told whose word is none of those that are possible."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

LISTED_MOST = 24  # more than these nobody reads in a sentence
CLOSEST = 8  # of more


def one_of(found: object, possible: Iterable[str]) -> str:
    """Say what was expected and found: ``expected one of a, b; found 'c'; did you mean 'b'?``."""
    known = list(possible)
    return f"expected one of {listed(known, found)}; found {found!r}{did_you_mean(found, known)}"


def did_you_mean(found: object, possible: Iterable[str]) -> str:
    """Return ``; did you mean 'count'?`` where a possible word is close, else nothing."""
    close = _close(found, possible, 1)
    return f"; did you mean {close[0]!r}?" if close else ""


def possible(found: object, words: Iterable[str]) -> str:
    """Return what is possible, as the end of a sentence about a word that is not: ``; did you mean
    'count'? Possible: count, prefix``. Each word is listed once.
    """
    known = list(dict.fromkeys(words))
    hint = did_you_mean(found, known)
    return f"{hint} Possible: {', '.join(known)}" if hint else f"; possible: {', '.join(known)}"


def listed(possible: Iterable[str], found: object = "") -> str:
    """List what is possible, in its own order; of many the closest to what was found, sorted."""
    known = list(dict.fromkeys(possible))
    if len(known) <= LISTED_MOST:
        return ", ".join(known) or "none"
    some = sorted(_close(found, known, CLOSEST, 0.0) if found else known[:CLOSEST])
    return f"{len(known):,}, such as {', '.join(some)}"


def any_of(words: Iterable[str]) -> str:
    """Join words of which each is as good, or as bad: ``a``, ``a or b``, ``a, b or c``."""
    *first, last = words
    return f"{', '.join(first)} or {last}" if first else last


def _close(found: object, possible: Iterable[str], most: int, least: float = 0.6) -> list[str]:
    """The possible words closest to what was found, upper case or not, the closest first; a member
    of an enumeration is the word that people write.
    """
    folded: dict[str, str] = {}
    for word in map(str, possible):
        folded.setdefault(word.casefold(), word)
    said = str(found).casefold()
    return [folded[one] for one in difflib.get_close_matches(said, folded, most, least)]

"""Metrics of operations of a system's own, by the form of their names: ``enqueue.latency``, and the
share by the operation's ledger, ``enqueue.stored``; ``enqueue.return_to_baseline``. Which there
are, a run says. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from harness.operations.own import RETURN, SHARES, TIME, is_word


def split(name: str) -> tuple[str, str] | None:
    """Return the word of the operation that a metric is of, and what it is of it; None where no
    operation of a system's own can have it.
    """
    word, _, what = name.partition(".")
    return (word, what) if is_word(word) and what in {*SHARES, TIME, RETURN} else None


def is_own(name: str) -> bool:
    """Whether it is a metric of an operation of a system's own."""
    return split(name) is not None


def is_share(name: str) -> bool:
    """Whether it is the share of an operation of a system's own that came true."""
    found = split(name)
    return found is not None and found[1] in SHARES


def is_time(name: str) -> bool:
    """Whether it is how long each operation of a system's own took."""
    found = split(name)
    return found is not None and found[1] == TIME


def is_of_each(name: str) -> bool:
    """Whether it is of each operation of a system's own."""
    return is_share(name) or is_time(name)


def is_return(name: str) -> bool:
    """Whether it is how long a stream of a system's own operations took to return."""
    found = split(name)
    return found is not None and found[1] == RETURN


class Names(frozenset[str]):
    """Names of metrics, and by their form those of operations of systems' own: what is said of a
    metric of the table is said of these too.
    """

    by_form: Callable[[str], bool]

    @classmethod
    def of(cls, names: Iterable[str], by_form: Callable[[str], bool]) -> Names:
        """Make those of the table, and those by their form."""
        made = cls(names)
        made.by_form = by_form
        return made

    def __contains__(self, name: object) -> bool:
        return super().__contains__(name) or (isinstance(name, str) and self.by_form(name))

    def also(self, *names: str) -> Names:
        """Return these and some more."""
        return Names.of({*self, *names}, self.by_form)

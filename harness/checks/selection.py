"""Which checks a run is held to beyond what every run is: those that its scenario asks for, by
their word, with a time where they take one (``membership within 5 s``), or as anybody's own
``module:function``.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import AbstractContextManager, redirect_stdout
from functools import partial

from harness import plugin
from harness.checks import record
from harness.checks.check import Check
from harness.checks.verdict import Answer, Cause, Finding
from harness.errors import BadFileError, UsageError
from harness.history.gaps import EVERYTHING, Part, Parts
from harness.topology.quantities import time_ms

TABLE: Mapping[str, str] = {
    "coverage-by-side": "harness.checks.coverage:check",
    "isolation": "harness.checks.isolation:check",
    "leaks": "harness.checks.leak_check:check",
    "linearizability": "harness.checks.linearizability:check",
    "membership": "harness.checks.membership:check",
    "ordered": "harness.checks.ordered:check",
    "register": "harness.checks.register:check",
    "register-by-side": "harness.checks.register_by_side:check",
}
WITHIN = " within "
BOUNDED = ("membership",)  # those that take a time


def word(name: str) -> str:
    """Return what names the check, without its time."""
    return name.partition(WITHIN)[0]


def is_foreign(name: str) -> bool:
    """Whether the check is Python of the user's own, which `load` would run."""
    return ":" in name and name not in TABLE


def load(name: str) -> Check:
    """Load a check by its word, with its time, or as ``module:function``. Raises UsageError.

    A run folder names it, which somebody else may have made: what only a program would run, or
    Python's own, is no check.
    """
    modules = name.partition(":")[0].split(".")
    if is_foreign(name) and (modules[0] in sys.stdlib_module_names or "__main__" in modules):
        found = "a program" if "__main__" in modules else "Python's own"
        raise UsageError(f"checks: {name!r}: expected a check of yours, found {found}")
    found = plugin.load("checks", TABLE, word(name))
    if not callable(found):
        raise UsageError(f"checks: {name!r}: expected a function of a history, found {found!r}")
    check: Check = found if WITHIN not in name else partial(found, within_ns=_within_ns(name))
    return check


def _within_ns(name: str) -> int:
    """Return the time that a check is given. Raises UsageError."""
    if word(name) not in BOUNDED:
        raise UsageError(f"checks: {name!r}: {', '.join(BOUNDED)} alone takes a time")
    try:
        found = round(time_ms(name.partition(WITHIN)[2]) * 1e6)
    except BadFileError as error:
        raise UsageError(f"checks: {name!r}: {error}") from None
    if not found:
        raise UsageError(f"checks: {name!r}: expected a time above 0")
    return found


def aside() -> AbstractContextManager[object]:
    """Have what a check of the user's own prints, or its module as it is imported, told beside the
    answer, which may be JSON.
    """
    return redirect_stdout(sys.stderr)


def require(names: Sequence[str], *, imports: bool = True) -> str:
    """Raise UsageError for a check that cannot be had; return, as the end of a sentence, which were
    not looked at. `imports`: whether one of the user's own may be imported.
    """
    unseen = [name for name in names if is_foreign(name) and not imports]
    with aside():
        for name in names:
            if name not in unseen:
                needs(name, load(name))
    if not unseen:
        return ""
    return (
        f"; its check {unseen[0]} was not looked at: it is Python of your own, which --import runs"
    )


def needs(name: str, check: Check) -> Parts | None:
    """Return what a selected check takes of the record; one of the user's own may say it itself.
    Raises UsageError where what it says are no parts of a record.
    """
    said = getattr(check, "needs", None)
    if said is None:
        return record.needs_of(word(name))
    if not isinstance(said, AbstractSet) or not said <= EVERYTHING:
        raise UsageError(
            f"checks: {name!r}: needs: expected a set of parts of a record ({', '.join(Part)}), "
            f"found {said!r}"
        )
    return frozenset(said)


def findings(name: str, found: object, names: AbstractSet[str]) -> list[Finding]:
    """Return what a selected check found; where that is nothing, an UNKNOWN finding that says so.
    Raises TypeError where it is no list of findings, ValueError where one of the user's own has the
    name of another check's: one of `names`.
    """
    if not isinstance(found, list) or not all(isinstance(one, Finding) for one in found):
        raise TypeError(f"expected a list of findings, found {str(found)[:80]}")
    if (taken := sorted({one.name for one in found} & names)) and is_foreign(name):
        raise ValueError(f"expected findings of names of its own, found {taken[0]!r}")
    return found or [nothing(name)]


def not_asked(name: str, why: str) -> Finding:
    """Make the finding of a check that was asked for, of a system that has nothing for it."""
    return Finding(
        name=name, answer=Answer.NOT_ASKED, promised="a judgement", measured="–", sentence=why
    )


def nothing(name: str) -> Finding:
    """Make the finding of a check that was asked for and had nothing to check."""
    return Finding(
        name=f"{name}: something to check",
        answer=Answer.UNKNOWN,
        promised="a judgement",
        measured="nothing",
        sentence=f"the scenario asks for the check {name}, and nothing of this run is its business",
        cause=Cause.VACUOUS,
    )

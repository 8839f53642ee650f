"""What is always there between regions is read from a topology's ``[[region_link]]``."""

from __future__ import annotations

from functools import partial

from harness.errors import BadFileError
from harness.scenario.tables import Table, with_file
from harness.topology import impairment
from harness.topology.impairment import Impairment


def read_region_links(table: Table) -> dict[tuple[str, str], Impairment]:
    """Read all of them: ``[[region_link]] between = ["eu", "us"]``. Raises BadFileError.

    It holds both ways unless `one_way` is set.
    """
    found: dict[tuple[str, str], Impairment] = {}
    for one in table.tables("region_link"):
        ends = one.texts("between")
        if len(ends) != 2:
            raise BadFileError(
                f"{one.where}.between: expected the names of two regions (one may stand twice), "
                f"found {ends!r}"
            )
        words = _words(one)
        if not words:
            raise BadFileError(
                f"{one.where}: expected at least one of {', '.join(impairment.WORDS)}; found none"
            )
        what = with_file(one.where, partial(impairment.impairment, words))
        there, back = (ends[0], ends[1]), (ends[1], ends[0])
        for pair in {there} if one.take("one_way", bool, False) else {there, back}:
            if pair in found:
                raise BadFileError(f"{one.where}.between: {pair[0]} to {pair[1]} stands twice")
            found[pair] = what
        one.finish()
    return found


def _words(table: Table) -> dict[str, str]:
    return {
        key: value
        for key in impairment.WORDS
        if (value := table.take_or_none(key, str)) is not None
    }

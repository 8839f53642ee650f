"""The "Delivery" tab: what became of the operations so far, by operation, and who still waits; and
what receivers got of them, as far as the judge has looked.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from time import monotonic_ns
from typing import Any

from harness.load.locust import own_operations
from harness.load.locust.tabs import blocks, quantities, verdict
from harness.load.locust.tabs.blocks import Block
from harness.load.locust.tabs.desk import Desk
from harness.load.tally import LATE_S
from harness.operations import TABLE

COLUMNS = (
    "Operation", "Due", "Acknowledged", "Failed", "Unknown", "In flight", "Oldest in flight",
    "p50", "p95", "p99", "p99.9", "Pacer lag p99",
)  # fmt: skip
SAID = (
    "Times are from the intended send to the acknowledgement, of what was acknowledged, and of "
    "what is still in flight the time that it has waited so far. Failed and unknown operations "
    "have no time and count as failures; what was due and could not be sent has failed."
)
RECEIVED = ("At the receivers", "Answer", "Received, lost, twice", "Promised", "Why")
JOURNALS = "What receivers got, lost or got twice of what was acknowledged, their journals tell"


def view(desk: Desk, wanted: str) -> list[Block]:
    """The tab; `wanted`: only operations whose name has this."""
    rows, tallies = [], desk.master.tallies()
    for word, tally in sorted(tallies.items()):
        if wanted not in word:
            continue
        facts, times = tally.facts(), tally.with_waiting()
        ended = [facts[name] for name in ("ok", "failed", "unknown")]
        oldest = tally.oldest_s(monotonic_ns())
        late = oldest is not None and oldest > LATE_S
        rows.append(
            blocks.row(
                word,
                f"{sum(ended) + tally.in_flight:,}",
                f"{facts['ok']:,}",
                blocks.marked(f"{facts['failed']:,}", "bad" if facts["failed"] else ""),
                blocks.marked(f"{facts['unknown']:,}", "warn" if facts["unknown"] else ""),
                f"{tally.in_flight:,}",
                blocks.marked(quantities.seconds(oldest), "bad" if late else ""),
                *(_time(times.percentile_us(part)) for part in (0.5, 0.95, 0.99, 0.999)),
                _time(facts["lag_p99_us"]),
            )
        )
    if not rows:
        no = f"no operation has {wanted!r} in its name" if tallies else "nothing was sent yet"
        return [blocks.text(no)]
    shown = [blocks.table(COLUMNS, rows, numbers=COLUMNS[1:]), blocks.text(SAID, "soft")]
    return [*shown, *_received(desk, [word for word in tallies if wanted in word])]


def _received(desk: Desk, words: Iterable[str]) -> list[Block]:
    """What the newest verdict says of these operations' ledgers."""
    as_of, findings = verdict.newest(desk)
    is_ledger = re.compile("|".join(_ledger_names(words)) or "(?!)").fullmatch
    mine = [finding for finding in findings if is_ledger(finding["name"])]
    if not mine:
        return [blocks.text(f"{JOURNALS}: nobody has judged them yet", "soft")]
    return [blocks.text(f"{JOURNALS}: {as_of}"), blocks.table(RECEIVED, [*map(verdict.row, mine)])]


def _ledger_names(words: Iterable[str]) -> list[str]:
    """Patterns of the names that findings about these operations' ledgers have."""
    specs: dict[str, Any] = {spec.word: spec for spec in TABLE}
    specs |= {one.word: one.spec for one in own_operations.here()}
    found = []
    for word in words:
        ledger = specs[word].ledger if word in specs else None
        if ledger is not None:
            said = re.escape(ledger.finding).replace(re.escape("{others}"), r"\d+")
            found += [said, rf"{re.escape(word)}: (?:not acknowledged|done after)\b.*"]
    return found


def waiting_sentence(desk: Desk) -> str:
    """Say that operations wait longer than they should; empty where none does."""
    now_ns, tallies = monotonic_ns(), desk.master.tallies()
    late = {word: tally.late for word, tally in tallies.items() if tally.late}
    ages = [age for word in late if (age := tallies[word].oldest_s(now_ns)) is not None]
    if not ages:
        return ""
    each = ", ".join(f"{count:,} {word}" for word, count in sorted(late.items()))
    return (
        f"no answer for more than {LATE_S:g} s: {each}; the oldest waits for "
        f"{quantities.seconds(max(ages))} (the figures below count them as failed so far, "
        "with the time that they have waited)"
    )


def _time(value_us: float | None) -> str:
    return quantities.seconds(None if value_us is None else value_us / 1e6)

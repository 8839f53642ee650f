"""How well a fault in force is proven, in a sentence."""

from __future__ import annotations

from harness.history.proof import ProofAnswer
from harness.history.shown import Standing, shown


def look(
    answer: ProofAnswer, at_s: float, node: int
) -> dict[tuple[object, ...], dict[str, object]]:
    said = {"fault": "f", "what": "paused", "path": [], "backend": "processes", "sentence": ""}
    return {("paused", node): {**said, "answer": answer.value, "at_ns": at_s * 1e9}}


def test_looks_are_counted():
    seen = look(ProofAnswer.IN_FORCE, 9, 0)
    assert (
        shown("f", "paused", {"f": seen}, 0, 10).sentence == "proven by 1 look, the newest 1 s ago"
    )
    for more, said in ((1, "1 look did not"), (2, "2 looks did not")):
        seen |= look(ProofAnswer.AMOUNT_NOT_SHOWN, 9, more)
        found = shown("f", "paused", {"f": seen}, 0, 10)
        assert found.standing is Standing.NOT_PROVEN
        assert found.sentence.endswith(f"; {said} show its amount")

"""Nodes that lie, through a command file and through a class: each lie is named by the finding that
it is for, and the same node without a lie passes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from kit import liars
from kit.desk import Desk

pytestmark = [pytest.mark.root, pytest.mark.slow]
MESSAGES = "operations that came true: private_message"
LEDGER = "private messages: acknowledged and delivered"
ALIVE = "nodes: alive throughout"
RECORD = "record complete"
CASTS = "broadcasts: in the journals of all 5 other nodes"
LOST = {  # the one in fifty
    "class": r"^1 acknowledged but in no journal",
    "command": r"\b1 × the target has not told of it within 2,000 ms",
}
TOGETHER = {  # lies that are told from one another in one run, and since which message each is told
    "swallows": 0,
    "refuses": 0,
    "drops": 0,
    "repeats": 0,
    "dies": 20,
    "leaves": 20,
    "boasts": 0,
}
# lie → way → finding, its answer, what stands in what was measured or in its sentence
NAMED = {
    "refuses": {
        "command": (MESSAGES, "MEASURED", "× the node answered: NO"),
        "class": (MESSAGES, "MEASURED", "× NO"),
    },
    "swallows": {
        "command": (MESSAGES, "MEASURED", "× the target has not told of it within 2,000 ms"),
        "class": (LEDGER, "FAIL", "acknowledged but in no journal"),
    },
    "repeats": dict.fromkeys(liars.SYSTEMS, (LEDGER, "FAIL", "delivered more than once")),
    "dies": dict.fromkeys(liars.SYSTEMS, (ALIVE, "FAIL", "(phase load), with exit code 3")),
    "leaves": dict.fromkeys(
        liars.SYSTEMS, (ALIVE, "FAIL", "with exit code 0, and left 1 process (python3")
    ),
    "boasts": {
        "class": ("nodes: what they tell of themselves", "FAIL", "boasts told 99 links"),
    },
}


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    made = Desk(tmp_path, "liars")
    made.environment |= liars.paths()
    yield made
    made.close()


def played(desk: Desk, scenario: Path) -> tuple[int, dict[str, dict[str, Any]]]:
    """The exit code of a run, and its findings by name; nothing is left of it."""
    done = desk.harness("run", str(scenario), "--json")
    assert done.stdout.startswith("{"), done.stderr
    desk.assert_nothing_left()
    return done.returncode, {one["name"]: one for one in json.loads(done.stdout)["findings"]}


@pytest.mark.parametrize("way", liars.SYSTEMS)
def test_each_lie_is_named_beside_others(desk, way):
    lies = {f"{lie}": f"{lie}@{since}" for lie, since in TOGETHER.items()}
    code, found = played(desk, liars.written(desk.folder, way, {"honest": "none", **lies}))
    assert code == 1
    for lie, ways in NAMED.items():
        if way not in ways:
            continue
        name, answer, said = ways[way]
        one = found[name]
        assert one["answer"] == answer, (lie, one)
        assert said in one["measured"] + one["sentence"], (lie, one)
    assert found[ALIVE]["measured"] == "6 of 8"


@pytest.mark.parametrize("way", liars.SYSTEMS)
def test_answers_before_it_was_asked_make_no_pass(desk, way):
    """Whose the later answers are nobody can tell, so the whole record is in doubt."""
    lies = {"honest": "none", "garbles": "garbles", "early": "early"}
    code, found = played(desk, liars.written(desk.folder, way, lies, seconds=2))
    assert code != 0
    said = found[RECORD]["sentence"]
    assert found[RECORD]["answer"] == "UNKNOWN"
    # The class reports ids alone, and not what stands behind them.
    assert ("garbles: it reports another payload" in said) is (way == "command")
    assert "early: the node said " in said
    assert " when nothing was asked" in said


@pytest.mark.parametrize("way", liars.SYSTEMS)
def test_ids_that_were_not_told_are_no_receipts_and_silence_is_named(desk, way):
    """Who counted on from an id that it had seen was right, and a guess that it told late was
    believed.
    """
    names = ("predicts", "guesses", "drops", "predates")
    lies = {"honest": "none", "hangs": "hangs@36", **{name: name for name in names}}
    code, found = played(desk, liars.written(desk.folder, way, lies, seconds=4))
    assert code == 1
    early = found.get("private_message: done after it was sent", {"answer": "not stamped by it"})
    assert early["answer"] == {"class": "FAIL", "command": "not stamped by it"}[way]
    lost = found[LEDGER]["measured"] if way == "class" else found[MESSAGES]["sentence"]
    assert re.search(LOST[way], lost), lost
    made_up = found["journals: nothing that nobody sent"]
    assert made_up["answer"] == "FAIL"
    assert re.fullmatch(r"(predicts|guesses) has a record .*", made_up["sentence"])
    assert int(made_up["measured"].split()[0]) > 10
    assert "delivered to another node" not in found[LEDGER]["measured"]
    assert (CASTS, found[CASTS]["answer"]) == (CASTS, "FAIL")
    assert "not everywhere" in found[CASTS]["measured"]
    assert "× no answer within 2,000 ms" in found[MESSAGES]["sentence"]


@pytest.mark.parametrize("way", liars.SYSTEMS)
def test_the_same_node_without_a_lie_passes(desk, way):
    honest = dict.fromkeys(["one", "two", "three"], "none")
    code, found = played(desk, liars.written(desk.folder, way, honest, seconds=3))
    assert {one["answer"] for one in found.values()} <= {"PASS", "MEASURED"}, found
    assert code == 0

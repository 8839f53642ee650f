"""When nodes were not there, as the events of a run tell it."""

from __future__ import annotations

import pytest
from kit.histories import SECOND, history

from harness.checks import silences
from harness.checks.silences import Stretch
from harness.history.events import NodeChanged, NodeReadiness, NodeStarted


@pytest.mark.parametrize(("awaited", "away_until"), [(False, 6), (True, 3)])
def test_a_node_is_away_until_it_is_ready_or_was_silent_for_long(awaited, away_until):
    """What nobody waited for is no more the system's than the time in which it was down."""
    events = (
        NodeChanged(node="node-1", condition="killed", at_ns=2 * SECOND),
        NodeStarted(node="node-1", at_ns=3 * SECOND),
        NodeReadiness(node="node-1", at_ns=3 * SECOND, ready=False, awaited=awaited),
        NodeReadiness(node="node-1", at_ns=6 * SECOND, ready=True),
    )
    found = silences.of(history(events=events))
    assert max(one.end_ns for one in found.away) == away_until * SECOND
    assert found.unready == (Stretch(1, 3 * SECOND, 6 * SECOND),)


def test_what_ran_again_and_could_not_journal_is_mute_until_its_journal_went_on():
    """A node that was short of descriptors took no journal after its restart: what it received was
    in none, FAIL, "what the sender was told is not what happened".
    """
    began = (
        NodeChanged(node="node-1", condition="killed", at_ns=2 * SECOND),
        NodeStarted(node="node-1", at_ns=3 * SECOND, journals_ns=NodeStarted.NO_JOURNAL),
    )
    again = (
        NodeChanged(node="node-1", condition="killed", at_ns=6 * SECOND),
        NodeStarted(node="node-1", at_ns=8 * SECOND, journals_ns=7 * SECOND),
    )
    found = silences.of(history(events=began))
    assert found.mute == (Stretch(1, 2 * SECOND, silences.FOR_EVER_NS),)
    assert [one.end_ns for one in found.away] == [3 * SECOND]  # it ran
    assert silences.of(history(events=began + again)).mute == (Stretch(1, 2 * SECOND, 7 * SECOND),)

"""What no session has is refused in a sentence, before anything starts."""

from __future__ import annotations

import pytest

from harness.errors import UsageError
from harness.experiments.session import up
from harness.experiments.session.faults import read


@pytest.mark.parametrize("start", [up.up, up.attach])
@pytest.mark.parametrize(
    ("words", "said"),
    [
        ({"workers": 0}, r"^workers: expected 1 to 64, found 0$"),
        ({"workers": "2"}, r"^workers: expected 1 to 64, found '2'$"),
        ({"workers": 65}, r"^workers: expected 1 to 64, found 65$"),
        ({"seed": -1}, r"^seed: expected 0 to .* found -1$"),
        ({"name": "../x"}, r"^name: expected that of a folder, found '\.\./x'$"),
        ({"name": ""}, r"^name: expected that of a folder, found ''$"),
    ],
)
def test_settings_that_no_session_has_are_refused_before_anything_starts(start, words, said):
    """A cluster of no load workers came up, and a folder beside the run folders was made."""
    with pytest.raises(UsageError, match=said):
        start("cluster-10", cluster="t-none", **words)


def test_a_fault_of_nothing_is_named_once():
    with pytest.raises(UsageError, match=r"^fault: expected where "):
        read({})

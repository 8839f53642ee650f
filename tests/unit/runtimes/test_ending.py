"""How a process ended, as a person says it."""

from __future__ import annotations

import pytest

from harness.runtimes.runtime import Ending

STAY = ". A node lives as long as the process that it was started with: have a program that goes "


@pytest.mark.parametrize(
    ("ending", "words", "says_stay"),
    [
        (Ending(code=3), "exit code 3", False),
        (Ending(signal=13), "signal 13 (SIGPIPE)", False),
        (Ending(with_holder=True), "the zygote that held it ended", False),
        (Ending(), "exit code unknown", False),
        (Ending(code=0), "exit code 0", True),
        (Ending(code=1, left=("serve",)), "exit code 1, and left serve", True),
        (Ending(code=0, left=("a", "b", "c")), "exit code 0, and left a and 2 more", True),
    ],
)
def test_an_ending_is_said_with_what_was_left(ending, words, says_stay):
    """Of a daemon it was said that it ended while starting, and its log that it was ready."""
    assert ending.words == words
    assert ending.words_at_start.startswith(words)
    assert (STAY in ending.words_at_start) is says_stay

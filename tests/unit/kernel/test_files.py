"""A file that is replaced is whole at every moment."""

from __future__ import annotations

import multiprocessing
import os
import signal
from pathlib import Path

import pytest

from harness.kernel.files import replace_text

LONG = 4_000_000


def _replace_for_ever(path: Path) -> None:
    for letter in "ab" * 1_000_000:
        replace_text(path, letter * LONG)


def test_a_writer_that_is_killed_leaves_the_old_text_or_the_new(tmp_path: Path):
    path = tmp_path / "verdict.json"
    replace_text(path, "b" * LONG)
    for _ in range(5):
        writer = multiprocessing.get_context("fork").Process(target=_replace_for_ever, args=(path,))
        writer.start()
        seen = set()
        while len(seen) < 2:  # and so does a reader, at any moment
            text = path.read_text()
            assert len(text) == LONG
            seen |= set(text)
        assert writer.pid is not None
        os.kill(writer.pid, signal.SIGKILL)
        writer.join()
        assert path.read_text() in ("a" * LONG, "b" * LONG)


def test_what_cannot_be_written_leaves_the_old_text_and_nothing_else(tmp_path: Path):
    path = tmp_path / "verdict.json"
    replace_text(path, "old")
    with pytest.raises(UnicodeEncodeError):
        replace_text(path, "x" * LONG + "\udc80")
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["verdict.json"]

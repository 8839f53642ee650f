"""The first lines of a supervisor's life."""

from __future__ import annotations

import os

from harness.supervisor import __main__ as first_lines
from harness.supervisor import supervisor


def test_it_gives_back_what_it_frees_before_it_has_threads(monkeypatch):
    done = []
    monkeypatch.setattr(
        first_lines.memory, "give_back_what_is_freed", lambda: done.append("memory")
    )
    monkeypatch.setattr(first_lines.priority, "lead_session", lambda: done.append("session"))
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(supervisor, "main", lambda *given: done.append(given))
    first_lines.main(3, "netns")
    assert done == ["memory", "session", (3, None)]

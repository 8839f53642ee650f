"""Long repeats keep what they saw in docs/evidence/, go on where they stopped, and write a section
of docs/evidence.md.
"""

from __future__ import annotations

import json
import subprocess
from typing import Any

from sections import ROOT, publish

DOCUMENT = ROOT / "docs" / "evidence.md"


class Record:
    """One repeat's results: a line of JSON each, appended as they come."""

    def __init__(self, name: str) -> None:
        self._name = name
        self.file = ROOT / "docs" / "evidence" / f"{name}.jsonl"
        self.file.parent.mkdir(exist_ok=True)

    def add(self, result: dict[str, Any]) -> None:
        """Keep one result, whole, with the commit: a line is written by one call."""
        said = ["git", "-C", str(ROOT), "rev-parse", "--short", "HEAD"]
        commit = subprocess.run(said, capture_output=True, text=True, check=False).stdout.strip()
        result = result | {"commit": commit}
        with self.file.open("a") as file:
            file.write(json.dumps(result) + "\n")

    def results(self) -> list[dict[str, Any]]:
        """All results so far; a line that was torn is none."""
        if not self.file.exists():
            return []
        lines = self.file.read_text().splitlines(keepends=True)
        return [json.loads(line) for line in lines if line.endswith("}\n")]

    def publish(self, text: str) -> None:
        """Replace the repeat's section of docs/evidence.md; a new one comes last."""
        publish(DOCUMENT, self._name, text)

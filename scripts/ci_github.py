"""What a workflow tells people on GitHub, by its REST API (GITHUB_API_URL, GITHUB_REPOSITORY,
GH_TOKEN).

``ci_github.py comment NUMBER FILE`` writes a comment on a pull request, or puts the new text in the
place of the one that begins with the same line. ``ci_github.py issue TITLE FILE`` opens an issue,
or comments on the open one of that title. ``--link URL`` stands at the end.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import requests

TIMEOUT_S = 30.0
MAX_CHARACTERS = 65_000  # of a comment there are at most 65,536
PAGE = 100


class GitHub:
    """The issues of one repository; pull requests have comments of the same kind."""

    def __init__(self) -> None:
        api = os.environ.get("GITHUB_API_URL", "https://api.github.com")
        self._issues = f"{api}/repos/{os.environ['GITHUB_REPOSITORY']}/issues"
        self._session = requests.Session()
        self._session.headers["Authorization"] = f"Bearer {os.environ['GH_TOKEN']}"
        self._session.headers["Accept"] = "application/vnd.github+json"

    def comment(self, number: int, text: str) -> str:
        """Write the comment, or put it in the place of ours; return its address."""
        mark = text.splitlines()[0]
        for one in self._all(f"{self._issues}/{number}/comments", {}):
            if str(one["body"]).startswith(mark):
                return self._send("PATCH", f"{self._issues}/comments/{one['id']}", body=text)
        return self._send("POST", f"{self._issues}/{number}/comments", body=text)

    def issue(self, title: str, text: str) -> str:
        """Open an issue, or comment on the open one of that title; return its address."""
        for one in self._all(self._issues, {"state": "open"}):
            if one["title"] == title and "pull_request" not in one:
                return self._send("POST", f"{self._issues}/{one['number']}/comments", body=text)
        return self._send("POST", self._issues, title=title, body=text)

    def _all(self, address: str, wanted: dict[str, str]) -> Iterator[dict[str, Any]]:
        page = 1
        while True:
            asked = {**wanted, "per_page": str(PAGE), "page": str(page)}
            answer = self._session.get(address, params=asked, timeout=TIMEOUT_S)
            answer.raise_for_status()
            found = answer.json()
            yield from found
            if len(found) < PAGE:
                return
            page += 1

    def _send(self, method: str, address: str, **said: str) -> str:
        answer = self._session.request(method, address, json=said, timeout=TIMEOUT_S)
        answer.raise_for_status()
        return str(answer.json()["html_url"])


def main() -> int:
    """Say it; 1 where it could not be said."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["comment", "issue"])
    parser.add_argument("where", help="the number of the pull request, or the issue's title")
    parser.add_argument("file", type=Path)
    parser.add_argument("--link", default="")
    asked = parser.parse_args()
    try:
        text = asked.file.read_text()
    except OSError as error:
        text = (
            f"There is no {asked.file} ({error.strerror}): the job ended before it was written.\n"
        )
    end = f"\n\n{asked.link}" if asked.link else ""
    room = MAX_CHARACTERS - len(end)
    text = (text if len(text) <= room else f"{text[: room - 20]}\n… (cut short)") + end
    try:
        github = GitHub()
        if asked.what == "comment":
            print(github.comment(int(asked.where), text))
        else:
            print(github.issue(asked.where, text))
    except (requests.RequestException, KeyError, ValueError) as error:
        print(f"ci: not said: {type(error).__name__}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""``python -m harness.load.locust.configuration FILE`` says what Locust would refuse in a
locust.conf, a line each: a process of its own, because importing Locust patches it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from locust.argument_parser import get_empty_argument_parser, setup_parser_arguments

from harness.choices import did_you_mean, one_of
from harness.load.locust import options


def wrong(file: Path) -> Iterator[str]:
    """Yield what is wrong in it, a sentence a key."""
    parser = get_empty_argument_parser(add_help=True, default_config_files=[])
    setup_parser_arguments(parser)
    options.add(parser)
    actions = {
        key: action
        for action in parser._actions
        for key in parser.get_possible_config_keys(action)
        if not key.startswith("-")
    }
    with file.open(encoding="utf-8") as text:
        found = parser._config_file_parser.parse(text)
    for key, value in found.items():
        action = actions.get(key)
        if action is None:
            yield f"{key}: Locust and the harness have no such option{did_you_mean(key, actions)}"
        elif said := _misfit(action, value):
            yield f"{key}: {said}"


def _misfit(action: Any, value: Any) -> str:
    """Say why an option cannot have a value; empty where it can."""
    if action.nargs == 0:  # a flag
        words = ("true", "false", "yes", "no", "1", "0")
        return "" if str(value).lower() in words else f"expected true or false, found {value!r}"
    for one in value if isinstance(value, list) else [value]:
        try:
            made = action.type(one) if action.type is not None else one
        except (TypeError, ValueError):
            return f"expected {_word(action.type)}, found {one!r}"
        if action.choices is not None and made not in action.choices:
            return one_of(made, action.choices)
    return ""


def _word(kind: Any) -> str:
    return {int: "a whole number", float: "a number"}.get(kind, "a value that Locust can read")


if __name__ == "__main__":
    for sentence in wrong(Path(sys.argv[1])):
        print(sentence)

"""``python -m harness.machine COMMAND...``: run a command in a throw-away machine; its output and its exit code."""

from __future__ import annotations

import sys
from pathlib import Path

from harness.errors import HarnessError
from harness.machine import run


def main() -> int:
    """Run what the command line says."""
    try:
        code, output = run(sys.argv[1:], directory=Path.cwd(), progress=lambda what: print(f"machine: {what}", file=sys.stderr, flush=True))
    except HarnessError as error:
        print(f"machine: {error}", file=sys.stderr)
        return error.exit_code
    print(output, end="")
    return code


if __name__ == "__main__":
    sys.exit(main())

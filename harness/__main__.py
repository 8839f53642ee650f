"""``python -m harness`` is ``harness``."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line; also a Ctrl-C while it is still being imported is one sentence."""
    try:
        from harness.cli import main as command_line

        command_line()
    except KeyboardInterrupt:
        print("harness: interrupted", file=sys.stderr)
        sys.exit(130)


if __name__ == "__main__":
    main()

"""The command `meshnode`: run a node, fork nodes on demand, make identities."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from meshnode import process, zygote
from meshnode.config import Config, ConfigError
from meshnode.identity import Authority, IdentityError


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns the exit code: 0, or 1 after one sentence on stderr."""
    options = _parsed(arguments)
    try:
        if options.command == "run":
            process.run(Config.load(options.config))
        elif options.command == "zygote":
            requests = (
                zygote.connect(options.connect)
                if options.connect
                else zygote.inherited(options.socket_fd)
            )
            zygote.serve(requests, main)
        else:
            print(Authority.load_or_create(options.ca_dir).issue(options.out, options.name).hex())
    except (ConfigError, IdentityError) as error:
        print(f"meshnode: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(
            f"meshnode: {error.filename or options.command}: {error.strerror or error}",
            file=sys.stderr,
        )
        return 1
    return 0


def _parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    """How a node is started is read at once: argparse takes a forked node 0.8 ms of its 35."""
    match arguments:
        case ["run", "--config", file] if not file.startswith("-"):
            return argparse.Namespace(command="run", config=Path(file))
    return _parser().parse_args(arguments)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="meshnode", description="A small real peer-to-peer node (PROTOCOL.md)."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="run one node until SIGTERM")
    run.add_argument("--config", type=Path, required=True, metavar="FILE")
    fork = commands.add_parser("zygote", help="fork nodes on demand")
    where = fork.add_mutually_exclusive_group(required=True)
    where.add_argument(
        "--socket-fd", type=int, metavar="N", help="an inherited SOCK_SEQPACKET socket"
    )
    where.add_argument(
        "--connect", metavar="PATH", help="a unix SOCK_SEQPACKET socket to connect to"
    )
    identity = commands.add_parser(
        "identity", help="sign a new identity, with a new authority where there is none"
    )
    identity.add_argument("--ca-dir", type=Path, required=True, metavar="DIR")
    identity.add_argument("--out", type=Path, required=True, metavar="DIR")
    identity.add_argument("--name", required=True)
    return parser


if __name__ == "__main__":
    sys.exit(main())

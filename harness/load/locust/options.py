"""The options of the load: on Locust's command line, in locust.conf, in the environment, in the web
UI's form.
"""

from __future__ import annotations

from typing import Any

from harness.errors import BadFileError, UsageError
from harness.operation import Operation
from harness.scenario import shipped
from harness.scenario.stream import Arrivals, Stream

DEFAULT_RATES_PER_S = {
    Operation.PRIVATE_MESSAGE: 100.0,
    Operation.BROADCAST: 2.0,
    Operation.DHT_PUT: 10.0,
    Operation.DHT_GET: 10.0,
    Operation.DHT_LOOKUP: 10.0,
    Operation.FILE_TRANSFER: 0.0,  # when asked for: a file of 10 MB is no background load
    Operation.CONNECT: 0.0,
    Operation.DHT_LISTEN: 5.0,
}
AUTO = "auto"


def add(parser: Any) -> None:
    """Add them to Locust's parser. The type of a default is the type that the form gives back.

    Not in an argument group: Locust's form shows only what its own parser's ``add_argument`` has
    marked.
    """
    for operation, rate_per_s in DEFAULT_RATES_PER_S.items():
        word = operation.word
        parser.add_argument(
            f"--{word.replace('_', '-')}-rate",
            type=float,
            default=rate_per_s,
            env_var=f"HARNESS_{word.upper()}_RATE",
            help="operations per second, all workers together; 0: none",
            metavar="PER_S",
        )
    parser.add_argument(
        "--payload-bytes",
        type=int,
        default=256,
        env_var="HARNESS_PAYLOAD_BYTES",
        help="size of messages and values",
        metavar="BYTES",
    )
    parser.add_argument(
        "--file-bytes",
        type=int,
        default=10_000_000,
        env_var="HARNESS_FILE_BYTES",
        help="size of files",
        metavar="BYTES",
    )
    parser.add_argument(
        "--arrivals",
        choices=[each.value for each in Arrivals],
        default=Arrivals.UNIFORM.value,
        env_var="HARNESS_ARRIVALS",
        help="how the due times are spread",
    )
    parser.add_argument(
        "--timeout-ms",
        type=int,
        default=10_000,
        env_var="HARNESS_TIMEOUT_MS",
        help="after this, an operation without an answer counts as unknown",
        metavar="MS",
    )
    parser.add_argument(
        "--seed",
        type=int,
        default=1,
        env_var="HARNESS_SEED",
        help="chooses senders, receivers, keys and Poisson gaps",
    )
    parser.add_argument(
        "--budget",
        default=AUTO,
        env_var="HARNESS_BUDGET",
        help="budget that the run is judged by: a file, or the name of a shipped one; auto: "
        "the system's own; empty: not judged",
        metavar="BUDGET",
    )
    parser.add_argument(
        "--runs",
        default="runs",
        env_var="HARNESS_RUNS",
        help="folder of the run folders",
        metavar="FOLDER",
    )


def stream(options: Any, operation: Operation) -> Stream | None:
    """The stream that the options ask for; None at rate 0. Raises UsageError with the option's
    name.
    """
    rate_per_s = getattr(options, f"{operation.word}_rate")
    if rate_per_s == 0:
        return None
    try:
        return Stream(
            operation=operation,
            rate_per_s=rate_per_s,
            payload_bytes=options.file_bytes
            if operation is Operation.FILE_TRANSFER
            else options.payload_bytes,
            arrivals=Arrivals(options.arrivals),
            timeout_ms=options.timeout_ms,
        )
    except (BadFileError, ValueError) as error:
        raise UsageError(f"load options: {operation.word}: {error}") from error


def is_asked_for(options: Any, operation: Operation) -> bool:
    """Whether somebody gave this operation's rate: it is not the default."""
    rate: float = getattr(options, f"{operation.word}_rate")
    return rate not in (0, DEFAULT_RATES_PER_S[operation])


def budget(options: Any, own: str | None) -> str | None:
    """Absolute path of the budget file; None without one. `own`: the system's. Raises BadFileError
    where it is not there.
    """
    named = own if options.budget == AUTO else options.budget
    return str(shipped.find(named, "budgets").resolve()) if named else None

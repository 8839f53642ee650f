"""The options of the load: on Locust's command line, in locust.conf, in the environment, in the web
UI's form.
"""

from __future__ import annotations

from typing import Any

from harness.choices import one_of
from harness.errors import BadFileError, UsageError
from harness.load.locust import default_rates, own_operations
from harness.operations import TABLE, Operation
from harness.operations.operation import MESSAGE
from harness.scenario import seeds, shipped
from harness.scenario.stream import Arrivals, Stream

AUTO = "auto"


def add(parser: Any) -> None:
    """Add the options to Locust's parser. The type of a default is the type that the form gives
    back.

    Not in an argument group: Locust's form shows only what its own parser's ``add_argument`` has
    marked. The web UI is for this host alone, unless somebody says otherwise.
    """
    parser.set_defaults(web_host="127.0.0.1")
    _add_rates(parser)
    _add_sizes(parser)
    _add_pace(parser)
    _add_run(parser)


def _add_rates(parser: Any) -> None:
    lacking = own_operations.lacking().words
    for spec in (*TABLE, *(one.spec for one in own_operations.here())):
        rate = parser.add_argument(
            f"--{_dashed(spec.word)}-rate",
            type=float,
            default=default_rates.rate(float(spec.rate_per_s)),
            env_var=f"HARNESS_{spec.word.upper()}_RATE",
            help="per second; 0: none",  # the page shows it beside the name, on a phone too
            metavar="PER_S",
        )
        if spec.word in lacking:
            rate.include_in_web_ui = False  # where it stands on the command line, it is left out


def _add_sizes(parser: Any) -> None:
    """One option a kind of payload: operations share those of messages and values."""
    for payload in dict.fromkeys(spec.payload for spec in TABLE if spec.payload is not None):
        parser.add_argument(
            f"--{_dashed(payload.option)}",
            type=int,
            default=payload.default_bytes,
            env_var=f"HARNESS_{payload.option.upper()}",
            help=payload.sentence,
            metavar="BYTES",
        )


def _add_pace(parser: Any) -> None:
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


def _add_run(parser: Any) -> None:
    scenario = parser.add_argument(
        "--scenario",
        default="",
        env_var="HARNESS_SCENARIO",
        help="scenario whose timeline is played: a file, or the name of a shipped one; it says "
        "streams, rates, seed, budget and duration, and what these options say of them is not used",
        metavar="SCENARIO",
    )
    scenario.include_in_web_ui = False  # the page has a field of its own (tabs/static/form.js)
    system = parser.add_argument(
        "--system",
        default="",
        help="system that is under test instead of the one that the scenario names, as the cluster "
        "was started with: its streams that the system has no operation for are left out",
        metavar="SYSTEM",
    )
    system.include_in_web_ui = False  # it is that of the cluster
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


def _dashed(word: str) -> str:
    return word.replace("_", "-")


def stream(options: Any, operation: Operation) -> Stream | None:
    """The stream of an operation that the options (Locust's, parsed) ask for; None at rate 0.
    Raises UsageError with the operation's word.
    """
    rate_per_s = getattr(options, f"{operation.word}_rate")
    if rate_per_s == 0:
        return None
    try:
        return Stream(
            operation=operation,
            rate_per_s=rate_per_s,
            payload_bytes=getattr(options, (operation.spec.payload or MESSAGE).option),
            arrivals=_arrivals(options.arrivals),
            timeout_ms=options.timeout_ms,
        )
    except (BadFileError, ValueError) as error:
        raise UsageError(f"load options: {operation.word}: {error}") from error


def _arrivals(word: str) -> Arrivals:
    if word not in list(Arrivals):
        raise UsageError(f"load options: arrivals: {one_of(word, Arrivals)}")
    return Arrivals(word)


def seed(options: Any) -> int:
    """The seed that the options ask for. Raises UsageError for one that nothing can be drawn
    from.
    """
    try:
        seeds.require(options.seed)
    except BadFileError as error:
        raise UsageError(f"load options: {error}") from error
    return int(options.seed)


def is_asked_for(options: Any, operation: Operation) -> bool:
    """Whether somebody gave this operation's rate: it is not the default."""
    rate: float = getattr(options, f"{operation.word}_rate")
    return rate not in (0, default_rates.rate(operation.spec.rate_per_s))


def budget(options: Any, own: str | None) -> str | None:
    """Absolute path of the budget file; None without one. `own` is the system's budget. Raises
    BadFileError where the file is not there.
    """
    named = own if options.budget == AUTO else options.budget
    return str(shipped.find(named, "budgets").resolve()) if named else None

"""The start form is checked before Locust takes it: what cannot be begun is refused on the page."""

from __future__ import annotations

import re
from argparse import Namespace
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from werkzeug.datastructures import MultiDict

from harness.checks import rows
from harness.errors import HarnessError, UsageError
from harness.history import folder
from harness.load import request as requests
from harness.load.locust import own_operations
from harness.load.locust.tabs import quantities
from harness.load.locust.tabs.desk import Desk, sentence_of
from harness.load.request import RunRequest
from harness.operations import Operation
from harness.scenario import shipped
from harness.scenario.files import read_budget, read_suite

RUNNING = ("spawning", "running", "stopping", "cleanup")
NO_SCENARIO = (
    "the name of a shipped one, or a file: its timeline is played. None: the streams picked below "
    "are sent"
)
BESIDE = ("scenario", "runs")  # fields that count where a scenario is played


def require_idle(environment: Any, desk: Desk) -> None:
    """Raise UsageError where a run goes on or is not yet judged, or where nobody can send one."""
    if environment.runner.state in RUNNING:
        raise UsageError("a run goes on, and its rates are fixed: stop it before you begin another")
    if desk.starts.is_under_way:
        raise UsageError("a run is being started already")
    if desk.master.plan is not None:
        raise UsageError("the run before is still being judged: wait for its verdict")
    if not getattr(environment.runner, "worker_count", 1):  # Locust would say that it started
        raise UsageError("no load worker has connected yet: start again in a moment")


def require_host(environment: Any, asked: Mapping[str, str]) -> None:
    """Raise UsageError where a form names another target than the load has."""
    if asked.get("host", "").strip() not in ("", environment.host):
        raise UsageError(
            f"host: the load goes to {environment.host}, found {asked['host']!r}: HARNESS_CLUSTER "
            "chooses another cluster, before locust is started"
        )


def meant(asked: MultiDict[str, str]) -> MultiDict[str, str]:
    """The fields of a form that count: beside a scenario those few that it does not say itself."""
    if not asked.get("scenario", "").strip():
        found = MultiDict(asked)
        found.poplist("host")  # Locust would name the target by it
        return found
    return MultiDict({key: asked[key].strip() for key in BESIDE if key in asked})


def streams(environment: Any, desk: Desk, form: Any) -> list[str]:
    """The names of the classes that have a stream under this form: one user each.

    Raises HarnessError, one sentence, for what cannot be begun; nothing has changed then.
    """
    given = filled(environment.parsed_options, form)
    _require_time(form.get("run_time", ""))
    known = environment.available_user_classes or {
        each.__name__: each for each in environment.user_classes
    }
    names = form.getlist("user_classes") or list(known)
    chosen = {name: known[name] for name in names if name in known}
    asked = _asked(given, list(chosen.values()), desk)
    _require_writable(Path(asked.begin["runs"]))
    sent = {stream.operation for phase in asked.phases for stream in phase.streams}
    if given.scenario:  # users stand for the streams in Locust's tables; it wants one at least
        standing = [name for name, each in known.items() if _operation(each) in sent]
        return standing or list(known)[:1]
    found = ((name, each.stream(given)) for name, each in chosen.items())
    return [name for name, stream in found if stream and stream.operation in sent]


def _require_writable(runs: Path) -> None:
    """Refuse a folder that no run can be written to; one that was not there is not there then."""
    missing = [path for path in (runs, *runs.parents) if not path.exists()]
    try:
        folder.require_writable(runs)
    finally:
        for path in missing:
            with suppress(OSError):  # a run may have begun in it meanwhile
                path.rmdir()


def _require_time(said: str) -> None:
    """Refuse a time in which nothing would be sent; for Locust, 0 (or ``0h0m``) is without end. It
    says itself what it cannot read.
    """
    numbers = re.findall(r"\d+", said)
    if numbers and not any(map(int, numbers)):
        raise UsageError(f"run_time: expected a time above 0, or none, found {said}")


def _asked(given: Namespace, chosen: list[Any], desk: Desk) -> RunRequest:
    """What would be begun. Raises HarnessError."""
    status = desk.ask("status")  # now, and not as of a second ago
    asked = requests.made(given, chosen, status, lambda: desk.kernel()["backends"])
    if asked.begin["budget"] is not None:
        rows.validate(read_budget(Path(asked.begin["budget"])).rows, None)
    return asked


def _operation(user_class: Any) -> Operation | None:
    found: Operation | None = getattr(user_class, "operation", None)
    return found


def scenarios(environment: Any) -> dict[str, Any]:
    """What the field for a scenario offers: the shipped ones that are no suites, and what it
    holds; and what it says while it is empty.
    """
    names = [name for name in shipped.names("scenarios") if not _is_suite(name)]
    lacking = own_operations.lacking().sentence
    return {
        "names": names,
        "chosen": environment.parsed_options.scenario,
        "without": NO_SCENARIO + (f"; {lacking}" if lacking else ""),
    }


def _is_suite(name: str) -> bool:
    """Whether it is known to be one; a file that cannot be read says so when it is chosen."""
    found, _ = sentence_of(lambda: read_suite(shipped.find(name, "scenarios")))
    return found is not None


def told(environment: Any, desk: Desk, named: str) -> dict[str, Any]:
    """Say what a scenario would play on this cluster, or why it cannot."""
    given = Namespace(**vars(environment.parsed_options) | {"scenario": named})
    if not named:
        return {"plays": False, "says": ""}
    try:
        asked = _asked(given, [], desk)
    except HarnessError as error:
        return {"plays": False, "says": str(error)}
    phases = asked.phases
    words = dict.fromkeys(one.operation.word for phase in phases for one in phase.streams)
    faults = len(asked.begin["timeline"]["faults"])
    budget = asked.begin["budget"]
    most = "at most " if any(phase.until for phase in phases) else ""
    kinds = [f"{phase.name} ({phase.kind})" for phase in phases if phase.kind is not None]
    said = (
        f"plays {quantities.count(len(phases), 'phase')} in {most}"
        f"{quantities.seconds(sum(phase.duration_s or 0.0 for phase in phases))} "
        f"({', '.join(words) or 'no load'}), {quantities.count(faults, 'fault')}, "
        f"seed {asked.seed}, {'no budget' if budget is None else f'budget {Path(budget).stem}'}; "
        "what the form says of these is not used"
    )
    said += f". Phases: {', '.join(kinds)}" if kinds else ""
    if asked.other_system is not None:
        said += "".join(f". Not asked: {one}" for one in asked.other_system.sentences())
    return {"plays": True, "says": said}


def filled(before: Namespace, form: Mapping[str, str]) -> Namespace:
    """The options as the form says them; Locust keeps the type of each. Raises UsageError."""
    given = Namespace(**vars(before))
    for key, said in form.items():
        was = None if key == "run_time" else getattr(before, key, None)  # "3m": Locust reads it
        if isinstance(was, bool) or not isinstance(was, (int, float)):
            if isinstance(was, str):
                setattr(given, key, said)
            continue
        try:
            setattr(given, key, type(was)(said))
        except ValueError:
            kind = "a whole number" if isinstance(was, int) else "a number"
            raise UsageError(f"{key}: expected {kind}, found {said!r}") from None
    return given


def refused(error: HarnessError, host: str | None) -> dict[str, Any]:
    """What Locust's form shows as an error."""
    return {"success": False, "message": str(error), "host": host}

"""The start form is checked before Locust takes it: what cannot be begun is refused on the page."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.checks import rows
from harness.errors import HarnessError, UsageError
from harness.load import request as requests
from harness.load.locust import options
from harness.load.locust.tabs.desk import Desk
from harness.scenario.files import read_budget
from harness.systems import adapters

RUNNING = ("spawning", "running", "stopping", "cleanup")


def streams(environment: Any, desk: Desk, form: Any) -> list[str]:
    """The names of the chosen classes that have a stream under this form: one user each.

    Raises HarnessError, one sentence, for what cannot be begun; nothing has changed then.
    """
    if environment.runner.state in RUNNING:
        raise UsageError("a run goes on, and its rates are fixed: stop it before you begin another")
    given = filled(environment.parsed_options, form)
    known = environment.available_user_classes or {
        each.__name__: each for each in environment.user_classes
    }
    names = form.getlist("user_classes") or list(known)
    chosen = {name: known[name] for name in names if name in known}
    system = adapters.named(desk.status()["adapter"])
    requests.made(given, list(chosen.values()), system)
    budget = options.budget(given, system.budget)
    if budget is not None:
        rows.validate(read_budget(Path(budget)).rows)
    found = ((name, each.stream(given)) for name, each in chosen.items())
    return [name for name, asked in found if asked and asked.operation in system.operations]


def filled(before: Namespace, form: Mapping[str, str]) -> Namespace:
    """The options as the form says them; Locust keeps the type of each. Raises UsageError."""
    given = Namespace(**vars(before))
    for key, said in form.items():
        was = getattr(before, key, None)
        if isinstance(was, bool) or not isinstance(was, (int, float)):
            if isinstance(was, str):
                setattr(given, key, said)
            continue
        try:
            setattr(given, key, type(was)(said))
        except ValueError:
            raise UsageError(f"{key}: expected a number, found {said!r}") from None
    return given


def refused(error: HarnessError, host: str | None) -> dict[str, Any]:
    """What Locust's form shows as an error."""
    return {"success": False, "message": str(error), "host": host}

"""Files for a Prometheus of one's own: alert rules of a budget, and where to scrape."""

from __future__ import annotations

import subprocess

import pytest
from click.testing import CliRunner

from harness.cli import main
from harness.errors import UsageError
from harness.monitoring import rules
from harness.scenario import shipped
from harness.scenario.budget import Budget, Conditions, Row
from harness.scenario.files import read_budget

EVIL = ["plain", 'a"b', "back\\slash", "{{ $labels.x }}", "é ☃ 😀", "tab\there", "\x7f\u2028", "%"]


def row(name: str, bound: float | None = 5.0) -> Row:
    return Row(
        name=name,
        metric="rss",
        statistic="max",
        unit="MB",
        bound=bound,
        source="somebody's {{ page }}",
        conditions=Conditions(phase="load"),
    )


def promtool(tmp_path, what: str, text: str) -> None:
    file = tmp_path / "file.yml"
    file.write_text(text)
    done = subprocess.run(
        ["promtool", "check", what, str(file)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, (done.stdout, done.stderr, text)
    assert "lint error" not in done.stdout + done.stderr


def test_a_row_that_promises_nothing_alerts_nobody():
    text = rules.of_budget(Budget(name="b", rows=(row("kept"), row("shown", None))), "b")
    assert 'row=\\"kept\\"' in text
    assert "shown" not in text
    with pytest.raises(UsageError, match="promises"):
        rules.of_budget(Budget(name="b", rows=(row("shown", None),)), "b")


@pytest.mark.prometheus
def test_rows_may_be_named_anything(tmp_path):
    budget = Budget(name="b", rows=tuple(map(row, EVIL)))
    promtool(tmp_path, "rules", rules.of_budget(budget, 'b"{{'))


@pytest.mark.prometheus
@pytest.mark.parametrize("name", shipped.names("budgets"))
def test_the_rules_of_every_shipped_budget_are_rules(tmp_path, name):
    said = CliRunner().invoke(main, ["metrics", "--rules", name])
    promised = [one for one in read_budget(shipped.find(name, "budgets")).rows if one.bound]
    assert said.exit_code == 0, said.output
    assert said.stdout.count("HarnessBudgetRowFails") >= len(promised)
    promtool(tmp_path, "rules", said.stdout)


@pytest.mark.prometheus
@pytest.mark.parametrize("bind", ["127.0.0.1", "::1", "0.0.0.0"])
def test_the_scrape_config_is_one(tmp_path, bind):
    said = CliRunner().invoke(main, ["metrics", "--bind", bind, "--scrape-config"])
    promtool(tmp_path, "config", said.stdout)
    assert ("[::1]" in said.stdout) == (bind == "::1")


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["--once", "--scrape-config"], 64),
        (["--json"], 64),
        (["--rules", "no-such-budget"], 65),
        (["--cluster", "Not A Name", "--once"], 64),
        (["--port", "70000"], 64),
        (["--bind", "no.such.host.invalid"], 64),
        (["--bind", "203.0.113.7"], 64),
    ],
)
def test_what_cannot_be_is_refused(words, code):
    done = CliRunner().invoke(main, ["metrics", *words])
    assert done.exit_code == code, done.output

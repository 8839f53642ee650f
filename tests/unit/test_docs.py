"""Docs that are generated are up to date, and what they show is accepted."""

from __future__ import annotations

import importlib.util
import re
import tomllib
from pathlib import Path

from harness.scenario import files

ROOT = Path(__file__).parent.parent.parent


def generator():
    spec = importlib.util.spec_from_file_location("make_docs", ROOT / "scripts" / "make_docs.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_files_page_is_what_the_tables_say():
    assert generator().page() == (ROOT / "docs" / "files.md").read_text(), (
        "run: python scripts/make_docs.py"
    )


def test_the_examples_on_the_page_are_good_files():
    topology, _, budget = re.findall(r"```toml\n(.*?)```", generator().page(), re.DOTALL)
    assert len(files.topology_from(tomllib.loads(topology), "page", "page").nodes) == 101
    assert files.budget_from(tomllib.loads(budget), "page", "page").rows


def test_links_between_documents_lead_somewhere():
    for page in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]:
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_the_coverage_page_has_every_row_of_every_budget():
    """And no other row."""
    spec = importlib.util.spec_from_file_location(
        "make_coverage", ROOT / "scripts" / "make_coverage.py"
    )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    wanted = [
        line.split("|")[1:4]
        for line in module.page(ROOT / "no-runs").splitlines()
        if line.startswith("|")
    ]
    shown = [
        line.split("|")[1:4]
        for line in (ROOT / "docs" / "coverage.md").read_text().splitlines()
        if line.startswith("|")
    ]
    assert shown == wanted, "run: python scripts/make_coverage.py"

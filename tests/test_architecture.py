"""The architecture as tests: who may import whom, each library's one home, sizes, docstrings, and
what must not be committed.
"""

from __future__ import annotations

import ast
import functools
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
HARNESS = ROOT / "harness"
MESHNODE = ROOT / "docker" / "meshnode" / "src" / "meshnode"

# A module imports from the rows above its own, and from its own package; not from the others of its
# row.
RANKS: list[set[str]] = [
    {"errors", "choices", "redaction"},
    {"operations", "stats", "plugin", "kernel", "topology", "profiles"},
    {"faults", "history"},
    {"runtimes", "scenario"},
    {"network", "systems", "control", "checks"},
    {
        "host",
        "load",
        "reports",
        "ports",
        "adapters",
    },  # the last two: names of earlier versions, kept for users
    {"supervisor", "experiments", "monitoring"},
    {"cli", "pytest_plugin"},
    {"__main__", "__init__"},
]
RANK = {name: rank for rank, names in enumerate(RANKS) for name in names}

# A library and the only places that may import it.
HOMES = {
    "docker": {"harness/runtimes/docker"},
    "pyroute2": {"harness/kernel"},
    "locust": {"harness/load/locust", "locustfiles"},
    "gevent": {"harness/load", "locustfiles"},
    "toxiproxy": {"harness/network/injectors"},
    "meshnode": {"harness/systems/adapters/meshnode.py"},
    "msgpack": {"harness/systems/protocol.py", "harness/systems/adapters/serf.py"},
    "aiohttp": {"harness/systems/transports/http.py"},
    "click": {"harness/cli"},
    "scipy": {"harness/checks", "harness/history/trend.py", "harness/experiments/soak/cost.py"},
    "prometheus_client": {"harness/monitoring", "harness/systems/scraper/page.py"},
    "memray": {"harness/profiles/memray_recorder.py"},
}
FUNCTION_LINES_MAX = 50
FILE_LINES_MAX = 400


def sources() -> list[Path]:
    found = [*HARNESS.rglob("*.py"), *MESHNODE.rglob("*.py"), *(ROOT / "locustfiles").rglob("*.py")]
    return [path for path in found if not path.stem.endswith("_pb2") and "_data" not in path.parts]


@functools.cache
def parsed(text: str) -> ast.Module:
    return ast.parse(text)


def tree(path: Path) -> ast.Module:
    return parsed(path.read_text())


def imports(path: Path) -> list[tuple[int, str]]:
    """(line, dotted module) of every import, ``from harness import x`` as ``harness.x``."""
    found = []
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            found += [(node.lineno, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            inside = node.module.split(".")[0] in {"harness", "meshnode"} and "." not in node.module
            found += [
                (node.lineno, f"{node.module}.{alias.name}" if inside else node.module)
                for alias in node.names
            ]
    return found


def layer_violations(package: Path) -> list[str]:
    """Imports of a package's files that do not run from a higher rank to a lower one; also those
    for types alone.
    """
    found = []
    for path in sorted(package.rglob("*.py")):
        own = path.relative_to(package).parts[0].removesuffix(".py")
        if "_data" in path.parts:
            continue
        if own not in RANK:
            found.append(f"{path.name}: {own} has no rank; give it one in this test")
            continue
        for line, module in imports(path):
            parts = module.split(".")
            if parts[0] != "harness" or len(parts) < 2 or parts[1] == own or parts[1] not in RANK:
                continue
            if RANK[parts[1]] >= RANK[own]:
                found.append(
                    f"{path.relative_to(package)}:{line}: {own} imports {parts[1]}, which stands "
                    "beside or above it"
                )
    return found


def test_imports_run_one_way():
    assert layer_violations(HARNESS) == []


@pytest.mark.parametrize(
    ("file", "line", "says"),
    [
        ("errors.py", "from harness.cli import main", "errors imports cli"),
        ("kernel/planted.py", "from harness import topology", "kernel imports topology"),
        (
            "history/planted.py",
            "if TYPE_CHECKING:\n    from harness.faults.fault import Fault",
            "history imports faults",
        ),
        ("newcomer/__init__.py", "", "newcomer has no rank"),
    ],
)
def test_a_planted_import_is_caught(tmp_path, file, line, says):
    planted = tmp_path / "harness"
    shutil.copytree(HARNESS, planted, ignore=shutil.ignore_patterns("__pycache__", "_data"))
    (planted / file).parent.mkdir(exist_ok=True)
    (planted / file).write_text(line + "\n")
    [found] = layer_violations(planted)
    assert says in found


def test_every_library_has_one_home():
    found = []
    for path in sources():
        place = str(path.relative_to(ROOT))
        for line, module in imports(path):
            homes = HOMES.get(module.split(".")[0])
            if (
                homes
                and not any(place.startswith(home) for home in homes)
                and not place.startswith("docker/meshnode")
            ):
                found.append(f"{place}:{line}: {module} belongs in {', '.join(sorted(homes))}")
    assert found == []


def test_meshnode_and_load_stand_apart():
    """meshnode never imports the harness, and nothing of the harness imports its load."""
    for path in MESHNODE.rglob("*.py"):
        assert not [module for _, module in imports(path) if module.split(".")[0] == "harness"], (
            path
        )
    for path in HARNESS.rglob("*.py"):
        if path.relative_to(HARNESS).parts[0] != "load":
            assert not [
                module for _, module in imports(path) if module.startswith("harness.load")
            ], path


def test_a_running_node_does_not_carry_the_certificate_library():
    """It costs 4 MB a node; identity.py imports it inside the functions that issue."""
    for path in MESHNODE.rglob("*.py"):
        for node in tree(path).body:
            names = (
                [alias.name for alias in node.names]
                if isinstance(node, ast.Import)
                else [node.module or ""]
                if isinstance(node, ast.ImportFrom)
                else []
            )
            assert not any(name.startswith("cryptography") for name in names), path


def body_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    first = function.body[0]
    documented = (
        isinstance(first, ast.Expr)
        and isinstance(first.value, ast.Constant)
        and isinstance(first.value.value, str)
    )
    begin = first.end_lineno + 1 if documented and len(function.body) > 1 else first.lineno
    return function.end_lineno - begin + 1


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(ROOT)))
def test_files_and_functions_stay_readable(path):
    assert len(path.read_text().splitlines()) <= FILE_LINES_MAX
    module = tree(path)
    assert ast.get_docstring(module), "a file's header says what lives there"
    for node in ast.walk(module):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            assert body_lines(node) <= FUNCTION_LINES_MAX, (
                f"{node.name} has {body_lines(node)} lines"
            )


def test_public_classes_and_functions_are_documented():
    found = []
    for path in sources():
        for node in tree(path).body:
            if (
                isinstance(node, (ast.FunctionDef, ast.ClassDef, ast.AsyncFunctionDef))
                and not node.name.startswith("_")
                and not ast.get_docstring(node)
            ):
                if path.name in {"shapes.py", "cli.py"}:  # tables say a sentence of each
                    continue
                found.append(f"{path.relative_to(ROOT)}:{node.lineno}: {node.name}")
    assert found == []


def test_every_ignored_rule_of_the_linter_has_its_reason():
    block = re.search(r"\nignore = \[\n(.*?)\n\]", (ROOT / "pyproject.toml").read_text(), re.DOTALL)
    for line in block.group(1).splitlines():
        assert "#" in line or line.strip().startswith('"FURB"'), line


def test_every_noqa_says_why():
    for path in sources():
        for number, line in enumerate(path.read_text().splitlines(), 1):
            if "# noqa" in line:
                assert re.search(r"# noqa: [A-Z0-9, ]+ - \S", line), f"{path}:{number}"


def tracked() -> list[Path]:
    found = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return [ROOT / name for name in found.stdout.splitlines()]


def test_nothing_unfinished_and_no_download_address_is_committed():
    marks = re.compile("|".join(("TO" + "DO", "FIX" + "ME", "X" * 3)))
    for path in tracked():
        if path.suffix in {".py", ".c", ".toml", ".md", ".txt", ".sh"} and path.exists():
            text = path.read_text()
            assert not marks.search(text), path
            if path.name.startswith("constraints"):
                assert "://" not in text, path


def test_up_loads_no_judge():
    """Half of what a supervisor took to begin was code that only a run with a budget needs."""
    assert "harness.checks" not in loaded_with("harness.supervisor.supervisor")


def test_who_asks_a_cluster_loads_no_arrays():
    """Half of what `harness status` took."""
    assert loaded_with("harness.cli.cluster").isdisjoint({"numpy", "harness.scenario.files"})


def loaded_with(module: str) -> set[str]:
    """The modules that are loaded with one."""
    program = f"import sys, {module}; print(*sys.modules)"
    return {*subprocess.check_output([sys.executable, "-c", program], text=True).split()}

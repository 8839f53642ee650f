"""`make ci-pull-request BASE=origin/main`: what a pull request is told, made here without anybody's
servers: the gate `pull-request`, and small-10 played by base and head in turns on this machine and
compared. Writes runs/ci/comment.md. Exit code: the worse of both, 1 before 2 before 0.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
RUNS = ROOT / "runs" / "ci"
SCENARIO = ROOT / "scenarios" / "small-10.toml"
ROUNDS = 5  # runs a side, which a comparison takes that gives a false alarm in 1 of 100
MARK = "<!-- p2p-harness: pull request -->"  # by which ci_github.py finds the comment again


def harness(checkout: Path, *argv: str | Path) -> int:
    """Run `harness` of a checkout; its exit code."""
    print(f"ci: {checkout.name}: harness {' '.join(map(str, argv))}", file=sys.stderr, flush=True)
    environment = {**os.environ, "RUNTIME": "netns", "HARNESS_CLUSTER": "ci"}
    command = [checkout / ".venv" / "bin" / "harness", *argv]
    return subprocess.run(command, cwd=checkout, env=environment, check=False).returncode


def played(base: Path) -> None:
    """Play base and head in turns, each first as often as the other."""
    sides = [(base, RUNS / "base"), (ROOT, RUNS / "head")]
    for number in range(ROUNDS):
        for checkout, runs in sides if number % 2 == 0 else reversed(sides):
            code = harness(checkout, "run", SCENARIO, "--runs", runs)
            if code not in (0, 1, 2):
                sys.exit(f"ci: {checkout.name}: the run ended with {code}: nothing to compare")


def git(*words: str) -> str:
    """What git says of this checkout; empty where it cannot."""
    command = ["git", "-C", str(ROOT), *words]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else ""


def require_commit(base: str) -> None:
    """Exit where git does not know base, before minutes were played for nothing."""
    if not git("rev-parse", "--verify", "--quiet", f"{base}^{{commit}}"):
        print(
            f"ci: BASE={base}: expected a commit, branch or tag that this checkout has; found none "
            "(git fetch brings those of a remote)",
            file=sys.stderr,
        )
        sys.exit(64)


def sides(base: str) -> str:
    """Say which commits are compared: a folder's name tells it to nobody."""
    changed = ", and what is not committed" if git("status", "--porcelain") else ""
    return (
        f"base: {base} ({git('rev-parse', '--short', base)}) · head: "
        f"{git('rev-parse', '--short', 'HEAD')}{changed} · {ROUNDS} runs each, in turns"
    )


def moved(text: str, source: Path, target: Path) -> str:
    """A Markdown text that lay in one folder, with links to files that are right in another."""

    def link(found: re.Match[str]) -> str:
        return f"]({os.path.relpath(source / found[1], target)})"

    return re.sub(r"\]\((?!\w+:|#)([^)]+)\)", link, text)


def main(base: str) -> int:
    """Make base's environment, play, compare, write the comment."""
    require_commit(base)
    shutil.rmtree(RUNS, ignore_errors=True)
    RUNS.mkdir(parents=True)
    code = harness(ROOT, "gate", "pull-request", "--runs", RUNS)
    if code not in (0, 1, 2):
        sys.exit(f"ci: the gate ended with {code}: it was not judged")
    folder = (RUNS / "latest").resolve()
    gate = moved((folder / "gate.md").read_text(), folder, RUNS)
    compared = sides(base)
    with tempfile.TemporaryDirectory(prefix="ci-base-") as held:
        checkout = Path(held) / "base"
        worktree = ["git", "-C", str(ROOT), "worktree"]
        subprocess.run([*worktree, "add", "--detach", str(checkout), base], check=True)
        try:
            subprocess.run(["make", "setup"], cwd=checkout, check=True)
            played(checkout)
        finally:
            subprocess.run([*worktree, "remove", "--force", str(checkout)], check=True)
    table = RUNS / "compare.md"
    pair = [(RUNS / side).relative_to(ROOT) for side in ("base", "head")]
    other = harness(ROOT, "compare", *pair, "--format", "markdown", "--output", table)
    (RUNS / "comment.md").write_text(f"{MARK}\n{gate}\n{compared}\n\n{table.read_text()}")
    print(f"ci: {RUNS / 'comment.md'}", file=sys.stderr)
    return next((worst for worst in (1, 2) if worst in (code, other)), max(code, other))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else "origin/main"))

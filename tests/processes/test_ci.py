"""What a workflow says on GitHub, said to a server of the same words."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from kit import ROOT
from kit.run_folders import good

from harness.experiments import judge

ISSUES = "/repos/me/mine/issues"


class Hub:
    """Issues and comments, by the part of the API that is used."""

    def __init__(self):
        self.issues, self.comments = {}, {}  # number → issue; number → comments

    def get(self, path, asked):
        found = (
            list(self.issues.values())
            if path == ISSUES
            else self.comments.get(int(path.split("/")[-2]), [])
        )
        size, page = int(asked["per_page"][0]), int(asked["page"][0])
        return found[(page - 1) * size : page * size]

    def post(self, path, said):
        if path == ISSUES:
            number = len(self.issues) + 1
            self.issues[number] = {**said, "number": number, "html_url": f"issue {number}"}
            return self.issues[number]
        comments = self.comments.setdefault(int(path.split("/")[-2]), [])
        comments.append({"id": 1000 + len(comments), "html_url": "new", **said})
        return comments[-1]

    def patch(self, path, said):
        wanted = int(path.split("/")[-1])
        (one,) = [each for of in self.comments.values() for each in of if each["id"] == wanted]
        one |= {**said, "html_url": "same"}
        return one


@pytest.fixture
def hub():
    found = Hub()

    class Handler(BaseHTTPRequestHandler):
        def answer(self, said):
            if self.headers["Authorization"] != "Bearer secret":
                self.send_error(401)
                return
            body = json.dumps(said).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def said(self):
            return json.loads(self.rfile.read(int(self.headers["Content-Length"])))

        def do_GET(self):
            asked = urlsplit(self.path)
            self.answer(found.get(asked.path, parse_qs(asked.query)))

        def do_POST(self):
            self.answer(found.post(self.path, self.said()))

        def do_PATCH(self):
            self.answer(found.patch(self.path, self.said()))

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    found.address = f"http://127.0.0.1:{server.server_port}"
    yield found
    server.shutdown()
    server.server_close()


def say(hub, *words, token="secret"):
    return subprocess.run(
        [sys.executable, ROOT / "scripts" / "ci_github.py", *map(str, words)],
        env={
            **os.environ,
            "GITHUB_API_URL": hub.address,
            "GITHUB_REPOSITORY": "me/mine",
            "GH_TOKEN": token,
        },
        capture_output=True,
        text=True,
        check=False,
    )


def test_one_comment_is_kept_up_to_date(hub, tmp_path):
    file = tmp_path / "c.md"
    hub.comments[7] = [{"id": n, "body": f"somebody's {n}"} for n in range(100)]
    for number, url in ((1, "new"), (2, "same"), (3, "same")):
        file.write_text(f"<!-- ours -->\nround {number}\n")
        done = say(hub, "comment", 7, file)
        assert (done.returncode, done.stdout.strip()) == (0, url), done.stderr
    assert len(hub.comments[7]) == 101
    assert hub.comments[7][-1]["body"] == "<!-- ours -->\nround 3\n"


def test_one_issue_is_open_and_the_next_nights_are_comments(hub, tmp_path):
    file = tmp_path / "gate.md"
    file.write_text("NOT MET")
    for _ in range(2):
        assert say(hub, "issue", "the night failed", file, "--link", "runs/1").returncode == 0
    (one,) = hub.issues.values()
    assert (one["title"], one["body"]) == ("the night failed", "NOT MET\n\nruns/1")
    assert [each["body"] for each in hub.comments[1]] == ["NOT MET\n\nruns/1"]


def test_a_file_that_is_not_there_is_said(hub, tmp_path):
    assert say(hub, "issue", "the night failed", tmp_path / "none.md").returncode == 0
    assert "the job ended before it was written" in hub.issues[1]["body"]


def test_a_long_text_is_cut_and_keeps_its_link(hub, tmp_path):
    file = tmp_path / "long.md"
    file.write_text("x" * 100_000)
    assert say(hub, "issue", "long", file, "--link", "runs/1").returncode == 0
    body = hub.issues[1]["body"]
    assert len(body) < 65_536
    assert body.endswith("… (cut short)\n\nruns/1")


def test_what_could_not_be_said_is_an_error(hub, tmp_path):
    file = tmp_path / "c.md"
    file.write_text("text")
    done = say(hub, "comment", 7, file, token="wrong")
    assert done.returncode == 1
    assert "401" in done.stderr


def test_a_base_that_is_no_commit_is_said_before_anything_is_played(tmp_path):
    """What the last one wrote stays."""
    git("init", "--quiet", str(tmp_path))
    (tmp_path / "scripts").mkdir()
    script = shutil.copy(ROOT / "scripts" / "ci_pull_request.py", tmp_path / "scripts")
    kept = tmp_path / "runs" / "ci" / "comment.md"
    kept.parent.mkdir(parents=True)
    kept.touch()
    command = [sys.executable, script, "origin/mian"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, kept.exists()) == (64, True)
    assert "BASE=origin/mian: expected a commit, branch or tag" in done.stderr


def test_links_of_a_page_hold_where_the_comment_lies(tmp_path):
    path = ROOT / "scripts" / "ci_pull_request.py"
    spec = importlib.util.spec_from_file_location("ci_pull_request", path)
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    gate = "| [1](../../small-10/1/report.html) | [docs](https://x.org/a) [up](#top) (no) |"
    told = script.moved(gate, tmp_path / "gate" / "1", tmp_path)
    assert told == "| [1](small-10/1/report.html) | [docs](https://x.org/a) [up](#top) (no) |"
    said = script.sides("HEAD")
    head = git("-C", str(ROOT), "rev-parse", "--short", "HEAD").strip()
    assert said.startswith(f"base: HEAD ({head}) · head: {head}")


def test_the_history_outlives_the_machine(tmp_path):
    """It is kept on a branch of a remote, and taken from there by another checkout."""
    remote = tmp_path / "remote.git"
    git("init", "--quiet", "--bare", str(remote))
    names = []
    for machine in ("one", "two"):
        checkout = tmp_path / machine
        git("init", "--quiet", str(checkout))
        (checkout / "scripts").mkdir()
        shutil.copy(ROOT / "scripts" / "ci_history", checkout / "scripts")
        (checkout / ".venv").symlink_to(ROOT / ".venv")
        fetched = history(checkout, remote, "fetch")
        assert ("the history begins" in fetched) == (machine == "one")
        run = good(tmp_path / f"made-{machine}")
        shutil.copytree(run, checkout / "runs" / "mine" / machine)
        metadata = checkout / "runs" / "mine" / machine / "metadata.json"
        facts = {**json.loads(metadata.read_text()), "t0_ns": 1 + len(names)}
        metadata.write_text(json.dumps(facts))  # else both would be one run
        judge.judge(checkout / "runs" / "mine" / machine)
        history(checkout, remote, "keep")
        kept = git("-C", str(remote), "show", "history:history.json")
        names.append({Path(one["run"]).name for one in json.loads(kept)["runs"]})
        assert git("-C", str(checkout), "status", "--porcelain", "--untracked-files=no") == ""
    assert names == [{"one"}, {"one", "two"}]
    assert "<html" in git("-C", str(remote), "show", "history:index.html")


def git(*words):
    done = subprocess.run(["git", *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def history(checkout, remote, what):
    done = subprocess.run(
        [checkout / "scripts" / "ci_history", what],
        env={**os.environ, "REMOTE": str(remote)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, (done.stdout, done.stderr)
    return done.stdout


WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


@pytest.mark.parametrize("file", WORKFLOWS, ids=lambda one: one.stem)
def test_every_action_is_pinned_by_its_commit(file):
    """And what a job runs is a target or a script of this checkout."""
    text = file.read_text()
    used = re.findall(r"uses: (\S+)", text)
    assert used
    assert all(re.fullmatch(r"actions/[a-z-]+@[0-9a-f]{40}", one) for one in used), used
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"make ([a-z-]+)", text)) <= targets
    assert all((ROOT / one).is_file() for one in re.findall(r"scripts/\w+(?:\.py)?", text))


def lint(*files):
    return subprocess.run(
        [ROOT / "scripts" / "lint_workflows", *files], capture_output=True, text=True, check=False
    )


@pytest.mark.go
def test_workflows_are_good_and_a_bad_one_is_found(tmp_path):
    done = lint()
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    bad = tmp_path / "bad.yml"
    bad.write_text(WORKFLOWS[0].read_text().replace("runs-on:", "run-on:"))
    assert lint(bad).returncode == 1

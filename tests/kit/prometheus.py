"""A real Prometheus, which scrapes what a test serves."""

from __future__ import annotations

import json
import socket
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from kit.desk import wait_for


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


class Prometheus:
    """Scrapes one target each second, with these rules, until `close`."""

    def __init__(self, folder: Path, target: str, rules: Iterable[Path] = ()) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        files = "".join(f"\n  - {file}" for file in rules)
        (folder / "prometheus.yml").write_text(
            "global:\n  scrape_interval: 1s\n  evaluation_interval: 1s\n"
            f"rule_files:{files or ' []'}\n"
            "scrape_configs:\n  - job_name: harness\n    static_configs:\n"
            f"      - targets: ['{target}']\n        labels:\n          cluster: main\n"
        )
        self.url = f"http://127.0.0.1:{free_port()}"
        self._log = (folder / "log").open("wb")
        self._process = subprocess.Popen(
            [
                "prometheus",
                f"--config.file={folder / 'prometheus.yml'}",
                f"--storage.tsdb.path={folder / 'data'}",
                f"--web.listen-address={self.url.removeprefix('http://')}",
                "--log.level=warn",
            ],
            stdout=self._log,
            stderr=self._log,
        )
        try:
            wait_for(self._is_ready, (folder / "log").read_text)
        except BaseException:
            self.close()
            raise

    def _is_ready(self) -> bool:
        assert self._process.poll() is None, "prometheus ended"
        try:
            with urllib.request.urlopen(f"{self.url}/-/ready", timeout=30) as answer:
                return bool(answer.status == 200)
        except OSError:  # also that it is not ready yet
            return False

    def get(self, path: str, **asked: str) -> Any:
        """What the API answers; what it refuses is said."""
        url = f"{self.url}{path}?{urllib.parse.urlencode(asked)}"
        try:
            with urllib.request.urlopen(url, timeout=30) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            with error:
                raise AssertionError((asked, error.read().decode())) from None

    def query(self, expression: str) -> list[dict[str, Any]]:
        """The series of an expression now: `metric` and `value`."""
        found: list[dict[str, Any]] = self.get("/api/v1/query", query=expression)["result"]
        return found

    def value(self, expression: str) -> float | None:
        """The value of an expression that has one series; None where it has none."""
        found = self.query(expression)
        assert len(found) < 2, found
        return float(found[0]["value"][1]) if found else None

    def firing(self) -> set[tuple[str, str]]:
        """The alerts that fire: their names, and their rows."""
        alerts = self.get("/api/v1/alerts")["alerts"]
        return {
            (alert["labels"]["alertname"], alert["labels"].get("row", ""))
            for alert in alerts
            if alert["state"] == "firing"
        }

    def close(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(30)
        finally:
            self._process.kill()
            self._process.wait()
            self._log.close()

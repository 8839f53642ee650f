"""What the scraper is heard to say stands in the run folder, and is read as it was said."""

from __future__ import annotations

import math

from kit import run_folders
from kit.gaps import facts

from harness import redaction
from harness.history import manifest, reader
from harness.history.folder import RunFolder
from harness.history.gaps import Part
from harness.history.metrics import Files, Series
from harness.supervisor import scrapes
from harness.supervisor.scrapes import Scrapes

T0 = run_folders.T0
SECOND = 1_000_000_000


class Scraper:
    """Says what the test says."""

    def begin(self, t0_ns, heard, failed):
        self.t0_ns, self.heard, self.failed = t0_ns, heard, failed

    def end(self):
        pass

    def says(self, second, node, values, *, new=(), error=""):
        at_ns = T0 + int((second + 0.5) * SECOND)
        self.heard(
            {
                "node": node,
                "at_ns": at_ns,
                "took_ns": 1000,
                "bytes": 10,
                "error": error,
                "new": list(new),
                "series": [*values],
                "values": [*values.values()],
            }
        )


def told(tmp_path, monkeypatch, *, seconds):
    """A good run folder, to which nodes tell a gauge and a counter each second, but for node-1."""
    monkeypatch.setattr(scrapes, "WRITTEN_EVERY_S", 0.0)
    path = run_folders.good(tmp_path)
    (path / manifest.FILE).unlink()
    scraper, folder = Scraper(), RunFolder(tmp_path, "other")
    folder.path = path
    made = Scrapes(scraper, folder, lambda _: None, T0)
    for second in range(seconds):
        for node in range(4):
            if node == 1:
                scraper.says(second, node, {}, error="answered 503")
                continue
            new = (
                [("links", "gauge"), ('sent_total{a="b"}', "counter")]
                if second == node == 0
                else []
            )
            scraper.says(second, node, {0: 3.0, 1: second * 2.0}, new=new)
    scraper.says(seconds, 0, {0: math.nan})
    made.close()
    facts(path, metrics={"url": "http://127.0.0.1/metrics", "only": []})
    folder.seal()
    return path


def test_what_was_heard_is_read_again(tmp_path, monkeypatch):
    path = told(tmp_path, monkeypatch, seconds=8)
    found = reader.read(path)
    assert found.metrics.series == (
        Series("links", frozenset(), "gauge"),
        Series("sent_total", frozenset({("a", "b")}), "counter"),
    )
    assert found.metrics.values.num_rows == 3 * 8 * 2 + 1
    assert math.isnan(found.metrics.values.column("value").to_pylist()[-1])
    lacking = [gap for gap in found.gaps if Part.METRICS in gap.what and gap.of == ("node-1",)]
    assert lacking[0].why.endswith("of phase idle: answered 503")


def test_a_run_that_asked_and_has_no_page_lacks_them(tmp_path):
    path = run_folders.good(tmp_path)
    assert not reader.read(path).metrics.is_asked
    facts(path, metrics={"url": "http://127.0.0.1/metrics", "only": []})
    manifest.write(path)
    whys = [gap.why for gap in reader.read(path).gaps if Part.METRICS in gap.what]
    assert f"{Files.SCRAPES} is missing" in whys


def test_a_file_that_was_changed_is_not_believed(tmp_path, monkeypatch):
    path = told(tmp_path, monkeypatch, seconds=8)
    data = bytearray((path / Files.SERIES).read_bytes())
    at = data.index(b"links")
    data[at : at + 5] = b"other"
    (path / Files.SERIES).write_bytes(data)
    found = reader.read(path)
    assert found.metrics.series == ()
    assert any(Part.METRICS in gap.what and Files.SERIES in gap.why for gap in found.gaps)


def test_a_secret_that_a_node_tells_is_not_kept(tmp_path, monkeypatch):
    """The names of series and the errors of pages are texts of nodes'."""
    monkeypatch.setattr(redaction, "_known", {})
    redaction.hide("password", "hunter-hunter")
    told = [{"new": [('up{by="hunter-hunter"}', "gauge")]}]
    assert scrapes._series(told)["series"].to_pylist() == ['up{by="[password: secret]"}']
    told = [
        {"node": 0, "at_ns": 1, "took_ns": 1, "bytes": 1, "series": [], "error": "no hunter-hunter"}
    ]
    assert scrapes._scrapes(told)["error"].to_pylist() == ["no [password: secret]"]

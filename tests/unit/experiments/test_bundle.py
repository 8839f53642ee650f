"""A run as one file: what is in it, and that reading one writes nothing that it should not."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import re
import tarfile
from pathlib import Path

import pytest
from kit import run_folders

from harness.control import state
from harness.errors import BadFileError, StorageError, UsageError
from harness.experiments import bundle, comparable, fidelity, judge, original, replay


@pytest.fixture
def folder(tmp_path) -> Path:
    return run_folders.good(tmp_path / "runs")


def names(file: Path) -> list[str]:
    with tarfile.open(file) as tar:
        return [member.name.partition("/")[2] for member in tar]


def test_a_bundle_has_what_a_replay_needs(folder, tmp_path):
    """What is read of the folder and of its bundle is the same; the raw samples are not in it."""
    made = bundle.write(folder, tmp_path / "some.tar.gz")
    inside = names(made.path)
    assert inside[0] == bundle.FILE
    assert {"events.jsonl", "topology.json", "budget.toml", "verdict.json", "report.html"} <= {
        *inside
    }
    assert not [name for name in inside if name.startswith(("load/", "journal/", "samples"))]
    assert made.files == len(inside) - 1
    assert made.size_bytes == made.path.stat().st_size
    was = original.read(folder)
    with bundle.opened(made.path) as unpacked:
        found = original.read(unpacked)
        assert (found.timeline, found.facts) == (was.timeline, was.facts)
        assert found.scenario.phases == was.scenario.phases
        compared = fidelity.compare(comparable.read(folder), comparable.read(unpacked))
        assert compared["fidelity"] == 1.0
        assert compared["parts"]["load"]["streams"][0]["both"] == 20 * 12
    assert not unpacked.exists()


def test_all_of_it_is_judged_as_the_folder_is(folder, tmp_path):
    verdict = judge.judge(folder).verdict
    made = bundle.write(folder, tmp_path / "all.tar.gz", everything=True)
    assert made.left_out == 0
    with bundle.opened(made.path) as unpacked:
        assert judge.judge(unpacked, write=False).verdict == verdict


def test_of_a_bundle_a_bundle_can_be_made(folder, tmp_path):
    first = bundle.write(folder, tmp_path / "first.tar.gz").path
    with bundle.opened(first) as unpacked:
        second = bundle.write(unpacked, tmp_path / "second.tar.gz").path
        sent = comparable.read(unpacked).sent
    with bundle.opened(second) as again:
        assert comparable.read(again).sent == sent == comparable.read(folder).sent


def test_its_name_is_the_runs(folder, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    made = bundle.write(folder.parent.parent)
    assert made.path == Path(f"small-{folder.name}{bundle.SUFFIX}")
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == [made.path.name]


def test_who_packed_it_is_not_in_it(folder, tmp_path):
    with tarfile.open(bundle.write(folder, tmp_path / "b").path) as tar:
        assert {(one.uid, one.gid, one.uname, one.gname, one.mtime) for one in tar} == {
            (0, 0, "", "", 0)
        }


def test_files_that_the_run_did_not_write_and_links_stay_out(folder, tmp_path):
    (folder / "my notes.txt").write_text("mine")
    (folder / ".hidden").write_text("mine")
    (folder / "shadow").symlink_to("/etc/passwd")
    inside = names(bundle.write(folder, tmp_path / "b", everything=True).path)
    assert not {"my notes.txt", ".hidden", "shadow"} & {*inside}


def test_what_cannot_be_replayed_is_not_bundled(folder, tmp_path):
    (folder / "events.jsonl").unlink()
    with pytest.raises(BadFileError, match=r"events\.jsonl is missing"):
        bundle.write(folder, tmp_path / "b")
    assert not (tmp_path / "b").exists()


def test_where_it_cannot_be_written(folder, tmp_path):
    with pytest.raises(StorageError, match="cannot be written"):
        bundle.write(folder, tmp_path / "nowhere" / "b")


def test_a_run_is_bundled_wherever_it_lies(folder, tmp_path):
    """A tar of this kind has no names of any length: the folder's is cut, other files stay out."""
    other = folder.rename(folder.with_name("ä run of mine, " + "x" * 200))
    (other / ("n" * 101)).write_text("mine")
    made = bundle.write(other, tmp_path / "b")
    assert "n" * 101 not in names(made.path)
    with bundle.opened(made.path) as unpacked:
        assert original.read(unpacked).timeline == original.read(other).timeline


# ---- what is refused -----------------------------------------------------------------------------

TEXT = b"content"


def entry(data: bytes = TEXT, **changes) -> dict[str, object]:
    return {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest(), **changes}


def member(name: str, data: bytes = TEXT, **changes) -> tuple[tarfile.TarInfo, bytes]:
    made = tarfile.TarInfo(name)
    made.size = len(data)
    for key, value in changes.items():
        setattr(made, key, value)
    return made, data


def packed(
    path: Path, files: object, *members: tuple[tarfile.TarInfo, bytes], version: object = 1
) -> Path:
    """A bundle that says these files, and has these members."""
    text = json.dumps({"version": version, "files": files}).encode()
    with tarfile.open(path, "w:gz", format=tarfile.USTAR_FORMAT) as tar:
        for made, data in (member(f"run/{bundle.FILE}", text), *members):
            tar.addfile(made, io.BytesIO(data))
    return path


def refused(path: Path, says: str) -> None:
    """It is refused, and nothing of it remains."""
    before = sorted(path.parent.iterdir())
    with pytest.raises(BadFileError, match=says), bundle.opened(path):
        pass
    assert sorted(path.parent.iterdir()) == before


@pytest.fixture(autouse=True)
def _unpacked_here(tmp_path, monkeypatch):
    """What is unpacked comes below the test's own folder."""
    place = tmp_path / "unpacked"
    place.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(place))
    yield
    assert list(place.iterdir()) == []


def test_a_good_one_is_taken(tmp_path):
    good = packed(tmp_path / "b", {"a/b.txt": entry()}, member("run/a/b.txt"))
    with bundle.opened(good) as folder:
        assert (folder / "a" / "b.txt").read_bytes() == TEXT


@pytest.mark.parametrize(
    "name",
    [
        "run/../../escaped",
        "../run/escaped",
        "/etc/escaped",
        "run//etc/escaped",
        "run/a/./b",
        "run/.hidden",
        "run/a\\b",
        "run/-rf",
        "run/a b",
        "run/",
        "elsewhere/a",
        "run/a/b/c/d/e",
        "run/ü",
    ],
)
def test_a_name_that_leads_elsewhere(tmp_path, name):
    listed = {name.partition("/")[2]: entry(), "a": entry()}
    made = packed(tmp_path / "b", listed, member(name), member("run/a"))
    refused(made, "would lead elsewhere|is no plain file")
    assert not (tmp_path / "escaped").exists()


@pytest.mark.parametrize(
    "kind",
    [
        tarfile.SYMTYPE,
        tarfile.LNKTYPE,
        tarfile.CHRTYPE,
        tarfile.BLKTYPE,
        tarfile.FIFOTYPE,
        tarfile.DIRTYPE,
        tarfile.GNUTYPE_SPARSE,
        tarfile.GNUTYPE_LONGNAME,
        tarfile.XHDTYPE,
    ],
)
def test_what_is_no_plain_file(tmp_path, kind):
    link = member("run/a", b"", type=kind, linkname="/etc/passwd")
    refused(packed(tmp_path / "b", {"a": entry(b"")}, link), "is no plain file")


def test_a_file_that_is_not_listed(tmp_path):
    refused(packed(tmp_path / "b", {}, member("run/a")), "'a' is not as bundle.json says")


def test_a_file_that_is_there_twice(tmp_path):
    made = packed(tmp_path / "b", {"a": entry()}, member("run/a"), member("run/a"))
    refused(made, "or there twice")


def test_a_file_of_another_length(tmp_path):
    made = packed(tmp_path / "b", {"a": entry(bytes=3)}, member("run/a"))
    refused(made, "'a' is not as bundle.json says")


def test_a_file_of_another_content(tmp_path):
    made = packed(tmp_path / "b", {"a": entry()}, member("run/a", TEXT.upper()))
    refused(made, "it has another SHA-256")


def test_a_file_that_is_missing(tmp_path):
    refused(packed(tmp_path / "b", {"a": entry()}), "it lacks a: it is torn")


@pytest.mark.parametrize(
    ("files", "says"),
    [
        ({"a": entry(bytes=bundle.BYTES_MOST + 1)}, "expected at most .* it says"),
        ({"a": entry(bytes=-1)}, "expected files with bytes and sha256"),
        ({"a": entry(bytes=-(1 << 40)), "b": entry(bytes=1 << 40)}, "expected files with bytes"),
        ({"a": {"bytes": 1}}, "expected files with bytes and sha256"),
        (["a"], "expected files with bytes and sha256"),
    ],
)
def test_a_list_that_cannot_be(tmp_path, files, says):
    refused(packed(tmp_path / "b", files), says)


def test_a_file_that_would_be_a_folder_too(tmp_path):
    listed = {"a": entry(), "a/b": entry()}
    refused(packed(tmp_path / "b", listed, member("run/a"), member("run/a/b")), "is a file and a")


@pytest.mark.parametrize("version", [2, True, 1.0, "1", None])
def test_another_version(tmp_path, version):
    found = re.escape(json.dumps(version))
    refused(packed(tmp_path / "b", {}, version=version), f"expected version 1, found {found}")


def test_more_than_the_disk_has(tmp_path, monkeypatch):
    made = packed(tmp_path / "b", {"a": entry()}, member("run/a"))
    monkeypatch.setattr(bundle, "free_bytes", lambda _: bundle.FREE_BYTES_LEAST)
    with pytest.raises(StorageError, match="bytes are free"), bundle.opened(made):
        pass


def test_a_bomb_is_not_unpacked(tmp_path):
    """64 MiB of zeros that pack to 64 KiB: no more of it is read than the list says."""
    data = b"\0" * (1 << 26)
    made = packed(tmp_path / "b", {"a": entry(b"\0")}, member("run/a", data))
    assert made.stat().st_size < len(data) / 100
    refused(made, "'a' is not as bundle.json says")


def test_where_it_is_unpacked_is_known_to_who_cleans_up(tmp_path):
    """A bundle is up to 4 GiB, and who reads it may be killed (control/test_cleanup.py)."""
    good = packed(tmp_path / "b", {"a": entry()}, member("run/a"))
    with bundle.opened(good) as folder:
        [note] = state.root().iterdir()
        assert note.read_text() == str(folder.parent)
    assert list(state.root().iterdir()) == []


def test_a_list_that_is_a_bomb(tmp_path):
    with tarfile.open(tmp_path / "b", "w:gz") as tar:
        made, data = member(f"run/{bundle.FILE}", b" " * (bundle.LIST_BYTES_MOST + 1))
        tar.addfile(made, io.BytesIO(data))
    refused(tmp_path / "b", "it is no bundle")


@pytest.mark.parametrize("part", [0.1, 0.5, 0.9, 0.99])
def test_one_that_is_torn(folder, tmp_path, part):
    whole = bundle.write(folder, tmp_path / "whole").path.read_bytes()
    (tmp_path / "b").write_bytes(whole[: round(len(whole) * part)])
    refused(tmp_path / "b", "is torn")


@pytest.mark.parametrize("lost", [1, 8, 9])
def test_one_whose_last_bytes_are_gone(folder, tmp_path, lost):
    """They are the compressed file's own check: all files in it are whole."""
    whole = bundle.write(folder, tmp_path / "whole").path.read_bytes()
    (tmp_path / "b").write_bytes(whole[:-lost])
    refused(tmp_path / "b", "is torn")


@pytest.mark.parametrize(
    "more", [b"garbage", gzip.compress(b"more"), gzip.compress(b"\0" * (1 << 20))]
)
def test_one_that_something_comes_after(folder, tmp_path, more):
    whole = bundle.write(folder, tmp_path / "whole").path.read_bytes()
    (tmp_path / "b").write_bytes(whole + more)
    refused(tmp_path / "b", "is torn|comes after its end")


def test_a_tar_that_something_comes_after(tmp_path):
    packed(tmp_path / "whole", {"a": entry()}, member("run/a"))
    tar = gzip.decompress((tmp_path / "whole").read_bytes())
    (tmp_path / "b").write_bytes(gzip.compress(tar + b"more"))
    refused(tmp_path / "b", "comes after its end")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no archive",
        gzip.compress(b""),
        gzip.compress(b"x" * 600),
        gzip.compress(b"\0" * 1024),
    ],
)
def test_what_is_no_bundle(tmp_path, content):
    (tmp_path / "b").write_bytes(content)
    refused(tmp_path / "b", "bundle")


def test_a_tar_of_something_else(tmp_path):
    with tarfile.open(tmp_path / "b", "w:gz") as tar:
        made, data = member("run/metadata.json")
        tar.addfile(made, io.BytesIO(data))
    refused(tmp_path / "b", r"expected bundle\.json as its first file")


def test_a_byte_that_was_changed(folder, tmp_path):
    """Wherever it is, the whole is refused, or is not another."""
    whole = bytearray(gzip.decompress(bundle.write(folder, tmp_path / "whole").path.read_bytes()))
    at = whole.index(b'"event"')
    whole[at] ^= 1
    (tmp_path / "b").write_bytes(gzip.compress(bytes(whole)))
    refused(tmp_path / "b", r"events\.jsonl is not what was packed")


def repacked(folder: Path, file: Path, **changed: bytes) -> Path:
    """A bundle of this folder in which these files are others, as somebody made it by hand."""
    inside = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    inside |= {name.replace("_", "."): data for name, data in changed.items()}
    files = {name: entry(data) for name, data in inside.items()}
    return packed(file, files, *(member(f"run/{name}", data) for name, data in inside.items()))


def test_what_is_wrong_inside_is_said_of_the_bundle(folder, tmp_path):
    """It is unpacked somewhere, which is gone by the time that anybody reads of it."""
    one = repacked(folder, tmp_path / "b", timeline_json=b"{}")
    with pytest.raises(BadFileError) as raised, replay.opened(one):
        pass
    assert str(raised.value).startswith(f"{one}: timeline.json is not as it was")
    other = repacked(folder, tmp_path / "c", manifest_json=b"{}")
    with pytest.raises(BadFileError) as raised, replay.opened(other):
        pass
    assert str(raised.value).startswith(f"{other}: manifest.json cannot be read")
    with pytest.raises(UsageError) as raised, bundle.opened(one) as unpacked:
        raise UsageError(f"{unpacked / 'budget.toml'}: row 3; {unpacked}: no")
    assert str(raised.value) == f"{one}: budget.toml: row 3; {one}: no"


def test_what_cannot_be_read(tmp_path):
    with pytest.raises(BadFileError, match="cannot be read"), bundle.opened(tmp_path / "nothing"):
        pass

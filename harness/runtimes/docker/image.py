"""An image without a registry: one installed Python program with this host's Python, or one program
of this host. It has no shell.

A table (path in the image → file on this host) says what goes in; it is written as one tar stream.
Files keep their absolute paths, so every build of Python works (Debian's, pyenv's, uv's).
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import io
import os
import py_compile
import re
import shutil
import struct
import subprocess
import sys
import sysconfig
import tarfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from harness.errors import UnavailableError
from harness.runtimes import compiled
from harness.runtimes.runtime import Image, Recipe

Files = dict[str, Path]  # path in the image → file on this host

SITE = "/opt/site"
ENVIRONMENT = {"PATH": "/usr/local/bin:/usr/bin:/bin", "PYTHONPATH": SITE, "LANG": "C.UTF-8"}
FOLDERS = ("tmp", "proc", "sys", "dev", "etc", "run", "root")
TEXTS = {
    "/etc/passwd": "root:x:0:0:root:/root:/sbin/nologin\n",
    "/etc/group": "root:x:0:\n",
    "/etc/nsswitch.conf": "hosts: files dns\n",
}
LEFT_OUT = {
    "test",
    "tests",
    "idlelib",
    "lib2to3",
    "tkinter",
    "turtledemo",
    "ensurepip",
    "pydoc_data",
    "venv",
    "__pycache__",
    "site-packages",
    "dist-packages",
    "config",
}
LEFT_OUT_EXTENSIONS = (
    "_tkinter",
    "_test",
    "_xx",
    "xx",
    "_curses",
    "_dbm",
    "_gdbm",
    "nis",
    "ossaudiodev",
    "readline",
)
BEGINNING = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
INTERPRETER = re.compile(r"python[0-9.]*")
ITS_LIBRARY = "import sysconfig; print(sysconfig.get_path('stdlib'))"
LIBRARY = re.compile(r"(/\S+) \(0x")  # in ldd's output


def tag(image: Image) -> str:
    """``p2p-harness/<program>:<hash>`` of what goes in: the program, what it depends on, and this
    recipe.

    Raises UnavailableError where no program, or no distribution, of that name is installed.
    """
    digest = hashlib.sha256(Path(__file__).read_bytes())
    if image.recipe is Recipe.PROGRAM:
        for path in _program(image.name).values():
            digest.update(path.read_bytes())
    else:
        digest.update(sys.version.encode())
        for name, distribution in sorted(closure(image.name).items()):
            digest.update(f"{name} {distribution.version}\n".encode())
        for path in _package(image.name):
            digest.update(path.read_bytes())
    return f"p2p-harness/{_repository(image.name)}:{digest.hexdigest()[:16]}"


def _repository(program: str) -> str:
    """Name a program as Docker allows it: letters, digits, and single separators between them."""
    return re.sub(r"[^a-z0-9]+", "-", Path(program).name.lower()).strip("-") or "program"


def closure(program: str) -> dict[str, importlib.metadata.Distribution]:
    """Collect a distribution and all that it requires, by normalised name, as this environment has
    them.
    """
    found: dict[str, importlib.metadata.Distribution] = {}
    wanted = [(program, "")]
    while wanted:
        name, marker = wanted.pop()
        key = re.sub(r"[-_.]+", "-", name).lower()
        if key in found or "extra ==" in marker:
            continue
        try:
            found[key] = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            if marker:  # needed elsewhere only, or it would be installed here
                continue
            raise UnavailableError(
                f"the image needs the Python distribution {name!r}, which is not installed here"
            ) from None
        for requirement in found[key].requires or []:
            match, (_, _, condition) = BEGINNING.match(requirement), requirement.partition(";")
            assert match
            wanted.append((match[0], condition))
    return found


def build_context(program: str) -> bytes:
    """Make a tar for ``docker build``: the shipped Dockerfile and what lies beside it, with the
    program's installed sources.

    Raises UnavailableError where no Dockerfile is shipped for it.
    """
    dockerfile = compiled.shipped(f"docker/{program}/Dockerfile")
    if not dockerfile.stat().st_size:
        raise UnavailableError(f"{dockerfile} is empty")
    files = {path.name: path for path in dockerfile.parent.iterdir() if path.is_file()}
    base = _base(program)
    files |= {f"src/{program}/{path.relative_to(base)}": path for path in _package(program)}
    output = io.BytesIO()
    with tarfile.open(fileobj=output, mode="w") as tar:
        for name, path in files.items():
            tar.add(path, name)
    return output.getvalue()


def write_root(image: Image, output: Path, scratch: Path, progress: Callable[[str], None]) -> None:
    """Write the root file system of a local image as a tar; `scratch` takes compiled modules.

    Raises UnavailableError where ldd, the program, or a part of Python is missing.
    """
    with tarfile.open(output, "w") as tar:
        for folder in FOLDERS:
            _add(tar, folder, kind=tarfile.DIRTYPE, mode=0o1777 if folder == "tmp" else 0o755)
        for name, text in TEXTS.items():
            _add(tar, name, text.encode())
        if image.recipe is Recipe.PROGRAM:
            files = _program(image.name)
            _add(
                tar,
                f"/usr/local/bin/{Path(image.name).name}",
                kind=tarfile.SYMTYPE,
                mode=0o777,
                link=next(iter(files)),
            )
        else:
            files = _python(image.name, scratch, progress)
            interpreter = str(Path(sys._base_executable).resolve())  # type: ignore[attr-defined]
            _add(tar, "/usr/local/bin/python3", kind=tarfile.SYMTYPE, mode=0o777, link=interpreter)
            for point in importlib.metadata.distribution(image.name).entry_points.select(
                group="console_scripts"
            ):
                script = (
                    f"#!{interpreter}\nimport sys\nfrom {point.module} import "
                    f"{point.attr}\nsys.exit({point.attr}())\n"
                )
                _add(tar, f"/usr/local/bin/{point.name}", script.encode(), mode=0o755)
        progress(f"packing {len(files):,} files")
        for name, path in files.items():
            information = tar.gettarinfo(str(path.resolve()), name.lstrip("/"))
            information.uid = information.gid = 0
            with path.open("rb") as content:
                tar.addfile(information, content)


def _python(program: str, scratch: Path, progress: Callable[[str], None]) -> Files:
    """List the files of this host's Python, of the program's package and of what it requires."""
    progress("collecting this host's Python")
    files = _standard_library(Path(sysconfig.get_path("stdlib"))) | _site(program)
    files |= _libraries(path for path in files.values() if ".so" in path.name)
    interpreter = Path(sys._base_executable).resolve()  # type: ignore[attr-defined]
    files |= {str(interpreter): interpreter} | _libraries([interpreter])
    progress("compiling its modules")
    return files | dict(_compiled(files, scratch))


def _program(name: str) -> Files:
    """List a program of this host and its libraries, the program first. Raises UnavailableError."""
    found = shutil.which(name)
    if found is None:
        raise UnavailableError(
            f"the program {name!r} is not installed here: no image can be made of it"
        )
    path = Path(found).resolve()
    with path.open("rb") as file:
        if file.read(4) != b"\x7fELF":
            raise UnavailableError(
                f"{found} is a script, and an image is made of a binary and its libraries only: "
                "name an image that can run it"
            )
    return {str(path): path} | _libraries([path]) | _of_interpreter(path)


def _of_interpreter(program: Path) -> Files:
    """List the standard library of a program that is Python, which cannot begin without it."""
    if not INTERPRETER.fullmatch(program.name):
        return {}
    said = subprocess.run([program, "-I", "-c", ITS_LIBRARY], capture_output=True, check=False)
    files = _standard_library(Path(os.fsdecode(said.stdout.strip()))) if said.stdout else {}
    return files | _libraries(path for path in files.values() if ".so" in path.name)


def _add(
    tar: tarfile.TarFile,
    name: str,
    data: bytes = b"",
    *,
    kind: bytes = tarfile.REGTYPE,
    mode: int = 0o644,
    link: str = "",
) -> None:
    information = tarfile.TarInfo(name.lstrip("/"))
    information.type, information.mode, information.size, information.linkname = (
        kind,
        mode,
        len(data),
        link,
    )
    tar.addfile(information, io.BytesIO(data))


def _walk(base: Path, left_out: set[str]) -> Iterator[Path]:
    for folder, folders, names in os.walk(base):
        folders[:] = sorted(
            name for name in folders if name not in left_out and not name.startswith("config-")
        )
        yield from (Path(folder) / name for name in sorted(names))


def _standard_library(base: Path) -> Files:
    # Of a virtual environment it is the base installation's.
    return {
        str(path): path
        for path in _walk(base, LEFT_OUT)
        if path.is_file()
        and path.suffix != ".a"
        and not (path.suffix == ".so" and path.name.startswith(LEFT_OUT_EXTENSIONS))
    }


def _base(program: str) -> Path:
    found = importlib.util.find_spec(program)
    if found is None or not found.submodule_search_locations:
        raise UnavailableError(
            f"the image needs the Python package {program!r}, which cannot be imported here"
        )
    return Path(found.submodule_search_locations[0])


def _package(program: str) -> list[Path]:
    """List the files of the program's own package, where it is imported from: an editable install
    has them nowhere else.
    """
    return list(_walk(_base(program), {"__pycache__"}))


def _site(program: str) -> Files:
    base = _base(program)
    files = {f"{SITE}/{program}/{path.relative_to(base)}": path for path in _package(program)}
    for name, distribution in closure(program).items():
        if distribution.files is None:
            raise UnavailableError(
                f"the distribution {name!r} does not say which files it has; install it with pip "
                "or uv"
            )
        for file in distribution.files:
            path = Path(str(file.locate()))
            if (
                ".." not in file.parts
                and path.suffix not in {".pyc", ".pth"}
                and not LEFT_OUT & set(file.parts)
                and path.is_file()
            ):
                files.setdefault(f"{SITE}/{file}", path)
    return files


def _libraries(binaries: Iterable[Path]) -> Files:
    """Collect every shared library that the binaries need, by ldd; it finds those that wheels
    bundle beside the binaries.
    """
    bundled = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    try:
        said = subprocess.run(
            ["ldd", *map(str, binaries)], capture_output=True, text=True, check=False
        ).stdout
    except FileNotFoundError as error:
        raise UnavailableError(
            "the local image needs ldd, which finds a program's libraries: install libc-bin"
        ) from error
    found = {Path(match[1]) for match in LIBRARY.finditer(said)}
    libc_folder = {path.parent for path in found if path.name.startswith("libc.so")}
    # Loaded by name when a thread ends or a host name is looked up, so that no binary mentions
    # them.
    found |= {
        folder / name
        for folder in libc_folder
        for name in ("libgcc_s.so.1", "libnss_files.so.2", "libnss_dns.so.2")
    }
    found.add(Path("/etc/ld.so.cache"))
    return {
        str(path): path
        for path in found
        if path.is_file() and not any(path.is_relative_to(folder) for folder in bundled)
    }


def _compiled(files: Files, scratch: Path) -> Iterator[tuple[str, Path]]:
    """List the compiled modules: the host's where they are current, else made anew in `scratch`."""
    for number, (name, source) in enumerate(files.items()):
        if source.suffix != ".py":
            continue
        wanted = importlib.util.cache_from_source(name)
        made = Path(importlib.util.cache_from_source(str(source)))
        if not _is_current(made, source):
            made = scratch / f"{number}.pyc"
            with suppress(
                py_compile.PyCompileError
            ):  # a template with the suffix .py: no module, and not imported
                py_compile.compile(str(source), str(made), dfile=name, doraise=True)
        if made.exists():
            yield wanted, made


def _is_current(compiled: Path, source: Path) -> bool:
    with suppress(OSError):
        status = source.stat()
        expected = struct.pack(
            "<4sIII",
            importlib.util.MAGIC_NUMBER,
            0,
            int(status.st_mtime),
            status.st_size & 0xFFFFFFFF,
        )
        with compiled.open("rb") as file:
            return file.read(16) == expected
    return False

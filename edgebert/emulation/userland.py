"""A small arm64 Debian that QEMU's user mode runs programs of, without root and without binfmt.

PLACE/root                  Debian, extracted and not installed: python3 and what the runtimes link to
PLACE/runtimes/NAME         one runtime with numpy, from a hash-locked list of wheels
PLACE/boards/CPU            the root of one board: links to all of `root`, files of its own in proc and sys
PLACE/instructions.so       the plugin that counts
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from edgebert.emulation import cpus
from edgebert.errors import SurroundingsError

QEMU = "qemu-aarch64"
SUITE = "bookworm"  # Raspberry Pi OS of 2023 to 2025 is made from it; Python 3.11
PYTHON = "3.11"
PACKAGES = ("python3-minimal", "libpython3.11-stdlib", "libstdc++6", "libgomp1", "zlib1g")
RUNTIMES = {  # by the name in the manifest: the package
    "onnxruntime": "onnxruntime",
    "litert": "ai-edge-litert",
    "tflite-runtime": "tflite-runtime",
}
# Tags of wheels that Debian 12's C library (2.36) can load.
PLATFORMS = (*(f"manylinux_2_{n}_aarch64" for n in (34, 31, 28, 27, 26, 24, 17)), "manylinux2014_aarch64")
TOOLS = {"mmdebstrap": "mmdebstrap", QEMU: "qemu-user", "cc": "gcc libc6-dev"}
PLUGIN_APIS = (1, 3)  # of QEMU up to 9.0, and later

Run = Callable[[Sequence[str]], None]  # runs a command to its end; raises SurroundingsError where it fails


def make(place: Path, lists: Path, run: Run) -> None:
    """Fill `place`. Raises SurroundingsError naming what is missing and the command that mends it."""
    absent = [package for tool, package in TOOLS.items() if shutil.which(tool) is None]
    if absent:
        packages = " ".join(absent)
        raise SurroundingsError(f"the emulator needs packages of your system: sudo apt-get install {packages}")
    place.mkdir(parents=True, exist_ok=True)
    _debian(place, run)
    for name, package in RUNTIMES.items():
        install_wheels(lists / wheels(package, PYTHON), PYTHON, place / "runtimes" / name, run)
    for name, cpu in cpus.KNOWN.items():
        board = place / "boards" / name
        board.mkdir(parents=True, exist_ok=True)
        for entry in (place / "root").iterdir():
            if entry.name not in ("proc", "sys"):
                (board / entry.name).symlink_to(Path("../../root") / entry.name)
        cpus.write(cpu, board)
    _plugin(place, run)


def wheels(package: str, python: str) -> str:
    """The list of a runtime's wheels for 64-bit ARM Linux and a Python, as in 3.11."""
    return f"arm64-{package}-cp{python.replace('.', '')}.txt"


def install_wheels(listed: Path, python: str, out: Path, run: Run) -> None:
    """Unpack the wheels of a hash-locked list for 64-bit ARM Linux into `out`; none of their code runs here."""
    platforms = [option for name in PLATFORMS for option in ("--platform", name)]
    command = [sys.executable, "-m", "pip", "install", "--disable-pip-version-check", "--quiet", "--no-deps"]
    command += ["--only-binary=:all:", "--implementation", "cp", "--python-version", python, *platforms]
    run([*command, "--no-compile", "--require-hashes", "--target", str(out), "-r", str(listed)])


def counter(place: Path) -> Path:
    """The plugin that counts; absent where this QEMU loads none."""
    return place / "instructions.so"


def command(place: Path, cpu: str, runtime: str, code: Path, counts: Path | None = None) -> list[str]:
    """The emulated Python of a board as an argument list; modules are looked for in `code`, then in the runtime.

    With `counts`, executed instructions are written to that file at each mark.
    """
    board = place / "boards" / cpu
    plugin = ["-plugin", f"{counter(place)},out={counts}"] if counts else []
    path = os.pathsep.join([str(code), str(place / "runtimes" / runtime)])
    variables = {"PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONNOUSERSITE": "1"}
    given = [part for name, value in variables.items() for part in ("-E", f"{name}={value}")]
    python = board / "usr" / "bin" / f"python{PYTHON}"
    return [QEMU, "-cpu", cpu, *plugin, "-L", str(board), *given, str(python)]


def _debian(place: Path, run: Run) -> None:
    """Unpack Debian's packages; a tar file in between, as only root may create files of other owners."""
    archive, root = place / "root.tar", place / "root"
    mode = "root" if os.geteuid() == 0 else "chrootless"  # the one that needs neither root nor user namespaces
    options = ["--quiet", f"--mode={mode}", "--variant=extract", "--arch=arm64"]
    run(["mmdebstrap", *options, f"--include={','.join(PACKAGES)}", SUITE, str(archive)])
    root.mkdir()
    run(["tar", "--extract", "--no-same-owner", "--exclude=./dev", "-C", str(root), "-f", str(archive)])
    archive.unlink()


def _plugin(place: Path, run: Run) -> None:
    """Compile the plugin for the interface that this QEMU has: the one that a first program runs under.

    A QEMU that loads no plugins (Debian 13's is linked statically) leaves none: it emulates, and counts nothing.
    """
    source, built = Path(__file__).with_name("instructions.c"), counter(place)
    board = place / "boards" / "cortex-a72"
    for version in PLUGIN_APIS:
        options = ["-O2", "-shared", "-fPIC", "-fvisibility=hidden", f"-DQEMU_PLUGIN_API={version}"]
        run(["cc", *options, "-o", str(built), str(source)])
        trial = [QEMU, "-cpu", "cortex-a72", "-plugin", f"{built},out={os.devnull}", "-L", str(board)]
        trial += [str(board / f"usr/bin/python{PYTHON}"), "-V"]
        if subprocess.run(trial, capture_output=True, check=False).returncode == 0:
            return
        built.unlink()

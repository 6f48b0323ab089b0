"""Tools with environments of their own: what is told where one is unknown, absent or half made."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from edgebert import environments
from edgebert.emulation import userland
from edgebert.environments import Environment, NodePackages
from edgebert.errors import InputError, SurroundingsError

Run = Callable[..., "subprocess.CompletedProcess[str]"]
OLDEST = "onnxruntime-oldest"
PYTHONS = ("3.9", "3.10", "3.11", "3.12", "3.13")  # of boards: Debian 11 to 13, Ubuntu 22.04 and 24.04


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, so that nothing of the user's is seen or changed."""
    monkeypatch.setenv("EDGEBERT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path / "cache"


@pytest.mark.parametrize("ask", [environments.python_of, environments.install])
def test_an_unknown_tool_is_told_with_the_nearest_known(ask: Callable[[str], Path]) -> None:
    with pytest.raises(InputError, match=r"unknown tool 'optimun'; did you mean 'optimum'\?"):
        ask("optimun")


@pytest.mark.parametrize("name", sorted(environments.KNOWN))
def test_an_absent_environment_names_the_command_that_makes_it(name: str) -> None:
    with pytest.raises(SurroundingsError, match=f"edgebert doctor --install {name}$"):
        environments.python_of(name)


def test_a_python_that_the_packages_were_never_made_for_is_told_with_the_one_to_use(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "version_info", (3, 12, 1, "final", 0))
    for ask in (environments.python_of, environments.install):
        with pytest.raises(
            SurroundingsError, match=r"never made for a Python above 3\.11; run EdgeBERT with Python 3"
        ):
            ask("tflite-runtime-2.14")
    assert not list(cache.glob("environments/*/bin"))


NODE = sorted(name for name, tool in environments.KNOWN.items() if isinstance(tool, NodePackages))


@pytest.mark.parametrize("name", NODE)
def test_every_package_of_npm_is_held_to_a_hash_and_names_no_host(name: str) -> None:
    lock = json.loads((environments.LISTS / f"{name}-package-lock.json").read_text(encoding="utf-8"))
    own, *packages = lock["packages"].values()
    assert all(version[0].isdigit() for version in own["dependencies"].values())
    assert packages and all(package["integrity"].startswith("sha512-") for package in packages)
    assert not any("resolved" in package for package in packages)


@pytest.mark.parametrize("name", NODE)
def test_without_npm_its_packages_are_not_made_and_what_brings_it_is_told(
    name: str, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(cache))
    with pytest.raises(SurroundingsError, match=r"npm is not installed here; it comes with Node\.js"):
        environments.install(name)
    assert not list(cache.glob("environments/*/*"))


def test_another_list_of_packages_is_another_fingerprint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = environments.fingerprint_of(OLDEST)
    assert before.startswith(OLDEST)
    (tmp_path / f"{OLDEST}.txt").write_text("numpy==1.26.4 --hash=sha256:00\n", encoding="utf-8")
    monkeypatch.setattr(environments, "LISTS", tmp_path)
    assert environments.fingerprint_of(OLDEST) != before


def test_the_command_line_ends_with_status_2_for_an_unknown_tool(run_edgebert: Run) -> None:
    done = run_edgebert("doctor", "--install", "onnxruntime-oldes")
    assert done.returncode == 2
    assert "did you mean 'onnxruntime-oldest'?" in done.stderr
    assert done.stdout == ""


def test_the_doctor_names_what_mends_each_absent_environment(cache: Path) -> None:
    parts = {part["name"]: part for part in environments.examine()["parts"]}
    for name in environments.KNOWN:
        assert parts[name]["state"] == "absent"
        assert parts[name]["about"].endswith(f"edgebert doctor --install {name}")
    assert parts["[build]"]["state"] == "ready"
    assert "torch 2." in parts["[build]"]["about"]
    assert not cache.exists()


@pytest.mark.slow
def test_packages_that_cannot_be_had_end_with_status_4_and_leave_nothing(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", "")
    with pytest.raises(SurroundingsError, match="run the same command again") as told:
        environments.install(OLDEST)
    log = Path(str(told.value).partition("what it printed is in ")[2].partition(";")[0])
    assert "No matching distribution" in log.read_text()
    assert told.value.status == 4
    assert [path for path in cache.rglob("*") if path.is_dir()] == [cache / "environments"]


def test_an_environment_whose_making_was_killed_is_not_used(cache: Path) -> None:
    script = f"from edgebert import environments; environments.install({OLDEST!r})"
    making = subprocess.Popen([sys.executable, "-c", script], start_new_session=True)
    try:
        while not list(cache.glob("environments/*/bin/python")):
            assert making.poll() is None, "ended before it could be killed"
            time.sleep(0.01)
    finally:
        os.killpg(making.pid, signal.SIGKILL)
        making.wait()
    with pytest.raises(SurroundingsError, match=f"edgebert doctor --install {OLDEST}"):
        environments.python_of(OLDEST)


NEVER_DONE = 'for out; do :; done; echo part > "$out"; sleep 600'
DONE = (
    'for out; do :; done; mkdir -p "$out.d/usr/bin"; : > "$out.d/usr/bin/python3.11"; tar -cf "$out" -C "$out.d" .'
)


def test_a_userland_whose_making_was_killed_is_not_used_and_is_made_anew(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "bin").mkdir()
    for tool in userland.TOOLS:
        (tmp_path / "bin" / tool).write_text(f"#!/bin/sh\n{NEVER_DONE if tool == 'mmdebstrap' else ''}\n")
        (tmp_path / "bin" / tool).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    script = "from edgebert import environments; environments.install('qemu')"
    making = subprocess.Popen([sys.executable, "-c", script], start_new_session=True)
    try:
        while not (parts := list(cache.glob("environments/qemu-*/root.tar"))) or not parts[0].stat().st_size:
            assert making.poll() is None, "ended before it could be killed"
            time.sleep(0.01)
    finally:
        os.killpg(making.pid, signal.SIGKILL)
        making.wait()
    with pytest.raises(SurroundingsError, match="edgebert doctor --install qemu"):
        environments.place_of("qemu")
    (tmp_path / "bin" / "mmdebstrap").write_text(f"#!/bin/sh\n{DONE}\n")
    (tmp_path / "bin" / "cc").write_text('#!/bin/sh\nwhile [ "$1" != -o ]; do shift; done; : > "$2"\n')
    (parts[0].parent / "left").touch()
    monkeypatch.setattr(userland, "install_wheels", lambda *_: None)
    made = environments.install("qemu")
    assert environments.place_of("qemu") == made == parts[0].parent
    assert not (made / "left").exists()
    assert (made / "boards" / "cortex-a72" / "usr" / "bin" / "python3.11").exists()


LISTS = sorted(path.name for path in environments.LISTS.glob("*.txt"))


@pytest.mark.parametrize("name", LISTS)
def test_every_package_of_a_list_is_pinned_and_hashed(name: str) -> None:
    text = (environments.LISTS / name).read_text(encoding="utf-8").replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    assert lines
    assert all("==" in line and "--hash=sha256:" in line for line in lines)


def test_every_tool_has_its_list_and_every_list_is_of_use() -> None:
    tools = {f"{name}.txt" for name, one in environments.KNOWN.items() if isinstance(one, Environment)}
    boards = set(LISTS) - tools
    assert tools <= set(LISTS)
    assert {userland.wheels(package, userland.PYTHON) for package in userland.RUNTIMES.values()} <= boards
    assert {userland.wheels("onnxruntime", python) for python in PYTHONS} <= boards
    for name in boards:
        package, python = name.removesuffix(".txt").removeprefix("arm64-").split("-cp3")
        assert name == userland.wheels(package, f"3.{python}")
        assert package in userland.RUNTIMES.values()


@pytest.mark.parametrize("name", [name for name in LISTS if name.startswith("arm64-")])
def test_a_list_for_boards_names_a_runtime_and_its_numpy(name: str) -> None:
    package = name.removeprefix("arm64-").partition("-cp")[0]
    text = (environments.LISTS / name).read_text(encoding="utf-8")
    pinned = {line.partition("==")[0] for line in text.splitlines() if "==" in line}
    assert {package, "numpy"} <= pinned

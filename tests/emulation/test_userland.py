"""The userland is made from pinned parts by commands that are played here, and says what it lacks."""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
import tarfile
from collections.abc import Sequence
from pathlib import Path

import pytest

from edgebert import environments
from edgebert.emulation import cpus, userland
from edgebert.environments import LISTS
from edgebert.errors import SurroundingsError


def tools(folder: Path, names: Sequence[str]) -> Path:
    """A folder for PATH with programs that do nothing, well."""
    folder.mkdir()
    for name in names:
        (folder / name).write_text("#!/bin/sh\nexit 0\n")
        (folder / name).chmod(0o755)
    return folder


@pytest.mark.parametrize(
    ("there", "told"),
    [
        ((), "sudo apt-get install mmdebstrap qemu-user gcc libc6-dev"),
        (("qemu-aarch64", "cc"), "sudo apt-get install mmdebstrap"),
        (("mmdebstrap", "cc"), "sudo apt-get install qemu-user"),
        (("mmdebstrap", "qemu-aarch64"), "sudo apt-get install gcc libc6-dev"),
    ],
)
def test_missing_tools_are_told_with_the_command_that_brings_them(
    there: tuple[str, ...], told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tools(tmp_path / "bin", there)))
    with pytest.raises(SurroundingsError) as caught:
        userland.make(tmp_path / "place", LISTS, lambda _: pytest.fail("something was run"))
    assert str(caught.value).endswith(told)
    assert not (tmp_path / "place").exists()


def test_the_doctor_tells_it_too_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGEBERT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", str(tools(tmp_path / "bin", ["cc"])))
    with pytest.raises(SurroundingsError, match="apt-get install mmdebstrap qemu-user"):
        environments.install("qemu")
    assert [path.name for path in (tmp_path / "cache" / "environments").iterdir()] == ["qemu.lock"]
    with pytest.raises(SurroundingsError, match="doctor --install qemu"):
        environments.place_of("qemu")


class Played:
    """Commands are noted; mmdebstrap gives a small archive with files of another owner, tar unpacks it."""

    def __init__(self, room: Path) -> None:
        self.commands: list[list[str]] = []
        for name in ("usr/bin", "proc", "sys", "etc", "dev"):
            (room / name).mkdir(parents=True)
        (room / "usr" / "bin" / "python3.11").write_text("")
        (room / "dev" / "null").write_text("")
        self._room = room

    def __call__(self, command: Sequence[str]) -> None:
        self.commands.append(list(command))
        if command[0] == "mmdebstrap":
            with tarfile.open(command[-1], "w") as archive:
                archive.add(self._room, ".")
        elif command[0] == "tar":
            subprocess.run(command, check=True)
        elif command[0] == "cc":
            Path(command[command.index("-o") + 1]).touch()

    def named(self, name: str) -> list[list[str]]:
        return [command for command in self.commands if Path(command[0]).name == name]


@pytest.fixture
def played(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Played:
    folder = tools(tmp_path / "bin", ["mmdebstrap", "qemu-aarch64", "cc"])
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    found = Played(tmp_path / "debian")
    userland.make(tmp_path / "place", LISTS, found)
    return found


def test_each_board_has_the_same_debian_and_a_proc_and_a_sys_of_its_own(played: Played, tmp_path: Path) -> None:
    place = tmp_path / "place"
    assert sorted(path.name for path in (place / "boards").iterdir()) == sorted(cpus.KNOWN)
    for name, cpu in cpus.KNOWN.items():
        board = place / "boards" / name
        assert (board / "usr" / "bin" / "python3.11").is_file()
        assert not any((board / own).is_symlink() for own in ("proc", "sys"))
        assert cpu.part in (board / "proc" / "cpuinfo").read_text()
        links = [path for path in board.iterdir() if path.is_symlink()]
        assert {path.resolve().parent for path in links} == {place / "root"}
        assert not any(path.readlink().is_absolute() for path in links)
    assert not (place / "root" / "dev").exists(), "only root may make devices"
    assert not (place / "root.tar").exists()


def test_debian_is_unpacked_and_not_installed_and_no_code_of_a_wheel_runs(played: Played, tmp_path: Path) -> None:
    [debian] = played.named("mmdebstrap")
    assert {"--variant=extract", "--arch=arm64", userland.SUITE} <= set(debian)
    wheels = [command for command in played.commands if "pip" in command]
    assert len(wheels) == len(userland.RUNTIMES)
    for command, (runtime, package) in zip(wheels, userland.RUNTIMES.items(), strict=True):
        assert {"--require-hashes", "--only-binary=:all:", "--no-deps", "--no-compile"} <= set(command)
        assert command[-1] == str(LISTS / userland.wheels(package, userland.PYTHON))
        assert command[command.index("--python-version") + 1] == userland.PYTHON
        assert command[command.index("--target") + 1] == str(tmp_path / "place" / "runtimes" / runtime)
        tags = [value for option, value in itertools.pairwise(command) if option == "--platform"]
        assert tags and all(tag.endswith("_aarch64") for tag in tags)


@pytest.mark.parametrize("refused", [False, True])
def test_the_plugin_is_compiled_for_the_interface_that_this_qemu_has(
    refused: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tools(tmp_path / "bin", ["mmdebstrap", "qemu-aarch64", "cc"])
    if refused:
        (folder / "qemu-aarch64").write_text("#!/bin/sh\nexit 1\n")
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    found = Played(tmp_path / "debian")
    userland.make(tmp_path / "place", LISTS, found)
    tried = [part for command in found.named("cc") for part in command if part.startswith("-DQEMU_PLUGIN_API")]
    versions = userland.PLUGIN_APIS if refused else userland.PLUGIN_APIS[:1]
    assert tried == [f"-DQEMU_PLUGIN_API={version}" for version in versions]
    assert userland.counter(tmp_path / "place").exists() is not refused


def test_an_emulated_python_is_called_with_its_board_and_its_runtime(tmp_path: Path) -> None:
    code, counts = tmp_path / "code", tmp_path / "counts"
    command = userland.command(tmp_path, "cortex-a72", "litert", code)
    assert command[:3] == ["qemu-aarch64", "-cpu", "cortex-a72"]
    assert command[command.index("-L") + 1] == str(tmp_path / "boards" / "cortex-a72")
    assert f"PYTHONPATH={code}:{tmp_path / 'runtimes' / 'litert'}" in command
    assert command[-1] == str(tmp_path / "boards" / "cortex-a72" / "usr" / "bin" / "python3.11")
    assert "-plugin" not in command
    counting = userland.command(tmp_path, "cortex-a72", "litert", code, counts)
    plugin = counting[counting.index("-plugin") + 1]
    assert plugin == f"{tmp_path / 'instructions.so'},out={counts}"
    assert [part for part in counting if part not in ("-plugin", plugin)] == command


def test_another_plugin_or_list_is_another_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = environments._place("qemu")
    changed = Path(shutil.copytree(LISTS, tmp_path / "lists"))
    monkeypatch.setattr(environments, "LISTS", changed)
    assert environments._place("qemu") == before
    with (changed / userland.wheels("ai-edge-litert", userland.PYTHON)).open("a") as file:
        file.write("# another\n")
    assert environments._place("qemu") != before

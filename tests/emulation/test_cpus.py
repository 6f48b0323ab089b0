"""What an emulated board says of itself agrees with itself, file by file."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from edgebert import target
from edgebert.device import conditions
from edgebert.emulation import cpus

BY_NAME = pytest.mark.parametrize("name", sorted(cpus.KNOWN))
DOT = {"cortex-a35": False, "cortex-a53": False, "cortex-a57": False, "cortex-a72": False, "cortex-a76": True,
       "neoverse-n1": True}  # fmt: skip
IMPLEMENTED_BY_ARM = "0x41"


@pytest.fixture
def root(name: str, tmp_path: Path) -> Path:
    cpus.write(cpus.KNOWN[name], tmp_path)
    return tmp_path


def text(root: Path, path: str) -> str:
    content = (root / path).read_text(encoding="ascii")
    assert content.endswith("\n") and not content.startswith("\n")
    return content.strip("\n")


def processors(root: Path) -> list[dict[str, str]]:
    """The processors of /proc/cpuinfo, as a runtime parses it."""
    blocks = re.split(r"\n\n", text(root, "proc/cpuinfo"))
    fields = [dict(re.split(r"\s*: ", line, maxsplit=1) for line in block.splitlines()) for block in blocks]
    return [block for block in fields if "processor" in block]


def test_every_cpu_is_listed_with_what_it_can() -> None:
    assert set(DOT) == set(cpus.KNOWN)


@BY_NAME
def test_each_core_is_told_with_its_identity_and_its_features(name: str, root: Path) -> None:
    cpu = cpus.KNOWN[name]
    found = processors(root)
    assert [one["processor"] for one in found] == [str(i) for i in range(cpus.CORES)]
    for one in found:
        assert (one["CPU implementer"], one["CPU part"]) == (IMPLEMENTED_BY_ARM, cpu.part)
        assert (one["CPU variant"], one["CPU revision"]) == (cpu.variant, cpu.revision)
        assert ("asimddp" in one["Features"].split()) is DOT[name]
        assert {"fp", "asimd"} <= set(one["Features"].split())
    assert f"Model\t\t: {cpu.board}" in text(root, "proc/cpuinfo")


@BY_NAME
def test_sys_lists_the_cores_that_cpuinfo_lists(name: str, root: Path) -> None:
    folder = root / "sys" / "devices" / "system" / "cpu"
    assert sorted(path.name for path in folder.glob("cpu[0-9]*")) == [f"cpu{i}" for i in range(cpus.CORES)]
    for kind in ("possible", "present", "online"):
        assert text(folder, kind) == f"0-{cpus.CORES - 1}"
    for i in range(cpus.CORES):
        assert text(folder, f"cpu{i}/topology/core_id") == str(i)
        shared = [text(folder, f"cpu{i}/cache/index{n}/shared_cpu_list") for n in range(3)]
        assert shared == [str(i), str(i), f"0-{cpus.CORES - 1}"]


@BY_NAME
def test_the_conditions_of_an_emulated_board_can_be_read_and_are_faultless(
    name: str, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for path in ("_CPU", "_FIRMWARE", "_THERMAL", "_MEMORY", "_L4T"):
        monkeypatch.setattr(conditions, path, f"{root}{getattr(conditions, path)}")
    monkeypatch.setenv("PATH", "")
    cpu, found = cpus.KNOWN[name], conditions.snapshot()
    assert found["khz"] == found["max_khz"] == found["allowed_khz"] == [cpu.fastest_khz] * cpus.CORES
    assert cpu.slowest_khz < cpu.fastest_khz
    assert found["governors"] == ["ondemand"]
    assert found["temperatures_c"] == {"cpu-thermal": 48.0}
    assert 0 < found["memory_available_mb"] < cpu.memory_kib * 1024 / 1e6
    assert conditions.faults({"before": found, "during": [found] * 9, "after": found}) == []


@pytest.mark.parametrize("name", [name for name in target.names() if target.load(name).hardware.cpu in cpus.KNOWN])
def test_a_profile_and_its_emulated_board_agree(name: str) -> None:
    hardware = target.load(name).hardware
    cpu = cpus.KNOWN[hardware.cpu]
    if hardware.board is not None:
        assert hardware.board in cpu.board
    assert set(hardware.features) <= set(cpu.features.split())


def test_the_boards_of_the_profiles_are_here() -> None:
    wanted = {target.load(name).hardware.cpu for name in ("raspberry-pi-4", "raspberry-pi-5", "android-cpu")}
    assert wanted == {"cortex-a72", "cortex-a76"} <= set(cpus.KNOWN)

"""Fixtures: bundles for Android, a phone that is a folder, and the runner for it; a board that ssh reaches."""

from __future__ import annotations

import json
import os
import shutil
import stat
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from edgebert import pipeline, planning, recipe as recipes
from tests import toy
from tests.conftest import Built
from tests.transports import fake_phone, sshd
from tests.transports.fake_phone import Says
from tests.transports.sshd import Board

SERIAL = "R58M123ABC"
PROPERTIES = {
    "ro.product.manufacturer": "Google",
    "ro.product.model": "Pixel 8",
    "ro.soc.manufacturer": "Google",
    "ro.soc.model": "Tensor G3",
    "ro.board.platform": "zuma",
    "ro.build.version.release": "14",
    "ro.product.cpu.abilist": "arm64-v8a",
    "ro.hardware": "shiba",
}
TOOLS = {
    "adb": '{python} {fake} adb "$@"',
    "sh": 'command=$2; shift 3; exec {shell} -c "$command" sh {root}/bin/program "$@"',  # -c COMMAND sh PROGRAM
    "program": 'exec {python} {fake} program "$@"',
    "getprop": 'sed -n "s/^$1=//p" {root}/properties',
    "dumpsys": "cat {root}/dumpsys/$1",
    "settings": "cat {root}/$3",
    "df": "cat {root}/df",
    "uname": "case $1 in -r) echo 5.15.110-android14-11;; -m) echo aarch64;; esac",
}
THERMAL = """IsStatusOverride: false
Thermal Status: {status}
Cached temperatures:
\tTemperature{{mValue=30.0, mType=3, mName=VIRTUAL-SKIN, mStatus={status}}}
HAL Ready: true
Current temperatures from HAL:
\tTemperature{{mValue=41.5, mType=0, mName=BIG, mStatus=0}}
\tTemperature{{mValue=31.5, mType=3, mName=VIRTUAL-SKIN, mStatus={status}}}
"""
BATTERY = "Current Battery Service state:\n  AC powered: false\n  USB powered: true\n  status: 2\n  level: 83\n"
ONNX_TARGET = """
name = "android-onnx"
extends = "arm-cpu"
[hardware]
system = "android"
"""
Validate = Callable[..., subprocess.CompletedProcess[str]]


@dataclass(frozen=True)
class Phone:
    """A fake phone: its folder, and what is recorded of it."""

    folder: Path

    @property
    def work(self) -> Path:
        return self.folder / "root/data/local/tmp/edgebert"

    def says(self, **told: Any) -> None:
        found: Says = {"printed": "", **told}  # type: ignore[typeddict-item]
        (self.folder / "says.json").write_text(json.dumps(found))

    def lists(self, *lines: str) -> None:
        (self.folder / "devices").write_text("List of devices attached\n" + "".join(f"{line}\n" for line in lines))

    def property(self, name: str, value: str) -> None:
        known = {**PROPERTIES, name: value}
        (self.folder / "root/properties").write_text("".join(f"{key}={one}\n" for key, one in known.items()))

    def file(self, name: str, text: str) -> None:
        path = self.folder / "root" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def calls(self) -> list[list[str]]:
        return [json.loads(line) for line in (self.folder / "calls.jsonl").read_text().splitlines()]

    def pushed(self) -> list[list[str]]:
        return [call for call in self.calls() if "push" in call]

    def programs(self) -> list[list[str]]:
        path = self.folder / "programs.jsonl"
        lines = path.read_text().splitlines() if path.is_file() else []
        return [json.loads(line)["words"] for line in lines]


@pytest.fixture(scope="session")
def android(tmp_path_factory: pytest.TempPathFactory, toy_model: Path) -> Built:
    """The toy built for phones: TFLite and ONNX on the CPU, ONNX on the NPU; its median may take 50 ms."""
    folder = tmp_path_factory.mktemp("android")
    recipe = toy.write_project(
        folder / "project", toy_model, ["android-cpu", "./android-onnx.toml", "qualcomm-htp"]
    )
    (folder / "project/android-onnx.toml").write_text(ONNX_TARGET)
    recipe.write_text(recipe.read_text() + "max_latency_p50_ms = 50\nmax_peak_memory_mb = 900\n")
    out = folder / "out"
    plan = planning.plan(recipes.load(recipe), None, out / ".store")
    return Built(recipe, out, pipeline.run(plan, out, pipeline.Unwatched()))


@pytest.fixture
def phone(tmp_path: Path) -> Phone:
    """A Pixel 8 on the desk, cool and charged, the only one that adb lists."""
    found = Phone(tmp_path / "phone")
    root = found.folder / "root"
    for name in ("bin", "dumpsys", "data/local/tmp", "proc"):
        (root / name).mkdir(parents=True)
    for number, highest in enumerate([1704000, 2367000, 2914000]):
        for name, value in (("cur", 500000), ("max", highest)):
            found.file(f"sys/devices/system/cpu/cpu{number}/cpufreq/scaling_{name}_freq", f"{value}\n")
        found.file(f"sys/devices/system/cpu/cpu{number}/cpufreq/cpuinfo_max_freq", f"{highest}\n")
        found.file(f"sys/devices/system/cpu/cpu{number}/cpufreq/scaling_governor", "sched_pixel\n")
    found.file("proc/loadavg", "1.20 1.10 0.90 2/4000 12345\n")
    found.file("proc/meminfo", "MemTotal: 7800000 kB\nMemAvailable:  3000000 kB\n")
    found.file("dumpsys/thermalservice", THERMAL.format(status=0))
    found.file("dumpsys/battery", BATTERY)
    found.file("low_power", "0\n")
    found.file(
        "df", "Filesystem 1K-blocks Used Available Use% Mounted on\n/dev/block/dm-50 9999 99 8000000 1% /data\n"
    )
    found.property("ro.product.model", "Pixel 8")
    found.lists(f"{SERIAL}\tdevice")
    for name, line in TOOLS.items():
        path = (found.folder if name == "adb" else root / "bin") / name
        text = line.format(python=sys.executable, fake=fake_phone.__file__, root=root, shell="/bin/sh")
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return found


def elf(machine: int = 183, kind: int = 3, linker: str | None = "/system/bin/linker64") -> bytes:
    """The header of an ELF program, and the name of what loads it."""
    name = b"" if linker is None else linker.encode() + b"\0"
    header = b"\x7fELF\x02\x01\x01".ljust(16, b"\0") + struct.pack(
        "<HHIQQQIHHHHHH", kind, machine, 1, 0, 64, 0, 0, 64, 56, 1 if name else 0, 0, 0, 0
    )
    segment = struct.pack("<IIQQQQQQ", 3, 4, 120, 0, 0, len(name), len(name), 1) if name else b""
    return header + segment + name


@pytest.fixture
def runner(tmp_path: Path) -> Path:
    """A file that looks like a program for Android."""
    path = tmp_path / "the runner"
    path.write_bytes(elf())
    return path


@pytest.fixture
def validate(phone: Phone, runner: Path, run_edgebert: Validate) -> Validate:
    """Run `edgebert validate` against the fake phone, with the runner unless told otherwise."""

    def run(
        bundle: Path, *more: str | Path, on: str = "adb", with_runner: bool = True
    ) -> subprocess.CompletedProcess[str]:
        given = ["--runner", runner] if with_runner else []
        path = f"{phone.folder}:{os.environ['PATH']}"
        return run_edgebert("validate", bundle, "--on", on, *given, *more, PATH=path, FAKE_PHONE=str(phone.folder))

    assert shutil.which("sha256sum")
    return run


@pytest.fixture
def board(tmp_path: Path) -> Iterator[Board]:
    """A Raspberry Pi 5 that ssh reaches: a real sshd and an emulated Python. It leaves no process behind."""
    if (reason := sshd.why_not()) is not None:
        pytest.skip(reason)
    with sshd.serving(tmp_path / "board") as found:
        yield found


@pytest.fixture
def shipped(tmp_path: Path, built: Built) -> Path:
    """A copy of the toy's bundle for it, without the build's store."""
    return shutil.copytree(built.bundle("raspberry-pi-5"), tmp_path / "out" / "toy" / "raspberry-pi-5")

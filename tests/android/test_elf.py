from __future__ import annotations

from pathlib import Path

import pytest

from edgebert.android import elf
from tests.transports.conftest import elf as program


@pytest.mark.parametrize("linker", [elf.LINKER, None])
def test_a_program_for_android_is_taken(tmp_path: Path, linker: str | None) -> None:
    path = tmp_path / "runner"
    path.write_bytes(program(linker=linker))
    assert elf.fault(path) is None


@pytest.mark.parametrize(
    ("contents", "reason"),
    [
        (program(machine=62), "x86-64"),
        (program(machine=40), "32-bit ARM"),
        (program(machine=7), "machine 7"),
        (program(kind=1), "no program"),
        (program(linker="/lib/ld-linux-aarch64.so.1"), "another system than Android"),
        (b"#!/bin/sh\necho fast\n", "a script"),
        (b"PK\x03\x04" + b"\0" * 100, "not an ELF program"),
        (program()[:40], "not an ELF program"),
        (b"", "not an ELF program"),
    ],
)
def test_what_cannot_run_there_is_told_apart(tmp_path: Path, contents: bytes, reason: str) -> None:
    path = tmp_path / "runner"
    path.write_bytes(contents)
    assert reason in str(elf.fault(path))


def test_a_file_that_is_cut_within_its_segments_is_no_crash(tmp_path: Path) -> None:
    path = tmp_path / "runner"
    path.write_bytes(program()[:90])
    assert elf.fault(path) is None  # the phone's loader will refuse it


def test_no_file_and_a_folder_are_told(tmp_path: Path) -> None:
    assert elf.fault(tmp_path / "absent") == "there is no such file"
    assert elf.fault(tmp_path) == "there is no such file"

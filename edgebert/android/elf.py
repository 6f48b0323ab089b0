"""Whether a file is a program that an Android phone can run, by its ELF header (elf(5))."""

from __future__ import annotations

import struct
from pathlib import Path

_MACHINES = {3: "32-bit x86", 40: "32-bit ARM", 62: "x86-64", 183: "AArch64", 243: "RISC-V"}
_AARCH64, _INTERPRETER = 183, 3
_EXECUTABLE = (2, 3)  # ET_EXEC, and ET_DYN, which every program for Android is
LINKER = "/system/bin/linker64"


def fault(path: Path) -> str | None:
    """What is wrong with a file as a program for Android on AArch64, or None."""
    if not path.is_file():
        return "there is no such file"
    try:
        data = path.read_bytes()
    except OSError as error:
        return f"it cannot be read: {error.strerror}"
    if data[:2] == b"#!":
        return "it is a script"
    if data[:4] != b"\x7fELF" or len(data) < 64:
        return "it is not an ELF program"
    kind, machine = struct.unpack_from("<HH", data, 16)
    if data[4:6] != b"\x02\x01" or machine != _AARCH64:
        return f"it is made for {_MACHINES.get(machine, f'machine {machine}')}"
    if kind not in _EXECUTABLE:
        return "it is no program but an object or core file"
    if (linker := _linker(data)) not in (None, LINKER):
        return f"it is made for another system than Android (it is loaded by {linker})"
    return None


def _linker(data: bytes) -> str | None:
    """The program interpreter that a dynamically linked file names, None for a static one."""
    (start,) = struct.unpack_from("<Q", data, 32)
    size, count = struct.unpack_from("<HH", data, 54)
    for number in range(count):
        at = start + number * size
        if at + 56 > len(data):
            break
        if struct.unpack_from("<I", data, at)[0] == _INTERPRETER:
            (offset,) = struct.unpack_from("<Q", data, at + 8)
            (length,) = struct.unpack_from("<Q", data, at + 32)
            return data[offset : offset + length].rstrip(b"\0").decode("ascii", "replace")
    return None

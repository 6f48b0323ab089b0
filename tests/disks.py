"""A small disk, which is soon full."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

Disk = Callable[[str], Path]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Disk]:
    """A function that mounts, or resizes, a tmpfs of a given size in a namespace of its own; the disk's path."""
    place = tmp_path / "disk"
    place.mkdir()
    own = ["unshare", "-m"] if os.geteuid() == 0 else ["unshare", "-rm"]
    if shutil.which("unshare") is None:
        pytest.skip("unshare is not here to mount a small disk with")
    shell = subprocess.Popen([*own, "sh"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert shell.stdin is not None
    assert shell.stdout is not None

    def ask(command: str) -> bool:
        assert shell.stdin is not None
        assert shell.stdout is not None
        try:
            shell.stdin.write(f"{command} >&2 && echo yes || echo no\n")
            shell.stdin.flush()
        except BrokenPipeError:
            return False
        return shell.stdout.readline() == "yes\n"

    def mount(size: str) -> Path:
        if not ask(f"mount -t tmpfs -o remount,size={size} tmpfs '{place}' 2>/dev/null") and not ask(
            f"mount -t tmpfs -o size={size} tmpfs '{place}'"
        ):
            pytest.skip("mounting a small disk is not allowed here")
        return Path(f"/proc/{shell.pid}/root{place}")

    yield mount
    shell.stdin.close()
    shell.wait()
    shell.stdout.close()

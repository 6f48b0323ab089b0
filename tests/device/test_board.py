"""What is sent with each call to a board: it receives things whole or not at all, and removes only its own."""

from __future__ import annotations

import ast
import hashlib
import io
import json
import os
import platform
import signal
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import pytest

from edgebert.device import board
from tests.disks import Disk

DAMAGED, DISK_FULL = board.DAMAGED, board.DISK_FULL


def command(home: Path, *arguments: str) -> tuple[list[str], dict[str, str]]:
    return [sys.executable, str(board.__file__), *arguments], {**os.environ, "HOME": str(home)}


def call(home: Path, *arguments: str, data: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    words, environment = command(home, *arguments)
    return subprocess.run(words, env=environment, input=data, capture_output=True, check=False)


def receive(home: Path, name: str, data: bytes) -> subprocess.CompletedProcess[bytes]:
    return call(home, "receive", name, hashlib.sha256(data).hexdigest(), data=data)


def kept(home: Path) -> list[str]:
    place = home / ".cache" / "edgebert-board"
    return sorted(path.relative_to(place).as_posix() for path in place.rglob("*")) if place.exists() else []


def archive(files: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return out.getvalue()


def linked(kind: bytes, name: str, to: str) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        entry = tarfile.TarInfo(name)
        entry.type, entry.linkname = kind, to
        tar.addfile(entry)
    return out.getvalue()


def test_even_python_3_5_can_read_it() -> None:
    tree = ast.parse(Path(str(board.__file__)).read_text(encoding="utf-8"), feature_version=(3, 5))
    assert not [node for node in ast.walk(tree) if isinstance(node, ast.JoinedStr | ast.AnnAssign)]


def test_a_probe_tells_the_machine_and_what_is_here(tmp_path: Path) -> None:
    found = json.loads(call(tmp_path, "probe", "numpy", "no-such-package").stdout)
    assert found["python"] == list(sys.version_info[:3])
    assert found["bits"] == 64
    assert found["arch"] == platform.machine()
    assert list(found["packages"]) == ["numpy"]
    assert found["here"] == []
    assert isinstance(found["disk_free_mb"], int)
    assert not kept(tmp_path)
    receive(tmp_path, "code-1", archive({"a": b"a"}))
    assert json.loads(call(tmp_path, "probe").stdout)["here"] == ["code-1"]


def test_what_is_received_is_kept_whole(tmp_path: Path) -> None:
    sent = archive({"a.txt": b"a", "onnx/model.onnx": bytes(3 << 20)})
    done = receive(tmp_path, "bundle-1", sent)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    whole = ["bundle-1", "bundle-1/a.txt", "bundle-1/onnx", "bundle-1/onnx/model.onnx"]
    assert kept(tmp_path) == whole
    again = receive(tmp_path, "bundle-1", sent)  # as two calls at the same time may send it
    assert again.returncode == 0, again.stderr
    assert kept(tmp_path) == whole


@pytest.mark.parametrize("harm", ["a byte", "the end", "all"])
def test_what_was_damaged_on_the_way_is_not_kept(tmp_path: Path, harm: str) -> None:
    sent = archive({"a.txt": b"abc"})
    arrived = {"a byte": sent.replace(b"abc", b"abd"), "the end": sent[:-1], "all": b""}[harm]
    done = call(tmp_path, "receive", "bundle-1", hashlib.sha256(sent).hexdigest(), data=arrived)
    assert done.returncode == DAMAGED
    assert done.stderr.startswith(b"damaged on the way: its sha256 is ")
    assert kept(tmp_path) == []


@pytest.mark.parametrize(
    "sent",
    [
        archive({"{outside}": b"a"}),
        archive({"../../outside": b"a"}),
        archive({"a/../../b": b"a"}),
        linked(tarfile.SYMTYPE, "link", "/etc"),
        linked(tarfile.LNKTYPE, "link", "../../outside"),
        linked(tarfile.FIFOTYPE, "pipe", ""),
        linked(tarfile.CHRTYPE, "device", ""),
    ],
    ids=["absolute", "above", "above by a detour", "symbolic link", "hard link", "pipe", "device"],
)
def test_an_archive_with_more_than_files_of_its_own_is_refused(tmp_path: Path, sent: bytes) -> None:
    outside = str(tmp_path / "outside")
    if b"{outside}" in sent:
        sent = archive({outside: b"a"})
    done = receive(tmp_path / "home", "bundle-1", sent)
    assert done.returncode == DAMAGED
    assert b"may not be in an archive of ours" in done.stderr
    assert kept(tmp_path / "home") == []
    assert not Path(outside).exists()


@pytest.mark.parametrize("size", ["64k", "64k,nr_inodes=2", "1m,nr_inodes=6"], ids=["bytes", "folders", "files"])
def test_a_full_disk_is_told_and_nothing_is_kept(small_disk: Disk, size: str) -> None:
    home = small_disk(size)
    sent = archive({name: bytes(40_000) for name in "abc"})
    done = receive(home, "bundle-1", sent)
    assert done.returncode == DISK_FULL, done.stderr
    assert done.stderr == b"no space left on its disk"
    assert kept(home) == []


def test_a_killed_upload_is_removed_by_the_next_call_once_nothing_else_arrives(tmp_path: Path) -> None:
    def begin(name: str) -> subprocess.Popen[bytes]:
        words, environment = command(tmp_path, "receive", name, "0" * 64)
        before = len(rooms())
        process = subprocess.Popen(words, env=environment, stdin=subprocess.PIPE, stderr=subprocess.PIPE)
        assert process.stdin is not None
        process.stdin.write(bytes(board.BLOCK))
        process.stdin.flush()
        while len(rooms()) == before and process.poll() is None:
            time.sleep(0.01)
        return process

    def rooms() -> list[str]:
        return [name for name in kept(tmp_path) if name.endswith("/archive.part")]

    first = begin("bundle-1")
    first.send_signal(signal.SIGKILL)
    first.communicate()
    assert len(rooms()) == 1
    with begin("bundle-2") as second:
        assert json.loads(call(tmp_path, "probe").stdout)["here"] == []
        assert len(rooms()) == 2
        second.communicate()
        assert second.returncode == DAMAGED
    assert len(rooms()) == 1
    call(tmp_path, "probe")
    assert kept(tmp_path) == []


def test_a_module_of_what_was_received_is_run_and_nothing_is_written(tmp_path: Path) -> None:
    source = b"import os, sys\nprint(sys.argv, os.getcwd(), sys.stdin.read())\nsys.exit(5)\n"
    receive(tmp_path, "code-1", archive({"device/__init__.py": b"", "device/job.py": source}))
    receive(tmp_path, "runtime-1", archive({"device/__init__.py": b"wrong"}))
    before = kept(tmp_path)
    done = call(tmp_path, "run", "code-1:runtime-1", "device.job", "run", data=b"request")
    home = tmp_path / ".cache" / "edgebert-board"
    assert done.returncode == 5, done.stderr
    assert f" {home} request" in done.stdout.decode()
    assert "'run'" in done.stdout.decode()
    assert kept(tmp_path) == before


def test_one_thing_or_all_is_removed_and_nothing_of_others(tmp_path: Path) -> None:
    theirs = tmp_path / ".cache" / "edgebert" / "environments"  # of an EdgeBERT installed there
    theirs.mkdir(parents=True)
    for name in ("code-1", "bundle-1"):
        receive(tmp_path, name, archive({"a": b"a"}))
    (tmp_path / ".cache" / "edgebert-board" / ".old-1-bundle-2").mkdir()  # of a removal that was killed
    assert call(tmp_path, "drop", "bundle-1").returncode == 0
    assert call(tmp_path, "drop", "bundle-1").returncode == 0
    assert kept(tmp_path) == [".old-1-bundle-2", "code-1", "code-1/a"]
    assert call(tmp_path, "clean").returncode == 0
    assert call(tmp_path, "clean").returncode == 0
    assert [path.name for path in (tmp_path / ".cache").iterdir()] == ["edgebert"]
    assert theirs.is_dir()

"""What the host needs of a board before anything of ours is there: sent along with each call, needs only python3.

Written so that even Python 3.5 runs it: a Python that is too old must be told, not meet a SyntaxError.
"""

import errno
import fcntl
import hashlib
import json
import os
import platform
import shutil
import struct
import sys
import tarfile
import tempfile
from typing import List, Optional

HOME = os.path.join(os.path.expanduser("~"), ".cache", "edgebert-board")  # .../edgebert is an installed EdgeBERT's
OLDEST = (3, 8)
DISK_FULL, DAMAGED = 28, 74  # exit statuses: ENOSPC; sysexits' EX_IOERR
BLOCK = 1 << 20


def probe(*packages: str) -> int:
    """Print what this machine is and has, as JSON; `packages` are distributions to look for in its Python.

    What killed calls left is removed first: it would count as taken space.
    """
    _sweep()
    versions = {}
    if sys.version_info >= OLDEST:
        from importlib import metadata

        for package in packages:
            try:
                versions[package] = metadata.version(package)
            except metadata.PackageNotFoundError:
                continue
    found = {
        "python": list(sys.version_info[:3]),
        "bits": 8 * struct.calcsize("P"),
        "arch": platform.machine(),
        "kernel": platform.release(),
        "board": _text("/proc/device-tree/model"),
        "features": _features(),
        "memory_available_mb": _memory(),
        "disk_free_mb": _free(),
        "here": sorted(name for name in _listed() if not name.startswith(".")),
        "packages": versions,
    }
    print(json.dumps(found))
    return 0


def receive(name: str, sha256: str) -> int:
    """Unpack the tar file on standard input as HOME/name if it has this sha256: all of it or nothing."""
    room = None
    try:
        if not os.path.isdir(HOME):
            os.makedirs(HOME)
        room = tempfile.mkdtemp(prefix=".new-", dir=HOME)
        fcntl.flock(os.open(HOME, os.O_RDONLY), fcntl.LOCK_SH)  # until this process ends nobody sweeps
        return _unpack(room, os.path.join(HOME, name), sha256)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        sys.stderr.write("no space left on its disk")
        return DISK_FULL
    finally:
        if room is not None:
            shutil.rmtree(room, ignore_errors=True)


def run(paths: str, module: str, *arguments: str) -> int:
    """Run a module of what was received; `paths` are folders in HOME, first found first."""
    import runpy

    sys.dont_write_bytecode = True
    sys.path[:0] = [os.path.join(HOME, name) for name in paths.split(":")]
    sys.argv = [module] + list(arguments)
    os.chdir(HOME)
    runpy.run_module(module, run_name="__main__", alter_sys=True)
    return 0


def clean() -> int:
    """Remove everything that was received."""
    for name in _listed():
        drop(name)
    shutil.rmtree(HOME, ignore_errors=True)
    return 0


def drop(name: str) -> int:
    """Remove one thing that was received: out of sight at once, so that a kill leaves no half of it."""
    place = os.path.join(HOME, name)
    hidden = os.path.join(HOME, ".old-{}-{}".format(os.getpid(), name))
    if os.path.isdir(place):
        os.rename(place, hidden)
    shutil.rmtree(hidden, ignore_errors=True)
    return 0


def _unpack(room: str, place: str, sha256: str) -> int:
    archive, folder = os.path.join(room, "archive.part"), os.path.join(room, "folder")
    state = hashlib.sha256()
    with open(archive, "wb") as file:
        for block in iter(lambda: sys.stdin.buffer.read(BLOCK), b""):
            state.update(block)
            file.write(block)
    if state.hexdigest() != sha256:
        sys.stderr.write("damaged on the way: its sha256 is {}, not {}".format(state.hexdigest(), sha256))
        return DAMAGED
    os.mkdir(folder)
    with tarfile.open(archive) as tar:
        tar.extraction_filter = getattr(tarfile, "data_filter", None)
        members = tar.getmembers()
        for member in members:
            parts = member.name.split("/")
            if not (member.isfile() or member.isdir()) or os.path.isabs(member.name) or ".." in parts:
                sys.stderr.write("'{}' may not be in an archive of ours".format(member.name))
                return DAMAGED
        tar.extractall(folder, members)  # noqa: S202  # members were checked
    for member in members:
        if member.isfile():  # on the card before it has its name: a power cut must not leave a hollow bundle
            with open(os.path.join(folder, member.name), "rb") as file:
                os.fsync(file.fileno())
    try:
        os.rename(folder, place)
    except OSError:
        if not os.path.isdir(place):  # else another call brought the same meanwhile
            raise
    return 0


def _sweep() -> None:
    """Remove what killed calls left, unless another call is at work."""
    try:
        fcntl.flock(os.open(HOME, os.O_RDONLY), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return
    for name in _listed():
        if name.startswith("."):
            shutil.rmtree(os.path.join(HOME, name), ignore_errors=True)


def _listed() -> List[str]:
    try:
        return os.listdir(HOME)
    except OSError:
        return []


def _free() -> int:
    """Free disk space where HOME is or will be, in 10^6 bytes."""
    folder = HOME
    while not os.path.isdir(folder):
        folder = os.path.dirname(folder)
    return shutil.disk_usage(folder).free // 10**6


def _memory() -> Optional[int]:
    for line in (_text("/proc/meminfo") or "").splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024 // 10**6
    return None


def _features() -> List[str]:
    for line in (_text("/proc/cpuinfo") or "").splitlines():
        if line.lower().startswith(("features", "flags")):
            return line.partition(":")[2].split()
    return []


def _text(path: str) -> Optional[str]:
    try:
        with open(path, errors="replace") as file:
            return file.read().strip("\0\n ") or None
    except (IOError, OSError):
        return None


if __name__ == "__main__":
    sys.exit(globals()[sys.argv[1]](*sys.argv[2:]))

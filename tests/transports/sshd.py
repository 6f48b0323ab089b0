"""A board that OpenSSH reaches: a real sshd on loopback, a home of its own, and an emulated ARM Python in it."""

from __future__ import annotations

import contextlib
import getpass
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from edgebert import environments
from edgebert.emulation import userland
from edgebert.errors import SurroundingsError

HOST = "pi5"  # an alias of the client's config
PATH = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])
SSHD = shutil.which("sshd", path=PATH)
TOOLS = {"ssh": "openssh-client", "sshd": "openssh-server", userland.QEMU: "qemu-user", "timeout": "coreutils"}
SYSTEM = ("sh", "timeout", "cat", "tr", userland.QEMU)  # all that the board's PATH holds beside its python3
PATIENCE_S = 60.0  # until what must happen is taken not to happen


@dataclass(frozen=True)
class Board:
    """The far side, and what the near side needs to reach it."""

    folder: Path
    port: int
    sshd: int

    @property
    def home(self) -> Path:
        return self.folder / "home"

    @property
    def root(self) -> Path:
        return self.folder / "root"

    @property
    def kept(self) -> Path:
        """Where our device code keeps what it received."""
        return self.home / ".cache" / "edgebert-board"

    @property
    def config(self) -> Path:
        return self.folder / "config"

    @property
    def on(self) -> tuple[str, ...]:
        """Arguments of `validate` that lead here."""
        return ("--on", f"ssh://{HOST}", "--ssh-config", str(self.config))

    def tool(self, name: str, script: str) -> Path:
        """Put a shell script on the board's PATH, before everything else."""
        path = self.folder / "bin" / name
        path.unlink(missing_ok=True)
        path.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
        path.chmod(0o755)
        return path

    def python(self, cpu: str = "cortex-a76", modules: Path | None = None, before: str = "") -> None:
        """Make the board's python3 the emulated one of a CPU; `modules` hold its runtime and numpy (or do not).

        `before` are lines of shell that come first.
        """
        place = environments.place_of("qemu")
        root = self.root if self.root.is_dir() else place / "boards" / cpu
        found = modules or place / "runtimes" / "onnxruntime"
        python = root / "usr" / "bin" / f"python{userland.PYTHON}"
        given = f"-E PYTHONPATH={found} -E PYTHONNOUSERSITE=1"
        self.tool("python3", f'{before}\nexec {userland.QEMU} -cpu {cpu} -L {root} {given} {python} "$@"')

    def modules(self) -> Path:
        """A folder of this board's own with links to its runtime and numpy; python3 uses it from now on."""
        found = self.folder / "modules"
        found.mkdir()
        for entry in (environments.place_of("qemu") / "runtimes" / "onnxruntime").iterdir():
            (found / entry.name).symlink_to(entry)
        self.python(modules=found)
        return found

    def own_root(self, cpu: str = "cortex-a76") -> Path:
        """A root of this board's own, whose proc and sys may be altered; python3 runs in it from now on."""
        self.root.mkdir()
        for entry in (environments.place_of("qemu") / "boards" / cpu).iterdir():
            if entry.is_symlink():
                (self.root / entry.name).symlink_to(entry.resolve())
            else:
                shutil.copytree(entry, self.root / entry.name)
        self.python(cpu)
        return self.root

    def remember_host(self, key: str = "host_key") -> None:
        """Write the client's known_hosts, with this key of the board's."""
        public = (self.folder / f"{key}.pub").read_text(encoding="utf-8")
        (self.folder / "known_hosts").write_text(f"[127.0.0.1]:{self.port} {public}", encoding="utf-8")

    def processes(self) -> list[int]:
        """Processes of this board: sessions of its sshd, what runs in its home, and clients that talk to it."""
        marks = (f"HOME={self.home}\0".encode(), f"{self.config}\0".encode())
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit() and int(entry.name) not in (self.sshd, os.getpid()):
                with contextlib.suppress(OSError, IndexError):
                    parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                    text = (entry / "environ").read_bytes() + (entry / "cmdline").read_bytes()
                    if parent == self.sshd or any(mark in text for mark in marks):
                        found.append(int(entry.name))
        return found

    def emulated(self, call: str) -> list[int]:
        """The board's Pythons that run a call of ours: `receive`, `run` ..."""
        return [n for n in self.processes() if words_of(n)[:1] == [userland.QEMU] and call in words_of(n)]

    def wait_for(self, call: str) -> int:
        """The number of the board's Python that runs a call, as soon as there is one."""
        deadline = time.monotonic() + PATIENCE_S
        while not (found := self.emulated(call)):
            assert time.monotonic() < deadline, f"no '{call}' was called"
            time.sleep(0.01)
        return found[0]

    def wait_for_run(self) -> int:
        """The number of the board's Python that runs the job, as soon as it has its runtime loaded."""
        number = self.wait_for("device.job")
        deadline = time.monotonic() + PATIENCE_S
        while "onnxruntime_pybind11_state" not in Path(f"/proc/{number}/maps").read_text():
            assert time.monotonic() < deadline
            time.sleep(0.05)
        return number

    def sessions(self) -> list[int]:
        """The processes of sshd, one or two for each connection."""
        return [number for number in self.processes() if words_of(number)[:1] and "sshd" in words_of(number)[0]]

    def wait_until_idle(self) -> None:
        """Fail where something of a run is still there."""
        deadline = time.monotonic() + PATIENCE_S
        while self.processes():
            assert time.monotonic() < deadline, f"left behind: {[words_of(number) for number in self.processes()]}"
            time.sleep(0.05)

    def drafts(self) -> list[Path]:
        """What a killed upload left."""
        return list(self.kept.glob(".*"))


@contextlib.contextmanager
def serving(folder: Path) -> Iterator[Board]:
    """A board with a Raspberry Pi 5's Python; its sshd runs as long as the block, nothing of it longer."""
    assert SSHD is not None
    (folder / "home").mkdir(parents=True)
    (folder / "bin").mkdir()
    (folder / "system").mkdir()
    for name in SYSTEM:
        (folder / "system" / name).symlink_to(str(shutil.which(name)))
    for key in ("host_key", "key"):
        make_key(folder / key)
    shutil.copy(folder / "key.pub", folder / "authorized_keys")
    port = free_port()
    (folder / "sshd_config").write_text(
        SSHD_CONFIG.format(folder=folder, port=port, path=f"{folder / 'bin'}:{folder / 'system'}"),
        encoding="utf-8",
    )
    (folder / "config").write_text(
        CLIENT_CONFIG.format(folder=folder, port=port, user=getpass.getuser(), host=HOST), encoding="utf-8"
    )
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # where sshd of Debian locks itself in as root
    with (folder / "sshd.log").open("wb") as log:
        server = subprocess.Popen(
            [SSHD, "-D", "-e", "-f", str(folder / "sshd_config")], stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )
    board = Board(folder, port, server.pid)
    try:
        wait_for_port(port, server, folder / "sshd.log")
        board.remember_host()
        board.python()
        yield board
        board.wait_until_idle()
    finally:
        for number in board.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(number, signal.SIGKILL)
        server.terminate()
        server.wait()


def words_of(number: int) -> list[str]:
    """What a process runs; empty where it has ended."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{number}/cmdline").read_bytes().decode("utf-8", "replace").split("\0")
    return []


def why_not() -> str | None:
    """What is missing here to be a board, and the command that mends it."""
    absent = [package for tool, package in TOOLS.items() if shutil.which(tool, path=PATH) is None]
    if absent:
        return f"a board over SSH needs packages: sudo apt-get install {' '.join(absent)}"
    try:
        environments.place_of("qemu")
    except SurroundingsError as error:
        return str(error)
    return None


def make_key(path: Path) -> None:
    """An ed25519 key without a passphrase."""
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(path)], check=True)


def free_port() -> int:
    """A port that nothing listens on."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


def wait_for_port(port: int, server: subprocess.Popen[bytes], log: Path) -> None:
    """Return as soon as sshd listens."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        with socket.socket() as one:
            if one.connect_ex(("127.0.0.1", port)) == 0:
                return
        assert server.poll() is None, log.read_text(encoding="utf-8")
        assert time.monotonic() < deadline
        time.sleep(0.05)


SSHD_CONFIG = """
Port {port}
ListenAddress 127.0.0.1
HostKey {folder}/host_key
PidFile none
AuthorizedKeysFile {folder}/authorized_keys
PasswordAuthentication no
KbdInteractiveAuthentication no
UsePAM no
StrictModes no
PermitRootLogin prohibit-password
SetEnv HOME={folder}/home PATH={path}
"""
CLIENT_CONFIG = """
Host {host}
  HostName 127.0.0.1
  Port {port}
  User {user}
Host *
  IdentityFile {folder}/key
  IdentitiesOnly yes
  UserKnownHostsFile {folder}/known_hosts
  GlobalKnownHostsFile none
"""

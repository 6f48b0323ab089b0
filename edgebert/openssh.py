"""The user's own OpenSSH client: their keys, config and jump hosts; always an argument list, never a shell string.

What the far shell gets is made of our own words and of quoted ones; no input of the user's is among them.
"""

from __future__ import annotations

import base64
import contextlib
import functools
import re
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from edgebert.device import board
from edgebert.errors import InputError, SurroundingsError
from edgebert.jobs import TIME_LIMIT, Finished, ended

CONNECT_S, ALIVE_S, ALIVE_COUNT = 15, 5, 3
LOST = 255  # ssh's own exit status for whatever went wrong with the connection
# The limit holds on the board too. sh reports a death by signal as a status, which ssh would turn into LOST.
_LIMITED = (
    'l="$1"; shift; if command -v timeout >/dev/null 2>&1; then timeout -k 2 "$l" "$@"; else "$@"; fi; exit $?'
)
# Python looks for modules in the folder it is started in, the user's home: a random.py there is not what we mean.
_BOOT = (
    "import sys;sys.path[:]=filter(None,sys.path);import base64;"
    'exec(compile(base64.b64decode(sys.argv.pop(1)),"board","exec"))'
)
_HOST = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*|\[[0-9A-Fa-f:.]+(%[A-Za-z0-9]+)?\]")
_USER = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
_PORT = re.compile(r"[0-9]{1,5}")


@dataclass(frozen=True)
class Destination:
    """Where to connect to; None stands for what the user's ssh config says."""

    host: str
    user: str | None = None
    port: int | None = None

    def __str__(self) -> str:
        user = f"{self.user}@" if self.user else ""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"ssh://{user}{host}" + (f":{self.port}" if self.port else "")


def destination(address: str) -> Destination:
    """Parse what follows `ssh:` in --on, //user@host[:port]. Raises ValueError saying what is wrong."""
    if not address.startswith("//") or not (rest := address[2:]):
        raise ValueError("an address is written ssh://user@host or ssh://user@host:port")
    user, at, place = rest.rpartition("@")
    if at and not _USER.fullmatch(user):
        raise ValueError(f"'{user}' is not a user's name (keys, not passwords, open the connection)")
    host, colon, port = place, "", ""
    if "]:" in place or (place.count(":") == 1 and not place.endswith("]")):
        host, colon, port = place.rpartition(":")
    if not _HOST.fullmatch(host):
        raise ValueError(f"'{host}' is not a host's name or address (an IPv6 address stands in brackets)")
    if colon and not (_PORT.fullmatch(port) and 0 < int(port) < 65536):
        raise ValueError(f"'{port}' is not a port")
    return Destination(host.strip("[]"), user if at else None, int(port) if colon else None)


@dataclass(frozen=True)
class Client:
    """Calls of `edgebert.device.board` on the far side, each a connection of its own."""

    to: Destination
    config: Path | None = None

    @functools.cached_property
    def resolved(self) -> dict[str, str]:
        """What the user's ssh config says of the host, by names in lower case; empty where it is faulty."""
        command = ["ssh", "-G", *self._place()]
        said = subprocess.run(command, capture_output=True, check=False, stdin=subprocess.DEVNULL)
        pairs = (line.partition(" ") for line in said.stdout.decode("utf-8", "replace").splitlines())
        return {name: value for name, _, value in pairs}

    @property
    def connect_s(self) -> int:
        """Seconds that making the connection may take: the user's ConnectTimeout, or ours."""
        given = self.resolved.get("connecttimeout", "")
        return int(given) if given.isdigit() and int(given) else CONNECT_S

    @property
    def by_hand(self) -> str:
        """What a person types to get there."""
        return shlex.join(["ssh", *self._place(dashes=False)])

    @property
    def known_as(self) -> list[str]:
        """Arguments of ssh-keygen that name the host's entry in known_hosts."""
        name = self.resolved.get("hostkeyalias") or self.resolved.get("hostname", self.to.host)
        port = self.resolved.get("port", str(self.to.port or 22))
        files = self.resolved.get("userknownhostsfile", "").split()
        usual = not files or files[0] == str(Path.home() / ".ssh" / "known_hosts")
        entry = name if port == "22" or "hostkeyalias" in self.resolved else f"[{name}]:{port}"
        return [*([] if usual else ["-f", files[0]]), "-R", entry]

    def _place(self, dashes: bool = True) -> list[str]:
        """Arguments of ssh that lead there; the host last, never taken for an option."""
        config = ["-F", str(self.config)] if self.config else []
        port = ["-p", str(self.to.port)] if self.to.port else []
        host = f"{self.to.user}@{self.to.host}" if self.to.user else self.to.host
        return [*config, *port, *(["--"] if dashes else []), host]

    def command(self, limit_s: float, *arguments: str) -> list[str]:
        """The argument list that calls a function of the board code there; the limit is the board's own."""
        options = {
            "BatchMode": "yes",  # never a prompt in the middle of a run
            "ConnectTimeout": str(self.connect_s),
            "ServerAliveInterval": str(ALIVE_S),
            "ServerAliveCountMax": str(ALIVE_COUNT),
            "ClearAllForwardings": "yes",
            "PermitLocalCommand": "no",
            "RemoteCommand": "none",
        }
        given = [part for name, value in options.items() for part in ("-o", f"{name}={value}")]
        code = base64.b64encode(Path(str(board.__file__)).read_bytes()).decode()
        words = ["sh", "-c", _LIMITED, "sh", str(max(1, round(limit_s))), "python3", "-c", _BOOT, code, *arguments]
        return ["ssh", "-T", "-e", "none", *given, *self._place(), shlex.join(words)]

    def call(
        self,
        limit_s: float,
        *arguments: str,
        source: IO[bytes] | None = None,
        tell: Callable[[int], None] = lambda _: None,
    ) -> tuple[str, Finished]:
        """Run one function there: what it printed, and how it ended. `source` is sent, `tell` hears the bytes."""
        with tempfile.TemporaryFile() as complaints, tempfile.TemporaryFile() as printed:
            with ended(
                subprocess.Popen(
                    self.command(limit_s, *arguments), stdin=subprocess.PIPE, stdout=printed, stderr=complaints
                )
            ) as process:
                assert process.stdin is not None
                with contextlib.suppress(BrokenPipeError):  # how it ended tells why
                    sent = 0
                    for block in _blocks(source):
                        process.stdin.write(block)
                        sent += len(block)
                        tell(sent)
                with contextlib.suppress(BrokenPipeError):
                    process.stdin.close()
                try:
                    status = process.wait(limit_s + self.connect_s + 5)
                except subprocess.TimeoutExpired:
                    status = TIME_LIMIT
            complaints.seek(0)
            printed.seek(0)
            said = complaints.read()[-4000:].decode("utf-8", "replace").strip()
            return printed.read().decode("utf-8", "replace"), Finished(status, None, said)

    def check(self, finished: Finished, limit_s: float) -> None:
        """Raise the SurroundingsError that a call's end stands for; a call that ended well raises nothing."""
        last = finished.said.splitlines()[-1].strip() if finished.said else "it said nothing"
        if finished.killed:
            raise SurroundingsError(f"{self.to}: python3 was killed there; often memory ran out: try again")
        if finished.status == LOST:
            raise SurroundingsError(f"{self.to}: {_advice(finished.said, self) or last}")
        if finished.status == 127:
            raise SurroundingsError(f"{self.to}: there is no python3; install it: sudo apt-get install python3")
        if finished.status == TIME_LIMIT:
            raise SurroundingsError(f"{self.to}: no answer within {limit_s:.0f} s; is the machine overloaded?")
        if finished.status == board.DISK_FULL:
            raise SurroundingsError(f"{self.to}: {last}; free some space, or remove what EdgeBERT left: --clean")
        if finished.status == board.DAMAGED:
            raise SurroundingsError(f"{self.to}: {last}; run the same command again")
        if finished.status:
            raise SurroundingsError(f"{self.to}: python3 there ended with status {finished.status}: {last}")


def require() -> None:
    """Raise SurroundingsError where there is no OpenSSH client."""
    if shutil.which("ssh") is None:
        raise SurroundingsError("no ssh here; install OpenSSH's client: sudo apt-get install openssh-client")


def check_config(config: Path | None) -> None:
    """Raise InputError where a named config file is not there: ssh itself would only say so much later."""
    if config is not None and not config.is_file():
        raise InputError(f"--ssh-config {config}: no such file")


def _advice(said: str, client: Client) -> str | None:
    """What OpenSSH's complaint means, and the command that mends it."""
    by_hand, forget = client.by_hand, shlex.join(["ssh-keygen", *client.known_as])
    port = f" on port {client.resolved['port']}" if client.resolved.get("port", "22") != "22" else ""
    known = {
        "REMOTE HOST IDENTIFICATION HAS CHANGED": (
            "the host key is not the one it had before: another machine, or a new card; if that is so, "
            f"forget the old one: {forget}"
        ),
        "Host key verification failed": f"its host key is not known yet; look at it and accept it once: {by_hand}",
        "Permission denied": f"it refuses the key; put yours there once: ssh-copy-id{by_hand.removeprefix('ssh')}",
        "Too many authentication failures": "too many keys were offered; name one in ~/.ssh/config",
        "Connection refused": f"connection refused{port}; is sshd running there? (sudo systemctl start ssh)",
        "Connection timed out": f"it does not answer{port}; is it on, and in this network? try: {by_hand}",
        "No route to host": f"there is no way to it from here; is it in this network? try: {by_hand}",
        "Network is unreachable": f"there is no way to it from here; is it in this network? try: {by_hand}",
        "Could not resolve hostname": "no machine of that name is known; try its address, or NAME.local",
        "Bad configuration option": f"the ssh config is faulty: {said.splitlines()[0] if said else ''}",
    }
    for words, advice in known.items():
        if words.lower() in said.lower():
            return advice
    lost = ("closed by", "Broken pipe", "Connection reset", "not responding", "Timeout, server", "disconnect")
    if not said or any(words.lower() in said.lower() for words in lost):
        return "the connection was lost; what ran there ends by itself; run the same command again"
    return None


def _blocks(source: IO[bytes] | None) -> Iterator[bytes]:
    while source is not None and (block := source.read(board.BLOCK // 4)):
        yield block

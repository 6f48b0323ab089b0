"""adb as a subprocess: no call outlives its limit, none leaves a process, and what fails says what mends it.

`adb shell` hands its words to a shell on the phone, so each script here is ours and each word in it is quoted.
"""

from __future__ import annotations

import hashlib
import os
import re
import shlex
import shutil
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edgebert.errors import SurroundingsError
from edgebert.jobs import ended

FOLDER = "/data/local/tmp/edgebert"  # the one place where the shell's user may write and execute
SERIAL = re.compile(r"[A-Za-z0-9\[][A-Za-z0-9._:\[\]-]*")
GONE = re.compile(
    r"device ('.*' )?not found|device offline|no devices|closed|unauthorized|still (connecting|auth)"
)
_END = "@edgebert-end"
_SPARE = 1.1  # of a file's size, that must be free: the file system keeps books too
_GRACE_S = 5  # the phone's own limit comes after ours, which has a message
# Runs "$@" and kills it when standard input ends (the cable, this program or the adb here is gone) or time is up.
# Only `read` watches: it is the shell's own, so that killing the watcher leaves nothing that holds the connection.
_WATCHED = """cd {folder} && rm -f pid && exec 3<&0 || exit 1
{before}
limit=; command -v timeout >/dev/null 2>&1 && limit='timeout -s KILL {seconds}'
$limit sh -c 'echo $$ >pid; exec "$@"' sh {words} </dev/null 3<&- &
job=$!
{{ read -r end <&3; kill -9 $(cat pid); }} >/dev/null 2>&1 &
watch=$!
wait $job; status=$?
kill -9 $watch 2>/dev/null
wait $watch 2>/dev/null
rm -f pid
[ $status = 0 ] || exit $status
{after}"""


@dataclass(frozen=True)
class Said:
    """The end of a script on the phone: its exit status, and what it printed on both of its streams."""

    status: int
    output: str

    @property
    def last(self) -> str:
        """The last line that says anything."""
        lines = [line.strip() for line in self.output.splitlines() if line.strip()]
        return lines[-1] if lines else "it said nothing"


class Phone:
    """A phone that answers; every call ends before `limit_s` seconds from its making are over."""

    def __init__(self, adb: str, serial: str, limit_s: float) -> None:
        self.serial = serial
        self._adb, self._limit_s = adb, limit_s
        self._deadline = time.monotonic() + limit_s

    @property
    def left_s(self) -> float:
        """Seconds that are left of the limit."""
        return self._deadline - time.monotonic()

    def shell(self, script: str) -> Said:
        """Run a script of ours there. Raises SurroundingsError where the phone is lost before its end is heard."""
        # The status is printed too: adb's own is 0 before Android 7, and says nothing of a lost connection.
        done = self._call("shell", f"({script}\n) 2>&1; s=$?; echo; echo {_END} $s")
        text = done.stdout.decode("utf-8", "replace").replace("\r\n", "\n")
        body, mark, status = text.rpartition(f"{_END} ")
        if not mark or not status.strip().isdigit():
            raise self._lost(done)
        return Said(int(status), body)

    def run(self, words: Sequence[str], before: str = ":", after: str = ":") -> Said:
        """Run a program there, in FOLDER; it does not outlive this process, the connection or the limit.

        `before` and `after` are scripts of ours; `after` runs where the program ended well.
        """
        seconds = int(max(self.left_s, 0)) + _GRACE_S
        script = _WATCHED.format(
            folder=FOLDER, seconds=seconds, words=shlex.join(words), before=before, after=after
        )
        return self.shell(script)

    def put(self, path: Path, suffix: str = "", mode: str = "644") -> str:
        """Where a file lies there: in FOLDER, named by its contents, and pushed only if it is not there yet.

        Raises SurroundingsError where there is no room, or where what arrived is not what was sent.
        """
        digest = _sha256(path)
        remote = f"{FOLDER}/{digest}{suffix}"
        if self._digest(remote) == digest:
            return remote
        self._make_room(path.stat().st_size)
        part = f"{remote}.part"
        done = self._call("push", str(path.absolute()), part)
        said = (done.stdout + done.stderr).decode("utf-8", "replace")
        if done.returncode:
            if "No space left" in said:
                raise self._full(path.stat().st_size, None)
            if GONE.search(said):
                raise self._lost(done)
            raise SurroundingsError(f"phone {self.serial}: {path.name} could not be pushed: {_last(said)}")
        if (found := self._digest(part)) != digest:
            self.shell(f"rm -f {shlex.quote(part)}")
            was = "its sha256 cannot be told there" if found is None else "its sha256 differs there"
            raise SurroundingsError(
                f"phone {self.serial}: {path.name} arrived damaged ({was}) and was removed; try another cable or "
                "port, and run the same command again"
            )
        moved = self.shell(f"chmod {mode} {shlex.quote(part)} && mv {shlex.quote(part)} {shlex.quote(remote)}")
        if moved.status:
            raise SurroundingsError(f"phone {self.serial}: {path.name} could not be put in place: {moved.last}")
        return remote

    def remove(self) -> None:
        """Remove all that was ever put there."""
        self._deadline = max(self._deadline, time.monotonic() + 10)  # also after the limit
        self.shell(f"rm -rf {FOLDER}")

    def _digest(self, remote: str) -> str | None:
        said = self.shell(f"sha256sum {shlex.quote(remote)}").output
        found = re.search(r"\b[0-9a-f]{64}(?=\s)", said)
        return found[0] if found else None

    def _make_room(self, size: int) -> None:
        """Make the folder, and see that it can hold `size` more bytes."""
        said = self.shell(f"mkdir -p {FOLDER} && df -k {FOLDER}")
        if said.status:
            raise SurroundingsError(f"phone {self.serial}: {FOLDER} cannot be made: {said.last}")
        columns = said.last.split()
        if len(columns) >= 4 and columns[3].isdigit() and int(columns[3]) * 1024 < size * _SPARE:
            raise self._full(size, int(columns[3]) * 1024)

    def _full(self, size: int, free: int | None) -> SurroundingsError:
        there = "" if free is None else f" and {free / 1e6:.0f} MB are free"
        return SurroundingsError(
            f"phone {self.serial}: no space left in /data/local/tmp: {size / 1e6:.1f} MB are needed{there}; free "
            f"some, or remove what earlier runs left: adb -s {self.serial} shell rm -rf {FOLDER}"
        )

    def _lost(self, done: subprocess.CompletedProcess[bytes]) -> SurroundingsError:
        said = _last(done.stderr.decode("utf-8", "replace")) or "the connection closed"
        return SurroundingsError(
            f"phone {self.serial} was lost ({said}); look at its cable and its screen, see that `adb devices` "
            "lists it as 'device', and run the same command again"
        )

    def _call(self, *words: str) -> subprocess.CompletedProcess[bytes]:
        """One call of adb; its standard input stays open until it ends, and ends whenever this process does."""
        reading, writing = os.pipe()
        command = [self._adb, "-s", self.serial, *words]
        try:
            try:
                process = subprocess.Popen(command, stdin=reading, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            finally:
                os.close(reading)
            with ended(process):
                output, complaints = process.communicate(timeout=max(self.left_s, 0.1))
        except subprocess.TimeoutExpired:
            raise SurroundingsError(
                f"phone {self.serial}: the run took longer than {self._limit_s:.0f} s and was stopped; raise "
                "--limit, or lower --rows"
            ) from None
        finally:
            os.close(writing)
        return subprocess.CompletedProcess(command, process.returncode, output, complaints)


def connect(address: str, limit_s: float) -> Phone:
    """The phone with this serial, or the only one. Raises SurroundingsError naming what mends it."""
    adb = shutil.which("adb")
    if adb is None:
        raise SurroundingsError(
            "adb is not on PATH; install Android's platform tools: sudo apt-get install adb, or "
            "https://developer.android.com/tools/releases/platform-tools"
        )
    try:
        done = subprocess.run(
            [adb, "devices"], capture_output=True, text=True, timeout=min(limit_s, 60), check=False
        )
    except subprocess.TimeoutExpired:
        raise SurroundingsError("`adb devices` does not answer; restart it: adb kill-server") from None
    if done.returncode:
        raise SurroundingsError(f"`adb devices` failed: {_last(done.stderr)}; restart it: adb kill-server")
    lines = done.stdout.partition("List of devices attached")[2].splitlines()
    states = {serial: state for serial, tab, state in (line.partition("\t") for line in lines) if tab}
    serial = address or _only(states)
    if serial not in states:
        known = ", ".join(states) or "none"
        hint = f"; connect it: adb connect {serial}" if ":" in serial else ""
        raise SurroundingsError(f"phone {serial}: adb does not list it; it lists {known}{hint}")
    if (state := states[serial].strip()) != "device":
        raise SurroundingsError(f"phone {serial} is {_STATES.get(state.split()[0], _unknown(state))}")
    return Phone(adb, serial, limit_s)


_STATES = {
    "unauthorized": "unauthorized: unlock it and allow USB debugging from this computer",
    "authorizing": "authorizing: unlock it and allow USB debugging from this computer",
    "offline": "offline: reconnect its cable, or run adb kill-server and try again",
    "no": "closed to this user (no permissions): set a udev rule for it, as `adb devices` says",
}


def _unknown(state: str) -> str:
    return f"in the state '{state}': it must be started normally, with USB debugging on, and be listed as 'device'"


def _only(states: dict[str, str]) -> str:
    if not states:
        raise SurroundingsError(
            "adb lists no phone; connect one, switch on USB debugging in its developer options, and see that "
            "`adb devices` lists it"
        )
    if len(states) > 1:
        raise SurroundingsError(f"adb lists {len(states)} phones ({', '.join(states)}); name one: --on adb:SERIAL")
    return next(iter(states))


def _last(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else ""


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

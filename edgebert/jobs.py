"""Device jobs (`edgebert.device.job`): start the worker where it is to run, follow it, and leave no orphan."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgebert import device

Tell = Callable[[int, int], None]
TIME_LIMIT = 124  # the exit status of timeout(1)


@dataclass(frozen=True)
class Finished:
    """How a worker ended: exit status (negative: the signal; or TIME_LIMIT), result, the end of its complaints."""

    status: int
    result: dict[str, Any] | None
    said: str

    @property
    def killed(self) -> bool:
        """Whether a signal ended it; a shell tells that as 128 and the signal."""
        return self.status in (-9, -15, 137, 143)


def follow(
    command: Sequence[str],
    request: Mapping[str, Any],
    limit_s: float,
    tell: Tell,
    environment: Mapping[str, str] | None = None,
    stop: threading.Event | None = None,
) -> Finished:
    """Run a worker to its end. `tell` hears (done, total) as it goes on; setting `stop` ends it from elsewhere.

    The worker reads the request from standard input and ends when that is closed, so it does not outlive this
    process, however this process ends.
    """
    over, stopped = threading.Event(), stop or threading.Event()
    result = None
    with tempfile.TemporaryFile() as complaints:
        with ended(
            subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=complaints, env=environment
            )
        ) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            watch = threading.Thread(target=_watch, args=(process, limit_s, stopped, over), daemon=True)
            watch.start()
            try:
                with contextlib.suppress(BrokenPipeError):  # it ended before it read: its status tells why
                    process.stdin.write(json.dumps(request).encode() + b"\n")
                    process.stdin.flush()
                for line in process.stdout:
                    result = _heard(line, tell) or result
                status = process.wait()
            finally:
                stopped.set()
        complaints.seek(max(0, complaints.seek(0, os.SEEK_END) - 4000))
        said = complaints.read().decode("utf-8", "replace").strip()
    return Finished(TIME_LIMIT if over.is_set() else status, result, said)


def _watch(
    process: subprocess.Popen[bytes], limit_s: float, stopped: threading.Event, over: threading.Event
) -> None:
    """Kill the worker after the limit, which `over` then tells, or as soon as `stopped` is set."""
    if not stopped.wait(limit_s):
        over.set()
    process.kill()  # of no effect on one that ended by itself


def copy_code(folder: Path) -> None:
    """Copy the device code to `folder`/device, where it is a package of its own."""
    source = Path(str(device.__file__)).parent
    for path in sorted(source.rglob("*.py")):
        copy = folder / "device" / path.relative_to(source)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, copy)


def _heard(line: bytes, tell: Tell) -> dict[str, Any] | None:
    """The result where the line holds it; progress is passed on, anything else is not ours."""
    try:
        said = json.loads(line)
    except ValueError:
        return None
    if not isinstance(said, dict):
        return None
    if said.keys() == {"done", "total"}:
        tell(said["done"], said["total"])
    found = said.get("result")
    return found if isinstance(found, dict) else None


@contextlib.contextmanager
def ended(process: subprocess.Popen[bytes]) -> Iterator[subprocess.Popen[bytes]]:
    """The process, killed where the block ends before it does."""
    try:
        yield process
    finally:
        process.kill()
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                with contextlib.suppress(BrokenPipeError):
                    stream.close()
        process.wait()

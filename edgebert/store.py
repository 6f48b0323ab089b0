"""Folders kept under the hash of what made them: running again resumes, and half-made work is never read.

A step is written into a draft beside its final place and renamed; an entry is trusted only while the hashes of
its files, written when it was finished, still hold.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import itertools
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from edgebert.training import processes

ENTRY = "step.json"
DRAFT, LOCK = ".draft-", "lock"


def digest_of(path: Path) -> str:
    """sha256 of a file's bytes, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest_of_files(folder: Path, ignore: tuple[str, ...] = (ENTRY,)) -> dict[str, str]:
    """sha256 of every file below a folder, by relative POSIX path, sorted."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    named = {path.relative_to(folder).as_posix(): path for path in files}
    return {name: digest_of(path) for name, path in named.items() if name not in ignore}


def key_of(value: Any) -> str:
    """A short content key (16 hex digits) of any JSON-able value."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()[:16]


class Store:
    """A folder of finished steps, safe against kills, full disks and a second build at the same time."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def place(self, stage: str, key: str) -> Path:
        """Where the step's folder is, finished or not."""
        return self.root / f"{stage}-{key}"

    def find(self, stage: str, key: str) -> Path | None:
        """The finished folder of a step, or None where it is absent or no longer what was written."""
        place = self.place(stage, key)
        try:
            entry = json.loads((place / ENTRY).read_text())
            return place if entry["files"] == digest_of_files(place) else None
        except (OSError, ValueError, KeyError, TypeError):
            return None

    @contextlib.contextmanager
    def draft(self, stage: str, key: str, about: dict[str, Any]) -> Iterator[Path]:
        """A folder to fill; it takes the step's place when the block ends without an error.

        `about` (settings, inputs, versions) is kept in the entry for people who ask what made it.
        """
        self.root.mkdir(parents=True, exist_ok=True)
        made = Path(tempfile.mkdtemp(prefix=f".new-{stage}-", dir=self.root))
        with (made / LOCK).open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # tells `sweep` of other processes that this draft is alive
            room = made.rename(made.with_name(made.name.replace(".new-", DRAFT, 1)))
            try:
                folder = room / "draft"
                folder.mkdir()
                yield folder
                entry = {**about, "files": digest_of_files(folder)}
                (folder / ENTRY).write_text(json.dumps(entry, indent=1, sort_keys=True, default=str))
                self._settle(folder, self.place(stage, key), room)
                self._forget(self.unfinished(stage, key))
            finally:
                shutil.rmtree(room, ignore_errors=True)

    def _settle(self, folder: Path, place: Path, room: Path) -> None:
        replace_folder(folder, place, room / "old")

    def unfinished(self, stage: str, key: str) -> Path:
        """Where a step keeps what an interrupted run of it goes on from; gone when the step is finished."""
        return self.root / f".unfinished-{stage}-{key}"

    @contextlib.contextmanager
    def room(self, stage: str, key: str) -> Iterator[Path]:
        """The folder `unfinished`, for this process alone; a temporary one where a second build has it already.

        Processes that build together (see `processes`) share it: the first of them has it.
        """
        folder = self.unfinished(stage, key)
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / LOCK).open("w") as lock, tempfile.TemporaryDirectory() as instead:
            yield folder if processes.rank() > 0 or _locked(lock) else Path(instead)

    def remove(self, stage: str, key: str) -> None:
        """Forget a step, finished or not."""
        for folder in (self.place(stage, key), self.unfinished(stage, key)):
            shutil.rmtree(folder, ignore_errors=True)

    def _forget(self, folder: Path) -> None:
        """Remove a folder of `room`, unless a second build works in it."""
        with contextlib.suppress(FileNotFoundError), (folder / LOCK).open() as lock:
            if _locked(lock):
                shutil.rmtree(folder, ignore_errors=True)

    def sweep(self) -> None:
        """Remove drafts whose process is gone (killed, power lost)."""
        for room in self.root.glob(f"{DRAFT}*"):
            try:
                with (room / LOCK).open() as lock:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    shutil.rmtree(room, ignore_errors=True)
            except OSError:
                continue  # alive, or not a draft of ours


def _locked(lock: IO[str]) -> bool:
    """Whether the lock is ours now, until the file is closed."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def replace_folder(new: Path, place: Path, aside: Path) -> None:
    """Put folder `new` at `place`; what stood there moves to `aside` first (rename cannot replace a folder)."""
    place.parent.mkdir(parents=True, exist_ok=True)
    for path in new.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())
    for attempt in itertools.count():
        with contextlib.suppress(FileNotFoundError):
            place.rename(aside.with_name(f"{aside.name}{attempt}"))
        try:
            new.rename(place)
            return
        except OSError as error:  # another process has put its own folder there in between
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise

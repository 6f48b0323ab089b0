"""Checkpoints of a training: model, optimizer, schedule, random state. Only one that was sealed is ever read.

The training writes a checkpoint file by file, so one that a kill has cut short looks like any other. The seal is
written last and holds the hash of every file.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path

from edgebert.store import digest_of_files

SEAL = "sealed.json"
_NAME = re.compile(r"^checkpoint-(\d+)$")


def seal(folder: Path) -> None:
    """Declare a checkpoint complete, once all of it has reached the disk."""
    files = digest_of_files(folder, (SEAL,))
    for name in files:
        with (folder / name).open("rb") as file:
            os.fsync(file.fileno())
    draft = folder / f".{SEAL}"
    draft.write_text(json.dumps(files, indent=1), encoding="utf-8")
    draft.replace(folder / SEAL)


def step(folder: Path) -> int:
    """The step after which a checkpoint was written."""
    found = _NAME.match(folder.name)
    assert found is not None
    return int(found[1])


def newest(root: Path) -> Path | None:
    """The last checkpoint that is as it was sealed, or None."""
    folders = [path for path in root.glob("checkpoint-*") if _NAME.match(path.name)]
    return next((path for path in sorted(folders, key=step, reverse=True) if _is_sound(path)), None)


def remove_unsound(root: Path) -> None:
    """Remove what a kill has left half-written."""
    for path in root.glob("checkpoint-*"):
        if not _is_sound(path):
            shutil.rmtree(path, ignore_errors=True)


def _is_sound(folder: Path) -> bool:
    try:
        return bool(json.loads((folder / SEAL).read_text(encoding="utf-8")) == digest_of_files(folder, (SEAL,)))
    except (OSError, ValueError):
        return False

"""Clients: what an app developer copies, each with a tokenizer and decoding of its language."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from edgebert.device.tokenizer import TABLE, VOCABULARY
from edgebert.manifest import Manifest

DECODED = (  # tasks that our own decoding in other languages answers
    "text-classification",
    "sentence-pairs",
    "regression",
    "token-classification",
    "question-answering",
    "feature-extraction",
)


@dataclass(frozen=True)
class Checked:
    """A bundle whose files were checked against their hashes, with its digest."""

    folder: Path
    manifest: Manifest
    digest: str


def copy(bundle: Checked, out: Path) -> list[str]:
    """Copy what a client reads of a bundle to a folder; the files' names, in the bundle and there."""
    names = ["manifest.json", TABLE, VOCABULARY, bundle.manifest.file().file]
    for name in names:
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(bundle.folder / name, out / name)
    return names


class Client(Protocol):
    """What a module in this folder offers.

    `ABOUT` is a line for the user. `FORMATS`, `TASKS` and `RUNTIMES` are those of bundles that it opens, `MOST`
    how many at once. `NEEDS` are packages that writing it takes, and the extra that brings each. The files to copy
    lie beside the module.
    """

    ABOUT: str
    FORMATS: tuple[str, ...]
    TASKS: tuple[str, ...]
    RUNTIMES: tuple[str, ...]
    MOST: int
    NEEDS: dict[str, str]

    def write(self, bundles: Sequence[Checked], out: Path) -> list[str]:
        """Write the client to the empty folder `out`; what to do next, a line each.

        Raises InputError for bundles that do not go together.
        """

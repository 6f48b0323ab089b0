"""Open a bundle and ask it: the shipped file, checked against its hashes first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from edgebert import members, scoring, tables
from edgebert.data import Row
from edgebert.device import bundle as bundles
from edgebert.device import runtimes
from edgebert.errors import InputError, MissingExtraError, NotTrustedError
from edgebert.manifest import Manifest
from edgebert.scoring import Question
from edgebert.tasks import Task
from edgebert.tokenization import Encoder

Text = str | Mapping[str, Any]


class Bundle:
    """An opened bundle; `manifest` is what it says of itself, `folder` where it is."""

    def __init__(self, folder: Path, model: str = "", threads: int = 1) -> None:
        self.folder = folder
        self.manifest = read_manifest(folder)
        try:
            self.entry = bundles.model_entry(self.manifest.model_dump(by_alias=True), model)
            self._model = runtimes.open_model(str(folder), self.entry, threads)
        except (bundles.BundleError, runtimes.ModelUnreadable) as error:
            raise InputError(str(error)) from None
        except runtimes.RuntimeMissing:
            extra = "litert" if self.entry["format"] == "tflite" else "build"
            raise MissingExtraError(f"running {folder}", extra) from None
        self.task: Task = members.find("tasks", self.manifest.task)
        inputs = [tensor["name"] for tensor in self.entry["signature"]["inputs"]]
        self.encoder = Encoder(folder, int(self.manifest.decoding["max_tokens"]), inputs)

    def predict(self, rows: Sequence[Text]) -> list[dict[str, Any]]:
        """One answer a row, in order, with the keys of its task and whether the text was cut.

        A row is a text, or a mapping with the task's columns. Raises InputError naming every row that is empty or
        ill-formed, before anything is answered.
        """
        given = [rows] if isinstance(rows, (str, Mapping)) else rows
        found = [self._row(one) for one in given]
        if faults := [f"row {number}: {one}" for number, one in enumerate(found, 1) if isinstance(one, str)]:
            raise InputError(faults)
        return [self._answer(row) for row in found if not isinstance(row, str)]

    def _row(self, given: Text) -> Row | str:
        """The row to answer, or what is wrong with it."""
        row = self.task.question(given) if isinstance(given, str) else dict(given)
        if row is None:
            needed = ", ".join(name for name in self.task.COLUMNS if name != self.task.TRUTH)
            return f"is plain text; {self.task.NAME} reads the columns {needed}: give a JSON object"
        return self.task.question_fault(row) or row

    def _answer(self, row: Row) -> dict[str, Any]:
        decoding = self.manifest.decoding
        question = Question(row, self.task.windows(row, self.encoder, decoding))
        outputs = [scoring.run_window(self._model, window.feeds) for window in question.windows]
        decode = scoring.decoder(self.manifest.task, self.manifest.labels, decoding)
        return {**decode(question, outputs), "truncated": any(one.truncated for one in question.windows)}


def open_bundle(path: str | Path, model: str = "", threads: int = 1) -> Bundle:
    """Open a bundle. Raises InputError (NotTrustedError where files were changed), MissingExtraError."""
    return Bundle(Path(path), model, threads)


def read_manifest(folder: Path) -> Manifest:
    """The manifest of a bundle whose files were all checked. Raises NotTrustedError, InputError."""
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; bundles are written to OUT/RECIPE/TARGET by `edgebert build`")
    try:
        return tables.parse(Manifest, bundles.read(str(folder)), str(folder / "manifest.json"))
    except bundles.BundleError as error:
        raise NotTrustedError(str(error)) from None


def digest(folder: Path) -> str:
    """The bundle's digest."""
    return bundles.digest(str(folder))

"""Open a bundle and ask it: the shipped file, checked against its hashes first."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from edgebert import data, faq, members, scoring, tables
from edgebert.data import Row, Split, texts_fault
from edgebert.device import bundle as bundles, runtimes
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

    def answer(
        self,
        entries: str | Path | Sequence[Row],
        questions: Sequence[Text],
        top: int = 3,
        min_score: float | None = None,
        tell: Callable[[int, int], None] = lambda *_: None,
    ) -> list[dict[str, Any]]:
        """For each question the `top` entries of a FAQ that fit best: {question, matches, truncated}.

        A FAQ is a data file, or rows, with the columns question and answer, or text. A match has index, from 0,
        the entry's texts and score, the cosine; below `min_score` none is told. `tell` hears how many texts of
        the FAQ were read. Raises InputError for a bundle of another task, a faulty FAQ or question.
        """
        if self.task.NAME != "feature-extraction":
            raise InputError(f"{self.folder}: its task is {self.task.NAME}; a FAQ needs feature-extraction")
        known = faq.entries(entries)
        given = [questions] if isinstance(questions, (str, Mapping)) else questions
        asked = [{"text": one} if isinstance(one, str) else dict(one) for one in given]
        wrong = [texts_fault(row, ("text",)) for row in asked]
        if faults := [f"question {number}: {one}" for number, one in enumerate(wrong, 1) if one is not None]:
            raise InputError(faults)
        owners, read = zip(*faq.texts(known), strict=True)
        vectors = faq.kept(f"{digest(self.folder)} {self.entry['id']}", read, lambda: self._vectors(read, tell))
        answers = []
        for row in asked:
            found = self._answer({"text": row["text"]})
            matches = faq.matches(known, owners, vectors, found["vector"], top, min_score)
            answers.append({"question": row["text"], "matches": matches, "truncated": found["truncated"]})
        return answers

    def _vectors(self, rows: Sequence[Row], tell: Callable[[int, int], None]) -> Iterator[list[float]]:
        """The vector of each row, which has one text."""
        for done, row in enumerate(rows, 1):
            found = self._answer(row)
            yield found["vector" if "text" in row else "pair_vector"]
            tell(done, len(rows))

    def _row(self, given: Text) -> Row | str:
        """The row to answer, or what is wrong with it."""
        row = self.task.question(given) if isinstance(given, str) else dict(given)
        if row is None:
            needed = ", ".join(name for name in self.task.COLUMNS if name != self.task.TRUTH)
            return f"is plain text; {self.task.NAME} reads the columns {needed}: give a JSON object"
        asked = {name: value for name, value in row.items() if name != self.task.TRUTH}
        return self.task.question_fault(row) or self.task.misfit([asked], self.manifest.decoding) or row

    def _answer(self, row: Row) -> dict[str, Any]:
        decoding = self.manifest.decoding
        question = Question(row, self.task.windows(row, self.encoder, decoding))
        outputs = [scoring.run_window(self._model, window.feeds) for window in question.windows]
        labels = self.manifest.labels or self.encoder.pieces  # a task without labels answers with pieces, if any
        decode = scoring.decoder(self.manifest.task, labels, decoding)
        return {**decode(question, outputs), "truncated": any(one.truncated for one in question.windows)}


def open_bundle(path: str | Path, model: str = "", threads: int = 1) -> Bundle:
    """Open a bundle. Raises InputError (NotTrustedError where files were changed), MissingExtraError."""
    return Bundle(Path(path), model, threads)


def read_rows(manifest: Manifest, path: Path) -> Split:
    """The rows of a data file to score a bundle on. Raises InputError where they are not of its kind."""
    task: Task = members.find("tasks", manifest.task)
    columns = manifest.provenance.recipe.get("data", {}).get("columns", {})
    split = data.read(path, columns, task.fault)
    if (wrong := task.misfit(split.rows, manifest.decoding)) is not None:
        raise InputError(f"{path}: {wrong}")
    if strange := task.unknown(split.rows, manifest.labels):
        raise InputError(f"{path}: labels this bundle does not know: {', '.join(strange[:5])}")
    return split


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

"""Open a bundle and ask it: the shipped file, checked against its hashes first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgebert import members
from edgebert.device import bundle as bundles
from edgebert.device import decoding, runtimes
from edgebert.errors import InputError, MissingExtraError, NotTrustedError
from edgebert.manifest import Manifest
from edgebert.tokenization import Encoder, ill_formed

Text = str | Mapping[str, Any]


class Bundle:
    """An opened bundle; `manifest` is what it says of itself, `folder` where it is."""

    def __init__(self, folder: Path, model: str = "", threads: int = 1) -> None:
        self.folder = folder
        self.manifest = read_manifest(folder)
        try:
            self.entry = bundles.model_entry(self.manifest.model_dump(by_alias=True), model)
            self._model = runtimes.open_model(str(folder), self.entry, threads)
        except bundles.BundleError as error:
            raise InputError(str(error)) from None
        except runtimes.RuntimeMissing:
            extra = "litert" if self.entry["format"] == "tflite" else "build"
            raise MissingExtraError(f"running {folder}", extra) from None
        inputs = [tensor["name"] for tensor in self.entry["signature"]["inputs"]]
        self.encoder = Encoder(folder, int(self.manifest.decoding["max_tokens"]), inputs)

    def predict(self, rows: Sequence[Text]) -> list[dict[str, Any]]:
        """One answer a row, in order: label, score, scores, in_scope and whether the text was cut.

        A row is a text, or a mapping with the task's columns. Raises InputError naming every row that is empty or
        ill-formed, before anything is answered.
        """
        texts = [self._texts(row) for row in rows]
        faults = [
            f"row {number}: text {wrong}"
            for number, (text, _) in enumerate(texts, 1)
            if (wrong := ill_formed(text)) is not None
        ]
        if faults:
            raise InputError(faults)
        return [self._answer(text, pair) for text, pair in texts]

    def _texts(self, row: Text) -> tuple[Any, Any]:
        if isinstance(row, str):
            return row, None
        task = members.find("tasks", self.manifest.task)
        text, *pair = [column for column in task.COLUMNS if column in ("text", "text_pair")]
        return row.get(text), row.get(pair[0]) if pair else None

    def _answer(self, text: str, pair: str | None) -> dict[str, Any]:
        encoded = self.encoder.encode(text, pair)
        outputs: dict[str, NDArray[np.float32]] = self._model.run(encoded.feeds)
        [answer] = decoding.decode(self.manifest.task, outputs, self.manifest.labels, self.manifest.decoding)
        return {**answer, "truncated": encoded.truncated}


def open_bundle(path: str | Path, model: str = "", threads: int = 1) -> Bundle:
    """Open a bundle. Raises InputError (NotTrustedError where files were changed), MissingExtraError."""
    return Bundle(Path(path), model, threads)


def read_manifest(folder: Path) -> Manifest:
    """The manifest of a bundle whose files were all checked. Raises NotTrustedError, InputError."""
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; bundles are written to OUT/RECIPE/TARGET by `edgebert build`")
    try:
        return Manifest.model_validate(bundles.read(str(folder)))
    except bundles.BundleError as error:
        raise NotTrustedError(str(error)) from None
    except ValueError as error:
        raise InputError(f"{folder}: manifest.json is not one: {error}") from None


def digest(folder: Path) -> str:
    """The bundle's digest."""
    return bundles.digest(str(folder))

"""Open a bundle and ask it: the shipped file, checked against its hashes first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgebert import tables
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
        except (bundles.BundleError, runtimes.ModelUnreadable) as error:
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
        faults = [
            f"row {number}: {wrong}"
            for number, row in enumerate(rows, 1)
            if (wrong := self._fault(row)) is not None
        ]
        if faults:
            raise InputError(faults)
        return [self._answer(row if isinstance(row, str) else row["text"]) for row in rows]

    def _fault(self, row: Text) -> str | None:
        if isinstance(row, str):
            wrong = ill_formed(row)
        elif "text" not in row:
            return f"no column 'text'; here are: {', '.join(row)}"
        else:
            wrong = ill_formed(row["text"])
        return None if wrong is None else f"text {wrong}"

    def _answer(self, text: str) -> dict[str, Any]:
        encoded = self.encoder.encode(text)
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
        return tables.parse(Manifest, bundles.read(str(folder)), str(folder / "manifest.json"))
    except bundles.BundleError as error:
        raise NotTrustedError(str(error)) from None


def digest(folder: Path) -> str:
    """The bundle's digest."""
    return bundles.digest(str(folder))

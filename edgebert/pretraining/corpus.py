"""Raw text as numbers on disk, read through memory maps: memory does not grow with the text.

A text is cut into units (sentences; a long one into parts), documents of units, and rows: runs of units of one
document that fill a segment. A row holds at least two units where segments are pairs.
"""

from __future__ import annotations

import contextlib
import itertools
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from edgebert.errors import InputError
from edgebert.pretraining import text

SHORT = 0.1  # share of the rows that aim at less than a full segment; Devlin et al. 2018, appendix A.2
FILES = ("ids.bin", "units.bin", "documents.bin", "rows.bin")
COUNTS = "corpus.json"
AT_ONCE = 1000  # sentences that are given to the tokenizer together


@dataclass(frozen=True)
class Corpus:
    """An encoded text.

    `ids` holds all pieces one after the other; unit u is ids[units[u]:units[u + 1]]; document d holds the units
    documents[d] to documents[d + 1]; a row is (first unit, unit after its last): int64 [rows, 2].
    """

    ids: NDArray[Any]
    units: NDArray[np.int64]
    documents: NDArray[np.int64]
    rows: NDArray[np.int64]
    room: int

    def pieces(self, first: int, end: int) -> NDArray[np.int64]:
        """The pieces of units `first` to `end`: int64 [pieces]."""
        return np.asarray(self.ids[self.units[first] : self.units[end]], dtype=np.int64)

    def document_of(self, unit: int) -> int:
        """The document that a unit is of."""
        return int(np.searchsorted(self.documents, unit, side="right")) - 1


def write(
    paths: Sequence[Path], tokenizer: Any, room: int, pairs: bool, out: Path, tell: Callable[[int, int], None]
) -> None:
    """Encode text files into `out`, for segments of `room` pieces, special ones not counted.

    `tell` hears how many bytes of how many are done. Raises InputError for what cannot be read, and for a text
    that is shorter than a segment or, with pairs, has no document of two units.
    """
    out.mkdir(parents=True)
    longest = room // 2 if pairs else room
    wide = np.dtype(np.uint32 if tokenizer.get_vocab_size() > 2**16 else np.uint16)
    planner, pieces, done, total = _Planner(room, 2 if pairs else 1), 0, 0, sum(p.stat().st_size for p in paths)
    with contextlib.ExitStack() as open_files:
        ids, units, documents, rows = (open_files.enter_context((out / name).open("wb")) for name in FILES)
        _append(units, [0])
        _append(documents, [0])
        for sentence, encoded in _encoded(_sentences(paths), tokenizer, wide):
            if sentence is None:
                _append(rows, planner.finish())
                if planner.end_document():
                    _append(documents, [planner.units])
                tell(min(done, total), total)
                continue
            done += len(sentence.encode()) + 1
            for start in range(0, len(encoded), longest):
                part = encoded[start : start + longest]
                part.tofile(ids)
                pieces += len(part)
                _append(units, [pieces])
                _append(rows, planner.add(len(part)))
    named = ", ".join(map(str, paths))
    if pieces < room:
        raise InputError(f"{named}: shorter than a segment: {pieces} pieces of text, a segment holds {room}")
    if not planner.rows:
        raise InputError(f"{named}: no document has two sentences, of which a pair could be made")
    found = {"pieces": pieces, "units": planner.units, "documents": planner.documents, "rows": planner.rows}
    (out / COUNTS).write_text(json.dumps({**found, "room": room, "dtype": wide.name}), encoding="utf-8")


def read(folder: Path) -> Corpus:
    """An encoded text, nothing of it in memory yet."""
    told = counts(folder)
    types = (np.dtype(told["dtype"]), *[np.dtype(np.int64)] * 3)
    found = [np.memmap(folder / name, dtype=kind, mode="r") for name, kind in zip(FILES, types, strict=True)]
    return Corpus(found[0], found[1], found[2], found[3].reshape(-1, 2), told["room"])


def counts(folder: Path) -> dict[str, Any]:
    """How many pieces, units, documents and rows an encoded text has."""
    found: dict[str, Any] = json.loads((folder / COUNTS).read_text(encoding="utf-8"))
    return found


class _Planner:
    """Which units make a row: decided as they come, with the same draws for the same text."""

    def __init__(self, room: int, least: int) -> None:
        self.units = self.rows = self.documents = 0
        self._room, self._least = room, least
        self._random = np.random.default_rng(0)
        self._document = 0
        self._begin()

    def _begin(self) -> None:
        self._first, self._filled, self._aim = self.units, 0, self._room
        if self._random.random() < SHORT:
            self._aim = int(self._random.integers(2, self._room + 1))

    def finish(self) -> list[int]:
        """The row that the units since the last one make, [first, end], or nothing where they are too few."""
        row = [self._first, self.units] if self.units - self._first >= self._least else []
        self.rows += bool(row)
        self._begin()
        return row

    def add(self, length: int) -> list[int]:
        """One more unit; the row that it no longer fits into, [first, end], or nothing."""
        after = self._filled + length
        enough = self.units - self._first >= self._least
        row = self.finish() if after > self._room or (after > self._aim and enough) else []
        self._filled += length
        self.units += 1
        return row

    def end_document(self) -> bool:
        """Whether the document that ends here holds anything."""
        held = self.units > self._document
        self._document = self.units
        self.documents += held
        return held


def _sentences(paths: Sequence[Path]) -> Iterator[str | None]:
    for paragraph in text.paragraphs(paths):
        if paragraph is None:
            yield None
        else:
            yield from text.sentences(paragraph)


def _encoded(
    sentences: Iterator[str | None], tokenizer: Any, wide: np.dtype[Any]
) -> Iterator[tuple[str | None, NDArray[Any]]]:
    """Each sentence with its pieces, many given to the tokenizer together; None stays where it was."""
    while batch := list(itertools.islice(sentences, AT_ONCE)):
        found = iter(
            tokenizer.encode_batch_fast([one for one in batch if one is not None], add_special_tokens=False)
        )
        for one in batch:
            yield one, np.asarray([] if one is None else next(found).ids, dtype=wide)


def _append(file: IO[bytes], numbers: list[int]) -> None:
    np.asarray(numbers, dtype=np.int64).tofile(file)

"""Raw text as numbers on disk, read through memory maps: memory does not grow with the text.

A text is cut into units (sentences), documents of units, and rows: runs of units of one document that make about
one segment. Where segments are single, a row is what a segment holds. Where they are pairs, a row is where one may
be cut, and `pairs` takes sentences on both sides of the cut.
"""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from edgebert.errors import InputError
from edgebert.pretraining import text

FILES = IDS, UNITS, DOCUMENTS, ROWS = "ids.bin", "units.bin", "documents.bin", "rows.bin"
COUNTS = "corpus.json"
AT_ONCE = 1000  # sentences that are given to the tokenizer together


@dataclass(frozen=True)
class Corpus:
    """An encoded text.

    `ids` holds all pieces one after the other; unit u is ids[units[u]:units[u + 1]]; document d holds the units
    documents[d] to documents[d + 1]; a row is (first unit, unit after its last): int64 [rows, 2]. A segment has
    `room` for so many pieces, special ones not counted; a segment of a pair has at most `reach` units.
    """

    ids: NDArray[Any]
    units: NDArray[np.int64]
    documents: NDArray[np.int64]
    rows: NDArray[np.int64]
    room: int
    reach: int

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
    that is shorter than a segment or, with pairs, has no document of two sentences.
    """
    out.mkdir(parents=True)
    wide = np.dtype(np.uint32 if tokenizer.get_vocab_size() > 2**16 else np.uint16)
    units, pieces = _write_units(paths, tokenizer, None if pairs else room, wide, out, tell)
    named = ", ".join(map(str, paths))
    if pieces < room:
        raise InputError(f"{named}: shorter than a segment: {pieces} pieces of text, a segment holds {room}")
    documents = np.memmap(out / DOCUMENTS, dtype=np.int64, mode="r")
    run = max(1, round(room * units / pieces))  # units that make a segment, on average
    made = _cuts(documents, run) if pairs else _packed(out, documents, room)
    rows = 0
    with (out / ROWS).open("wb") as file:
        for row in made:
            _append(file, row)
            rows += 1
    if not rows:
        raise InputError(f"{named}: no document has two sentences, of which a pair could be made")
    found = {"pieces": pieces, "units": units, "documents": len(documents) - 1, "rows": rows}
    found |= {"room": room, "reach": math.ceil(1.5 * run)}  # then segments are 0.92 to 0.95 full
    (out / COUNTS).write_text(json.dumps({**found, "dtype": wide.name}), encoding="utf-8")


def counts(folder: Path) -> dict[str, Any]:
    """How many pieces, units, documents and rows an encoded text has."""
    found: dict[str, Any] = json.loads((folder / COUNTS).read_text(encoding="utf-8"))
    return found


def read(folder: Path) -> Corpus:
    """An encoded text, nothing of it in memory yet."""
    told = counts(folder)
    types = (np.dtype(told["dtype"]), *[np.dtype(np.int64)] * 3)
    found = [np.memmap(folder / name, dtype=kind, mode="r") for name, kind in zip(FILES, types, strict=True)]
    return Corpus(found[0], found[1], found[2], found[3].reshape(-1, 2), told["room"], told["reach"])


def _write_units(
    paths: Sequence[Path],
    tokenizer: Any,
    longest: int | None,
    wide: np.dtype[Any],
    out: Path,
    tell: Callable[[int, int], None],
) -> tuple[int, int]:
    """Write pieces, units and documents; (units, pieces). A sentence longer than `longest` is cut into parts."""
    units, pieces, ended, done, total = 0, 0, 0, 0, sum(path.stat().st_size for path in paths)
    with (
        (out / IDS).open("wb") as ids,
        (out / UNITS).open("wb") as bounds,
        (out / DOCUMENTS).open("wb") as documents,
    ):
        _append(bounds, [0])
        _append(documents, [0])
        for sentence, encoded in _encoded(_sentences(paths), tokenizer, wide):
            if sentence is None:
                if units > ended:
                    _append(documents, [units])
                    ended = units
                tell(min(done, total), total)
                continue
            done += len(sentence.encode()) + 1
            step = longest or max(1, len(encoded))
            for start in range(0, len(encoded), step):
                part = encoded[start : start + step]
                part.tofile(ids)
                units, pieces = units + 1, pieces + len(part)
                _append(bounds, [pieces])
    return units, pieces


def _cuts(documents: NDArray[np.int64], run: int) -> Iterator[list[int]]:
    """Runs of `run` units, before each of which but a document's first a pair can be cut.

    A run is so many units, not so many pieces: cuts that came where a segment is full would follow long sentences.
    """
    for low, high in itertools.pairwise(documents):
        for first in range(int(low) + 1, int(high), run):
            yield [first, min(first + run, int(high))]


def _packed(out: Path, documents: NDArray[np.int64], room: int) -> Iterator[list[int]]:
    """As many units as fit into a segment, one run after the other."""
    bounds = np.memmap(out / UNITS, dtype=np.int64, mode="r")
    for low, high in itertools.pairwise(documents):
        first = int(low)
        while first < high:
            end = (
                int(np.searchsorted(bounds[first : int(high) + 1], bounds[first] + room, side="right")) - 1 + first
            )
            yield [first, end]
            first = end


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

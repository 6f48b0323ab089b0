"""A user's FAQ, searched by vectors: its questions and answers are read once, and kept as vectors in the cache.

An entry is found by its question or by its answer, whichever is nearer.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgebert import data, environments
from edgebert.data import Row, texts_fault
from edgebert.device import search
from edgebert.errors import InputError

READ_AS = {"question": "text", "answer": "text_pair", "text": "text_pair"}  # columns of a FAQ, as the task's

Vectors = NDArray[np.float32]


def entries(faq: Path | str | Sequence[Row]) -> list[Row]:
    """The entries of a FAQ file, or of rows. Raises InputError for those without a text to find them by."""
    if isinstance(faq, (Path, str)):
        return data.read(Path(faq), {}, fault).rows
    faults = [f"entry {i}: {wrong}" for i, row in enumerate(faq, 1) if (wrong := fault(row)) is not None]
    if faults or not faq:
        raise InputError(faults or "the FAQ has no entries")
    return list(faq)


def fault(row: Row) -> str | None:
    """What is wrong with an entry, or None."""
    known = [column for column in READ_AS if column in row]
    if not known:
        return f"no column 'question', 'answer' or 'text'; here are: {', '.join(row)}"
    return texts_fault(row, known)


def texts(found: Sequence[Row]) -> list[tuple[int, Row]]:
    """(number of the entry, row for the task) of every text to be read."""
    return [
        (number, {task_column: row[column]})
        for number, row in enumerate(found)
        for column, task_column in READ_AS.items()
        if column in row
    ]


def kept(key: str, read: Sequence[Row], embed: Callable[[], Iterable[Sequence[float]]]) -> Vectors:
    """Vectors [texts, size] of rows: from the user's cache, else made by `embed` and put there.

    `key` names what makes the vectors, a bundle and one of its files. A cache that cannot be read or written is
    done without.
    """
    name = hashlib.sha256(json.dumps([key, list(read)], sort_keys=True).encode()).hexdigest()[:32]
    path = environments.cache() / "faq" / f"{name}.npy"
    with contextlib.suppress(OSError, ValueError, EOFError):
        found: Vectors = np.load(path, allow_pickle=False)
        if found.dtype == np.float32 and found.ndim == 2 and len(found) == len(read):
            return found
    made = np.asarray(list(embed()), np.float32)
    draft = path.with_name(f"{name}.{os.getpid()}.npy")
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            np.save(draft, made)
            draft.replace(path)
        finally:
            draft.unlink(missing_ok=True)
    return made


def matches(
    found: Sequence[Row],
    owners: Sequence[int],
    vectors: Vectors,
    query: Sequence[float],
    top: int,
    min_score: float | None,
) -> list[dict[str, Any]]:
    """The `top` entries nearest to a query, the best first: index from 0, the entry's texts, `score`: the cosine.

    `owners` tells whose each vector is; entries below `min_score` are left out.
    """
    return [
        {"index": number, **{column: found[number][column] for column in READ_AS if column in found[number]}}
        | {"score": score}
        for number, score in search.nearest(query, vectors, owners, top)
        if min_score is None or score >= min_score
    ]

"""Raw text as a stream: lines of files, documents between blank lines, sentences of a paragraph."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from edgebert.errors import InputError

LONGEST_LINE = 16 * 2**20  # bytes; what is longer is no paragraph, and would not fit in memory one day

# A sentence ends at . ! ? or …, quotes and brackets closed, before space and what is no small letter; in Chinese
# and Japanese at their own marks. "Mr. Brown" and "J. Smith" go on: a capital and up to two letters end nothing.
_ABBREVIATED = r"(?<!\b[A-Z]\.)(?<!\b[A-Z]\w\.)(?<!\b[A-Z]\w\w\.)"
_END = re.compile(rf"(?<=[.!?…])(?:[\"'”’)\]]+|{_ABBREVIATED})\s+(?![a-z\s])|(?<=[。！？])")


def paragraphs(paths: Sequence[Path]) -> Iterator[str | None]:
    """Each paragraph of the files in order, and None where a document ends.

    Raises InputError with file and line for what is not UTF-8 or not text of paragraphs.
    """
    for path in paths:
        under_way = False
        for line in _lines(path):
            if line:
                yield line
            elif under_way:
                yield None
            under_way = bool(line)
        if under_way:
            yield None


def contents(paths: Sequence[Path]) -> Iterator[str]:
    """Each paragraph of the files, whatever document it is of."""
    return (paragraph for paragraph in paragraphs(paths) if paragraph is not None)


def sentences(paragraph: str) -> list[str]:
    """The sentences of a paragraph by a plain rule; closing quotes stay with the sentence that they close."""
    found, start = [], 0
    for end in _END.finditer(paragraph):
        cut = end.start() + len(end.group().rstrip())
        found.append(paragraph[start:cut].strip())
        start = end.end()
    found.append(paragraph[start:].strip())
    return [sentence for sentence in found if sentence]


def _lines(path: Path) -> Iterator[str]:
    """The lines of a file, stripped."""
    try:
        with path.open("rb") as file:
            number = 0
            while line := file.readline(LONGEST_LINE + 1):
                number += 1
                if len(line) > LONGEST_LINE:
                    raise InputError(
                        f"{path}: line {number}: longer than {LONGEST_LINE // 2**20} MiB; "
                        "write one paragraph a line, blank lines between documents"
                    )
                yield _decoded(line, path, number)
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None


def _decoded(line: bytes, path: Path, number: int) -> str:
    try:
        text = line.decode("utf-8-sig" if number == 1 else "utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: line {number}: not UTF-8 at byte {error.start + 1} of the line") from None
    if "\0" in text:
        raise InputError(f"{path}: line {number}: holds a NUL character; this is no text file")
    return text.strip()

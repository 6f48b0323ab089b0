"""Calibration: the texts whose activations set the ranges of static quantization."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, TypeVar

from pydantic import Field

from edgebert import tables
from edgebert.errors import InputError, nearest
from edgebert.tables import Table
from edgebert.target import data_folder

T = TypeVar("T")
FEWEST = 8  # texts that ranges can be taken of


class Spec(Table):
    """One `calibration/*.toml`."""

    name: str
    description: str = ""
    source: Literal["file", "train", "both"] = Field(
        default="both", description="sentences of `file`, rows of the recipe's train split, or half of each"
    )
    file: str | None = Field(default=None, description="one sentence a line, beside the TOML")
    rows: int = Field(default=128, ge=FEWEST, le=100_000)


def names() -> list[str]:
    """The shipped specs."""
    return sorted(path.stem for path in data_folder("calibration").glob("*.toml"))


def check(name: str, beside: Path) -> str | None:
    """What is wrong with a spec's name or contents, or None."""
    try:
        load(name, beside)
    except InputError as error:
        return str(error)
    return None


def load(name: str, beside: Path) -> tuple[Spec, list[str]]:
    """A spec by name, or by path (with a slash, relative to `beside`), and its own sentences.

    Raises InputError for an unknown name, a faulty spec, or too few sentences.
    """
    path = beside / name if "/" in name else data_folder("calibration") / f"{name}.toml"
    if not path.is_file():
        raise InputError(f"unknown calibration '{name}'; {nearest(name, names())}")
    spec = tables.parse(Spec, tables.read(path), str(path))
    if spec.source == "train":
        return spec, []
    if spec.file is None:
        raise InputError(f"{path}: source = '{spec.source}' needs `file`")
    try:
        lines = (path.parent / spec.file).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: file = '{spec.file}': {error}") from None
    sentences = [line.strip() for line in lines if line.strip()]
    if len(sentences) < FEWEST:
        raise InputError(f"{path}: {spec.file} holds {len(sentences)} sentences; ranges need at least {FEWEST}")
    return spec, sentences


def rows(spec: Spec, sentences: list[T], train: list[T]) -> list[T]:
    """The rows to run, evenly drawn from both sources and always the same ones.

    Raises InputError where there are too few.
    """
    if spec.source == "both":
        return _spread(train, spec.rows // 2) + _spread(sentences, spec.rows - spec.rows // 2)
    if spec.source == "train" and len(train) < FEWEST:
        raise InputError(
            f"calibration '{spec.name}': data.train holds {len(train)} rows; ranges need at least {FEWEST}"
        )
    return _spread(train if spec.source == "train" else sentences, spec.rows)


def _spread(rows: list[T], count: int) -> list[T]:
    """`count` rows at equal distances, or all where there are fewer."""
    if len(rows) <= count:
        return rows
    return [rows[i * len(rows) // count] for i in range(count)]

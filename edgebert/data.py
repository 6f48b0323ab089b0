"""Rows of a data set: JSON Lines, CSV, TSV or Parquet, from a path or from the Hub; every fault with its line."""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edgebert import members
from edgebert.errors import InputError, SurroundingsError
from edgebert.tokenization import ill_formed

Row = dict[str, Any]
Fault = Callable[[Row], "str | None"]
MOST_FAULTS = 10  # of one file; a file with one cause of trouble should not fill the screen


@dataclass(frozen=True)
class Split:
    """The rows of one split and the sha256 of the file they came from."""

    rows: list[Row]
    sha256: str
    where: str


@dataclass(frozen=True)
class Splits:
    """All a recipe's data; `outside` maps train, dev and test to out-of-scope rows."""

    train: Split
    dev: Split
    test: Split
    outside: dict[str, Split] = field(default_factory=dict)

    def digests(self) -> dict[str, str]:
        """sha256 by split, out-of-scope splits as oos_NAME."""
        named = {"train": self.train, "dev": self.dev, "test": self.test}
        return {k: s.sha256 for k, s in named.items()} | {f"oos_{k}": s.sha256 for k, s in self.outside.items()}


def read(path: Path, columns: dict[str, str], fault_of: Fault) -> Split:
    """The checked rows of a file, under the task's column names.

    `columns` maps a task's column to the file's; `fault_of` says what is wrong with a row, or None.
    Raises InputError with up to ten faults, each with its line.
    """
    try:
        sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except IsADirectoryError:
        raise InputError(f"{path}: is a folder, not a data file") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None
    rows: list[Row] = []
    faults: list[str] = []
    for where, record in records(path):
        row = record if isinstance(record, str) else _renamed(record, columns)
        fault = row if isinstance(row, str) else fault_of(row)
        if fault is None:
            assert not isinstance(row, str)
            rows.append(row)
            continue
        faults.append(f"{path}: {where}: {fault}")
        if len(faults) == MOST_FAULTS:
            faults.append(f"{path}: more of the same may follow")
            break
    if faults:
        raise InputError(faults)
    if not rows:
        raise InputError(f"{path}: has no rows")
    return Split(rows, sha256, str(path))


def columns_fault(row: Row, columns: Sequence[str]) -> str | None:
    """Which of the columns a row of a data file lacks, or None."""
    for column in columns:
        if column not in row:
            return f"no column '{column}'; here are: {', '.join(row)}; name it: [data.columns] {column} = \"...\""
    return None


def texts_fault(row: Row, columns: Sequence[str]) -> str | None:
    """What is wrong with columns that must hold texts, or None."""
    for column in columns:
        if column not in row:
            return f"no column '{column}'; here are: {', '.join(row)}"
        if (wrong := ill_formed(row[column])) is not None:
            return f"{column} {wrong}"
    return None


def texts(rows: Sequence[Row]) -> list[str]:
    """All texts in the values of rows, those in lists and tables too."""
    return [text for row in rows for value in row.values() for text in _texts(value)]


def _texts(value: Any) -> list[str]:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        return [text for one in value for text in _texts(one)]
    return [value] if isinstance(value, str) else []


def read_lines(path: Path) -> Split:
    """The lines of a text file that are not empty, as rows with a `text`. Raises InputError."""
    try:
        raw = path.read_bytes()
        lines = raw.decode("utf-8-sig").splitlines()
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8 at byte {error.start + 1}") from None
    rows: list[Row] = [{"text": line.strip()} for line in lines if line.strip()]
    if not rows:
        raise InputError(f"{path}: has no lines")
    return Split(rows, hashlib.sha256(raw).hexdigest(), str(path))


def hold_out(split: Split, group: Callable[[Row], str]) -> tuple[Split, Split]:
    """A stratified tenth of a split taken away as dev: (the rest, the tenth).

    Which rows go depends on their contents alone, so reordering a file changes nothing.
    """
    groups: dict[str, list[Row]] = {}
    for row in sorted(split.rows, key=lambda row: hashlib.sha256(json.dumps(row, default=str).encode()).digest()):
        groups.setdefault(group(row), []).append(row)
    dev_rows: list[Row] = []
    seen = 0
    for _, rows in sorted(groups.items()):  # a running total, so that many small groups give their tenth together
        seen += len(rows)
        dev_rows += rows[: round(seen / 10) - len(dev_rows)]
    if not dev_rows:
        dev_rows = split.rows[:1]
    taken = {id(row) for row in dev_rows}
    rest = [row for row in split.rows if id(row) not in taken]
    return Split(rest, split.sha256, split.where), Split(dev_rows, split.sha256, f"{split.where} (a tenth)")


def locate(value: str, folder: Path, revision: str | None) -> Path:
    """The local path of a recipe's data entry; hub:OWNER/NAME/FILE is downloaded to the Hub's cache."""
    if not value.startswith("hub:"):
        return folder / Path(value).expanduser()
    parts = value.removeprefix("hub:").split("/")
    if len(parts) < 3:
        raise InputError(f"data = '{value}'; a file on the Hub is written hub:OWNER/NAME/FILE")
    members.require(("huggingface_hub",), "reading data from the Hub", "build")
    from httpx2 import HTTPError
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        repo, file = "/".join(parts[:2]), "/".join(parts[2:])
        return Path(hf_hub_download(repo, file, repo_type="dataset", revision=revision))
    except LocalEntryNotFoundError as error:
        raise SurroundingsError(f"{value}: the Hub could not be reached: {error}") from None
    except HFValidationError as error:
        raise InputError(f"{value}: not a name on the Hub: {error}") from None
    except HfHubHTTPError as error:
        raise InputError(f"{value}: the Hub has no such file: {error}") from None
    except HTTPError as error:  # the connection broke off in the middle of a file
        raise SurroundingsError(f"{value}: {error}; run the same command again") from None


def _renamed(record: Row, columns: dict[str, str]) -> Row | str:
    """The record under the task's names, or what is wrong with it."""
    row = dict(record)
    for name, theirs in columns.items():
        if theirs not in record:
            return f"no column '{theirs}', which [data.columns] names as {name}; here are: {', '.join(record)}"
        row[name] = record[theirs]
    return row


def records(path: Path) -> Iterator[tuple[str, Row | str]]:
    """(place, record or fault) of each record."""
    suffix = path.suffix.lower()
    if suffix in (".jsonl", ".ndjson", ".json"):
        yield from _json_lines(path)
    elif suffix in (".csv", ".tsv"):
        yield from _separated(path, "," if suffix == ".csv" else "\t")
    elif suffix == ".parquet":
        yield from _parquet(path)
    else:
        raise InputError(f"{path}: unknown kind of data file '{suffix}'; known: .jsonl, .csv, .tsv, .parquet")


def _json_lines(path: Path) -> Iterator[tuple[str, Row | str]]:
    for number, line in enumerate(path.read_bytes().split(b"\n"), 1):
        where = f"line {number}"
        if not line.strip():
            continue
        try:
            record = json.loads(line.decode("utf-8-sig" if number == 1 else "utf-8"))
        except UnicodeDecodeError as error:
            yield where, f"not UTF-8 at byte {error.start + 1} of the line"
        except json.JSONDecodeError as error:
            yield where, f"not JSON: {error.msg} at column {error.colno}"
        except (ValueError, RecursionError) as error:  # a number of thousands of digits, brackets without end
            yield where, f"not JSON that can be read: {error}"
        else:
            yield where, record if isinstance(record, dict) else "not a JSON object"


def _separated(path: Path, delimiter: str) -> Iterator[tuple[str, Row | str]]:
    lines = []
    for number, line in enumerate(path.read_bytes().split(b"\n"), 1):
        try:
            lines.append(line.decode("utf-8-sig" if number == 1 else "utf-8") + "\n")
        except UnicodeDecodeError as error:
            yield f"line {number}", f"not UTF-8 at byte {error.start + 1} of the line"
            return
    csv.field_size_limit(2**31 - 1)
    reader = csv.DictReader(lines, delimiter=delimiter, strict=True)
    begins = 1
    try:
        width = len(reader.fieldnames or [])
        begins = reader.line_num + 1
        for record in reader:
            where, begins = f"line {reader.line_num}", reader.line_num + 1
            if None in record or None in record.values():
                yield where, f"not as many fields as the header has ({width})"
            elif any(value.strip() for value in record.values()):
                yield where, dict(record)
    except csv.Error as error:
        yield f"line {begins}", f"not CSV: {error}"


def _parquet(path: Path) -> Iterator[tuple[str, Row | str]]:
    members.require(("pyarrow",), "reading Parquet", "build")
    import pyarrow
    import pyarrow.parquet

    try:
        found = pyarrow.parquet.read_table(path).to_pylist()
    except (pyarrow.ArrowException, OSError, ValueError, OverflowError) as error:
        raise InputError(f"{path}: not Parquet: {error}") from None
    for number, record in enumerate(found, 1):
        yield f"row {number}", record

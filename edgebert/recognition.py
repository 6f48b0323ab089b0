"""What the columns of a user's data file are for: the task they fit, and which column is which."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edgebert.data import Row
from edgebert.errors import InputError

LOOKED_AT = 1000
COMMON = 0.9  # of the rows have a column, or it is none: that the others lack it is told later
LABELS = ("label", "labels", "intent", "class", "category", "score")
TAGS = ("tags", "ner_tags", "labels")
SPANS = ("spans", "entities", "slots")
SENTENCES = ("sentences", "document", "article", "text")
PAIRS = (  # two texts that a label is about, or where there is none a question and what answers it
    ("text", "text_pair"),
    ("sentence1", "sentence2"),
    ("premise", "hypothesis"),
    ("question1", "question2"),
    ("question", "sentence"),
    ("question", "answer"),
    ("query", "passage"),
)


@dataclass(frozen=True)
class Fitting:
    """A task and its columns as the file calls them; `about` tells what was seen of the values of one, `told`.

    Of rows with the same value in `together` none may be in another split; `stratified` names the column whose
    values are to be in all splits.
    """

    task: str
    columns: dict[str, str]
    told: str
    about: Callable[[Sequence[Any]], str]
    texts: tuple[str, ...]  # of the file's columns: what the model reads at once
    metric: str = "accuracy"  # in words
    together: str | None = None
    stratified: str | None = None
    notes: tuple[str, ...] = field(default=())


def recognize(path: Path, rows: Sequence[Row]) -> Fitting:
    """The task that the columns of a file's rows fit. Raises InputError where none does."""
    sample = rows[:: max(1, len(rows) // LOOKED_AT)]  # all over the file, which may be sorted
    names = [name for name in rows[0] if sum(name in row for row in sample) >= COMMON * len(sample)]
    whole = [row for row in sample if all(name in row for name in names)]
    known = {name: [row[name] for row in whole] for name in names}
    for fits in (_tags, _spans, _answers, _summary, _pairs):
        if (found := fits(known)) is not None:
            return found
    return _label(path, known, list(rows[0]))


Columns = dict[str, list[Any]]  # of the rows that were looked at, by name


def _tags(known: Columns) -> Fitting | None:
    """Words and a tag for each."""
    words, tags = _first(known, ("tokens", "words"), _is_list), _first(known, TAGS, _is_list)
    if words is None or tags is None or any(map(_unlike, known[words], known[tags])):
        return None
    columns = {"tokens": words, "tags": tags}
    return Fitting("token-classification", columns, tags, _of_tags, (words,), "entity F1")


def _unlike(words: Sequence[Any], tags: Sequence[Any]) -> bool:
    return len(words) != len(tags)


def _spans(known: Columns) -> Fitting | None:
    """A text and where something is in it."""
    spans = _first(known, SPANS, _is_objects)
    text = _text(known)
    if spans is None or text is None:
        return None
    columns = {"text": text, "spans": spans}
    label = _first(known, LABELS, lambda value: isinstance(value, (str, int)))
    notes = (f'{label} can be learned too, by a recipe of its own with task = "text-classification"',)
    seen = notes if label else ()
    return Fitting("token-classification", columns, spans, _of_spans, (text,), "entity F1", notes=seen)


def _answers(known: Columns) -> Fitting | None:
    """A question, a text and where the answer is in it."""
    answers = _first(known, ("answers",), lambda value: isinstance(value, dict))
    if answers is None or not {"question", "context"} <= known.keys():
        return None
    columns = {name: name for name in ("question", "context", "answers")}
    texts = ("question", "context")
    return Fitting("question-answering", columns, answers, _of_answers, texts, "F1", together="context")


def _summary(known: Columns) -> Fitting | None:
    """A text and its summary."""
    if _first(known, ("summary",), _is_text) is None:
        return None
    sentences = _first(known, SENTENCES, _is_list) or _first(known, SENTENCES, _is_text)
    if sentences is None:
        return None
    name = "sentences" if _is_list(known[sentences][0]) else "text"
    columns = {name: sentences, "summary": "summary"}
    return Fitting("extractive-summarization", columns, "summary", _of_summaries, (sentences,), "ROUGE-L")


def _pairs(known: Columns) -> Fitting | None:
    """Two texts, and a label or a number of both, or none."""
    texts = next((pair for pair in PAIRS if all(_first(known, (name,), _is_text) for name in pair)), None)
    if texts is None:
        return None
    columns = {"text": texts[0], "text_pair": texts[1]}
    label = _first(known, LABELS, lambda value: isinstance(value, (str, int, float))) or _number(known)
    if label is None:
        passage, metric = texts[1], "mean reciprocal rank"
        return Fitting("feature-extraction", columns, passage, _of_passages, (passage,), metric, passage)
    columns["label"] = label
    if _are_numbers(known[label]):
        return Fitting("regression", columns, label, _of_numbers, texts, "rank correlation", texts[0])
    return Fitting("sentence-pairs", columns, label, _of_labels, texts, together=texts[0])


def _label(path: Path, known: Columns, there: Sequence[str]) -> Fitting:
    """A text with a label, a list of labels or a number; or a text alone."""
    text = _text(known)
    if text is None:
        raise InputError(f"{path}: no column of text; here are: {', '.join(there)}")
    columns = {"text": text}
    lists = [name for name in (*LABELS, *known) if name in known and all(map(_is_labels, known[name]))]
    if lists:
        columns["label"] = lists[0]
        return Fitting("text-classification", columns, lists[0], _of_lists, (text,), "micro-F1")
    if {"text", "masked"} == known.keys():
        return Fitting("fill-mask", {**columns, "masked": "masked"}, text, lambda _: "texts with a gap", (text,))
    called = next((name for name in LABELS if name in known and _are_numbers(known[name])), None)
    label = None if called else _likely(known, text)
    if label is not None:
        columns["label"] = label
        return Fitting("text-classification", columns, label, _of_labels, (text,), stratified=label)
    number = called or _number(known)
    if number is not None:
        columns["label"] = number
        return Fitting("regression", columns, number, _of_numbers, (text,), "rank correlation")
    if list(there) == [text]:
        return Fitting("fill-mask", columns, text, lambda _: "texts alone", (text,))
    raise InputError(f"{path}: no column that looks like a label beside '{text}'; here are: {', '.join(there)}")


def _number(known: Columns) -> str | None:
    """The first column of measured numbers."""
    return next((name for name, values in known.items() if _are_numbers(values)), None)


def _likely(known: Columns, text: str) -> str | None:
    """The column with the fewest different values that repeat, or one that is called like a label."""
    scalars = {n: v for n, v in known.items() if n != text and all(isinstance(x, (str, int, bool)) for x in v)}
    different = {name: len(set(map(str, values))) for name, values in scalars.items()}
    likely = [n for n, values in scalars.items() if 2 <= different[n] <= max(2, len(values) // 2)]
    usual = next((name for name in LABELS if name in likely), None)
    return usual or min(likely, key=lambda name: different[name], default=None)


def _text(known: Columns) -> str | None:
    """The column called text, or the one with the longest strings."""
    lengths = {name: sum(map(len, values)) for name, values in known.items() if all(map(_is_text, values))}
    return "text" if "text" in lengths else max(lengths, key=lengths.__getitem__, default=None)


def _first(known: Columns, names: Sequence[str], kind: Callable[[Any], bool]) -> str | None:
    """The first of the names that is a column of this kind in all rows."""
    return next((name for name in names if name in known and all(map(kind, known[name]))), None)


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_list(value: Any) -> bool:
    return isinstance(value, list)


def _is_objects(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(one, dict) for one in value)


def _is_labels(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(one, (str, int)) for one in value)


def _are_numbers(values: Sequence[Any]) -> bool:
    """Whether values are measured, not counted: floats, or as text with a point in some of them."""
    if all(isinstance(value, (int, float)) for value in values):
        return any(isinstance(value, float) for value in values)
    if not all(map(_is_text, values)) or not any("." in value for value in values):
        return False
    try:
        return [float(value) for value in values] != []
    except ValueError:
        return False


def _of_tags(rows: Sequence[Any]) -> str:
    return f"words with {_many(len({str(tag) for row in rows for tag in row}), 'tag')}"


def _of_spans(rows: Sequence[Any]) -> str:
    return f"texts with spans of {_many(len({str(span.get('slot')) for row in rows for span in row}), 'kind')}"


def _of_answers(rows: Sequence[Any]) -> str:
    without = sum(not answers.get("text") for answers in rows)
    return "questions about contexts" + (f", {without} of them without an answer" if without else "")


def _of_summaries(rows: Sequence[Any]) -> str:
    return "texts with their summaries"


def _of_passages(rows: Sequence[Any]) -> str:
    return f"texts and what is to be found for each, {len(set(rows))} of them different"


def _of_lists(rows: Sequence[Any]) -> str:
    return f"several labels a text: {_of_labels([label for row in rows for label in row])}"


def _of_labels(rows: Sequence[Any]) -> str:
    counts = Counter(map(str, rows))
    if not counts:
        return "no label"
    name, most = counts.most_common(1)[0]
    return f"{_many(len(counts), 'label')}, the most frequent {name!r} ({most} rows)"


def _of_numbers(rows: Sequence[Any]) -> str:
    numbers = [float(value) for value in rows]
    return f"numbers from {min(numbers):g} to {max(numbers):g}"


def _many(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"

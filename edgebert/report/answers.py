"""Tables of what `predict` answered, one for each kind of answer that is no label."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text

SHOWN = 8  # numbers of a vector
MOST = 200  # characters of an entry of a FAQ
COLUMNS = {  # of each kind of answer, by the key that holds the list
    "tokens": ("token", "score"),
    "entities": ("label", "text", "start", "end", "score"),
    "sentences": ("index", "text", "score"),
}


def table(answers: Sequence[dict[str, Any]]) -> Table | None:
    """The table of answers of one task, by the keys they have; None where they are labels."""
    if answers and "answer" in answers[0]:
        return spans(answers)
    if answers and {"vector", "pair_vector"} & answers[0].keys():
        return vectors(answers)
    if answers and "score" in answers[0] and "label" not in answers[0]:
        return numbers(answers)
    key = next((key for key in COLUMNS if answers and key in answers[0]), None)
    return None if key is None else listed(key, answers)


def spans(answers: Sequence[dict[str, Any]]) -> Table:
    """One line a question: the answer, where it is in the context and how sure that is."""
    table = Table("answer", "characters", "score", "", header_style="bold", box=box.SIMPLE_HEAD)
    for answer in answers:
        found = answer["start"] is not None
        text = Text(answer["answer"]) if found else Text("no answer in this context", style="dim")
        place = f"{answer['start']}-{answer['end']}" if found else ""
        notes = "question was cut" if answer["truncated"] else ""
        table.add_row(text, place, f"{answer['score']:.3f}", notes)
    return table


def numbers(answers: Sequence[dict[str, Any]]) -> Table:
    """One line a text: the number, in the scale of the labels that were learned."""
    table = Table("score", "", header_style="bold", box=box.SIMPLE_HEAD)
    for answer in answers:
        table.add_row(f"{answer['score']:.4g}", "text was cut" if answer["truncated"] else "")
    return table


def vectors(answers: Sequence[dict[str, Any]]) -> Table:
    """One line a vector: how long it is, and its first numbers; --json has them all."""
    table = Table("of", "numbers", "the first", "", header_style="bold", box=box.SIMPLE_HEAD)
    for answer in answers:
        for key in ("vector", "pair_vector"):
            if key in answer:
                first = " ".join(f"{number:.3f}" for number in answer[key][:SHOWN])
                note = "text was cut" if answer["truncated"] else ""
                table.add_row("text" if key == "vector" else "text_pair", str(len(answer[key])), first, note)
    return table


def matches(answers: Sequence[dict[str, Any]]) -> Table:
    """The entries of a FAQ that fit each question, the best first."""
    table = Table("question", "score", "entry", "", header_style="bold", box=box.SIMPLE_HEAD)
    for answer in answers:
        note = "question was cut" if answer["truncated"] else ""
        for place, match in enumerate(answer["matches"]):
            texts = [_shortened(match[name]) for name in ("question", "answer", "text") if name in match]
            entry = Text("\n".join([f"{match['index']}: {texts[0]}", *texts[1:]]))
            question = Text("" if place else answer["question"])
            table.add_row(question, f"{match['score']:.3f}", entry, "" if place else note)
        if not answer["matches"]:
            table.add_row(Text(answer["question"]), "", Text("nothing fits", style="dim"), note)
    return table


def _shortened(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= MOST else f"{line[: MOST - 1]}…"


def listed(key: str, answers: Sequence[dict[str, Any]]) -> Table:
    """A line for each part of each answer, numbered by its row."""
    table = Table("row", *COLUMNS[key], "", header_style="bold", box=box.SIMPLE_HEAD)
    for number, answer in enumerate(answers, 1):
        note = "text was cut" if answer["truncated"] else ""
        for place, part in enumerate(answer[key]):
            cells = [_cell(part[name]) for name in COLUMNS[key]]
            table.add_row("" if place else str(number), *cells, "" if place else note)
        if not answer[key]:
            table.add_row(str(number), Text(f"no {key}", style="dim"), *[""] * (len(COLUMNS[key]) - 1), note)
    return table


def _cell(value: Any) -> Text:
    return Text(f"{value:.3f}" if isinstance(value, float) else str(value))

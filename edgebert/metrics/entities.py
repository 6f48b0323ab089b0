"""Entities in a text: spans and tags of rows, what is wrong with them, and the tags of words.

Offsets are Unicode code points, ends exclusive. A row has `tokens` and `tags`, or `text` and `spans`; both become
spans of one text, so that a device, which has the text alone, is asked what was scored.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from edgebert.device.decoding.token_classification import chunks, text_of
from edgebert.device.reading.token_classification import Word, trimmed
from edgebert.tokenization import ill_formed

OUTSIDE = "O"
TAG = re.compile(r"O|[BIES]-\S.*")
FORMS = (("tokens", "tags"), ("text", "spans"))


class Span(NamedTuple):
    """A slot's value in a text."""

    start: int
    end: int
    slot: str


def question_fault(row: Mapping[str, Any]) -> str | None:
    """What is wrong with the text of a row, or None."""
    if "text" in row and "tags" not in row:
        wrong = ill_formed(row["text"])
        return None if wrong is None else f"text {wrong}"
    if "tokens" not in row and "tags" in row:
        return f"'tags' without 'tokens'; here are: {', '.join(row)}"
    if "tokens" not in row:
        return f"no column 'text' or 'tokens'; here are: {', '.join(row)}"
    tokens = row["tokens"]
    if not isinstance(tokens, list) or not tokens:
        return f"tokens = {_shown(tokens)}; must be a list of words" + _no_list(tokens)
    for i, token in enumerate(tokens):  # a blank one is let pass: real data has some
        if (wrong := ill_formed(token)) is not None and not (isinstance(token, str) and not token.strip()):
            return f"tokens[{i}] {wrong}"
    return None if any(token.strip() for token in tokens) else "tokens are all empty"


def fault(row: Mapping[str, Any]) -> str | None:
    """What is wrong with a row whose entities must be known, or None."""
    form = next((form for form in FORMS if form[1] in row), None)
    if form is None:
        return (
            f"no column 'tags' or 'spans'; here are: {', '.join(row)}; name them: "
            '[data.columns] tokens = "..." and tags = "...", or text and spans'
        )
    if form[0] not in row:
        return f"'{form[1]}' without '{form[0]}'; here are: {', '.join(row)}"
    if (wrong := question_fault(row)) is not None:
        return wrong
    return (
        _tags_fault(row["tokens"], row["tags"]) if form[1] == "tags" else _spans_fault(row["text"], row["spans"])
    )


def _tags_fault(tokens: Sequence[str], tags: object) -> str | None:
    if not isinstance(tags, list):
        return f"tags = {_shown(tags)}; must be a list of tags" + _no_list(tags)
    if len(tags) != len(tokens):
        return f"{len(tokens)} tokens and {len(tags)} tags; every token needs its tag"
    for i, tag in enumerate(tags):
        if not isinstance(tag, str) or not TAG.fullmatch(tag):
            return f"tags[{i}] = {tag!r}; must be O, or B- or I- (E- and S- too) and the slot's name"
    return None


def _spans_fault(text: str, spans: object) -> str | None:
    if not isinstance(spans, list):
        return f"spans = {_shown(spans)}; must be a list of {{start, end, slot}}" + _no_list(spans)
    for i, span in enumerate(spans):
        if (wrong := _span_fault(text, span)) is not None:
            return f"spans[{i}] {wrong}"
    order = sorted(range(len(spans)), key=lambda i: (spans[i]["start"], spans[i]["end"]))
    for i, k in itertools.pairwise(order):
        if spans[k]["start"] < spans[i]["end"]:
            both = f"spans[{k}] ({_place(spans[k])}) overlaps spans[{i}] ({_place(spans[i])})"
            return f"{both}; a word has one slot: keep one of the two"
    return None


def _span_fault(text: str, span: object) -> str | None:
    if not isinstance(span, dict):
        return f"= {_shown(span)}; must be {{start, end, slot}}"
    for key in Span._fields:
        if key not in span:
            return f"has no '{key}'; here are: {', '.join(map(str, span))}"
    for key in ("start", "end"):
        if type(span[key]) is not int:
            return f"{key} = {span[key]!r}; must be a whole number of characters"
    if (wrong := ill_formed(span["slot"])) is not None:
        return f"slot {wrong}"
    start, end = span["start"], span["end"]
    if start >= end:
        return f"({_place(span)}) has nothing in it: start must be below end"
    if start < 0 or end > len(text):
        return f"({_place(span)}) is outside its text, which has {len(text)} characters"
    return None if text[start:end].strip() else f"({_place(span)}) holds nothing but spaces"


def _place(span: Mapping[str, Any]) -> str:
    return f"{span['start']}-{span['end']} {span['slot']}"


def _shown(value: object) -> str:
    return repr(value) if len(repr(value)) < 60 else f"{repr(value)[:57]}..."


def _no_list(value: object) -> str:
    return "; CSV has no lists: write it as JSON" if isinstance(value, str) else ""


def known(row: Mapping[str, Any]) -> bool:
    """Whether the row's entities are known."""
    return "tags" in row or "spans" in row


def spans_of(row: Mapping[str, Any]) -> list[Span]:
    """The true entities of a sound row in the order of its text, without spaces at their ends."""
    text = text_of(row)
    if "tags" in row:
        begins, end = [], 0
        for token in row["tokens"]:
            begins.append(end)
            end += len(token) + 1
        tokens = row["tokens"]
        found = [Span(begins[i], begins[k] + len(tokens[k]), slot.strip()) for slot, i, k in chunks(row["tags"])]
    else:
        found = [Span(one["start"], one["end"], one["slot"].strip()) for one in row.get("spans", ())]
    return sorted(Span(*trimmed(text, start, end), slot) for start, end, slot in found)


def tags_of(words: Sequence[Word], spans: Sequence[Span]) -> list[str]:
    """The tag of each word, B-, I- or O; a span that ends within a word takes the whole of it."""
    tags = [OUTSIDE] * len(words)
    for span in spans:
        kind = "B"
        for i, word in enumerate(words):
            if word.start < span.end and word.end > span.start and tags[i] == OUTSIDE:
                tags[i], kind = f"{kind}-{span.slot}", "I"
    return tags

"""Extractive summarization: windows of whole sentences; a sentence longer than a window is cut to one."""

from typing import Any, List, Mapping, Sequence, Tuple

import numpy as np

from ..decoding.extractive_summarization import sentences_of
from . import Window


def columns(row: Mapping[str, Any], settings: Mapping[str, Any]) -> Tuple[str, ...]:
    """The texts that a row must have."""
    return ("sentences",) if "sentences" in row else ("text",)


def windows(row: Mapping[str, Any], encoder: Any, settings: Mapping[str, Any]) -> List[Window]:
    """As many windows as the text needs; `align` tells where sentences are (see the task's decoding)."""
    found: List[Window] = []
    parts: List[Any] = []
    places: List[List[int]] = []
    length, cut = 0, False
    for number, sentence in enumerate(sentences_of(row)):
        encoded = encoder.encode(sentence)
        size = encoded.feeds["input_ids"].shape[1]
        if length + size > encoder.max_tokens:
            found.append(_window(parts, places, cut))
            parts, places, length, cut = [], [], 0, False
        places.append([length, length + size, number])
        parts.append(encoded.feeds)
        length, cut = length + size, cut or encoded.truncated
    return [*found, _window(parts, places, cut)]


def _window(parts: Sequence[Any], places: List[List[int]], cut: bool) -> Window:
    """Sentences side by side; segments alternate where the model knows segments."""
    feeds = {name: np.concatenate([part[name] for part in parts], axis=1) for name in parts[0]}
    if "token_type_ids" in feeds:
        segments = [np.full(part["input_ids"].shape[1], i % 2, np.int64) for i, part in enumerate(parts)]
        feeds["token_type_ids"] = np.concatenate(segments)[None]
    return Window(feeds, {"sentences": places}, cut)

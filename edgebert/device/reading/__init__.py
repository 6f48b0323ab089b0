"""What the model reads of a row, the same on every device: one module for each task.

A module offers `windows(row, encoder, settings)` and `columns(row, settings)`, the texts that a row must have;
`settings` are the manifest's `decoding`. An encoder is the
tokenizer's library on a build machine (`edgebert.tokenization`) or our own reader of its table on a device
(`edgebert.device.tokenizer`).
"""

import dataclasses
import importlib
from typing import Any, Dict, List, Mapping, Optional


@dataclasses.dataclass(frozen=True)
class Window:
    """What the model reads at once: ids int64 [1, tokens] by input name, and what decoding must know of them.

    `align` is JSON (offsets of the tokens, where sentences begin): it travels in golden rows.
    """

    feeds: Dict[str, Any]
    align: Dict[str, Any] = dataclasses.field(default_factory=dict)
    truncated: bool = False


def windows(task: str, row: Mapping[str, Any], encoder: Any, settings: Mapping[str, Any]) -> List[Window]:
    """The windows of a row, by the task's name in the manifest."""
    found = _module(task).windows(row, encoder, settings)
    return found  # type: ignore[no-any-return]


def fault(task: str, row: Mapping[str, Any], settings: Mapping[str, Any]) -> Optional[str]:
    """What is wrong with a row to answer, or None."""
    for column in _module(task).columns(row, settings):
        if column not in row:
            return "no column '{}'; here are: {}".format(column, ", ".join(row))
        texts = row[column] if isinstance(row[column], list) else [row[column]]
        for text in texts or [""]:
            wrong = ill_formed(text)
            if wrong is not None:
                return "{} {}".format(column, wrong)
    return None


def ill_formed(text: object) -> Optional[str]:
    """Why a value cannot be given to a tokenizer as text, or None."""
    if text is None:
        return "is missing (null)"
    if not isinstance(text, str):
        return "is {}, not text".format(type(text).__name__)
    if not text.strip():
        return "is empty"
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        return "is not well-formed Unicode (lone surrogate at character {})".format(error.start)
    return None


def whole(encoded: Any) -> List[Window]:
    """A text, or a pair of texts, as one window."""
    return [Window(encoded.feeds, truncated=encoded.truncated)]


def _module(task: str) -> Any:
    return importlib.import_module("." + task.replace("-", "_"), __name__)

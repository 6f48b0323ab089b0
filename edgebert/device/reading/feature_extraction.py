"""Feature extraction: a window of the text and one of the passage, each where the row has it, cut at its end."""

from typing import Any, List, Mapping, Tuple

from . import Window


def columns(row: Mapping[str, Any], settings: Mapping[str, Any]) -> Tuple[str, ...]:
    """The texts that a row must have."""
    return tuple(name for name in ("text", "text_pair") if name in row) or ("text",)


def windows(row: Mapping[str, Any], encoder: Any, settings: Mapping[str, Any]) -> List[Window]:
    """One window or two; `align` tells the column."""
    found = []
    for column, prefix in (("text", "query_prefix"), ("text_pair", "passage_prefix")):
        if column in row:
            encoded = encoder.encode(settings[prefix] + row[column])
            found.append(Window(encoded.feeds, {"column": column}, encoded.truncated))
    return found

"""Sentence pairs: both texts are one window, the longer of them cut first."""

from typing import Any, List, Mapping, Tuple

from . import Window, whole


def columns(row: Mapping[str, Any], settings: Mapping[str, Any]) -> Tuple[str, ...]:
    """The texts that a row must have."""
    return ("text", "text_pair")


def windows(row: Mapping[str, Any], encoder: Any, settings: Mapping[str, Any]) -> List[Window]:
    """One window."""
    return whole(encoder.encode(row["text"], row["text_pair"]))

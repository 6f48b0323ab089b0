"""Fill-mask: one window; of a long text the part in whose middle the mask is."""

from typing import Any, List, Mapping, Tuple

from . import Window

MASK = "[MASK]"  # of every tokenizer of the BERT family


def columns(row: Mapping[str, Any], settings: Mapping[str, Any]) -> Tuple[str, ...]:
    """The texts that a row must have."""
    return ("text",)


def windows(row: Mapping[str, Any], encoder: Any, settings: Mapping[str, Any]) -> List[Window]:
    """One window."""
    mask = encoder.number(MASK)
    parts = encoder.encode_windows(row["text"], stride=encoder.max_tokens)
    best = max(parts, key=lambda one: _room(one.encoding.ids, mask))
    return [Window(best.feeds, {}, len(parts) > 1)]


def _room(ids: List[int], mask: int) -> int:
    """How many pieces are on the shorter side of the mask; -1 where there is none."""
    return min(ids.index(mask), len(ids) - 1 - ids.index(mask)) if mask in ids else -1

"""Question answering: as many windows as the context takes, each behind the question."""

from typing import Any, Dict, List, Mapping, Tuple

from . import Window


def columns(row: Mapping[str, Any], settings: Mapping[str, Any]) -> Tuple[str, ...]:
    """The texts that a row must have."""
    return ("question", "context")


def windows(row: Mapping[str, Any], encoder: Any, settings: Mapping[str, Any]) -> List[Window]:
    """The windows; `align` tells of the context's tokens: the first one, and their code points."""
    encoded = encoder.encode_windows(row["context"], settings["doc_stride"], row["question"])
    return [Window(one.feeds, _align(one.encoding), one.truncated) for one in encoded]


def _align(encoding: Any) -> Dict[str, Any]:
    places = [i for i, sequence in enumerate(encoding.sequence_ids) if sequence == 1]
    return {"first": places[0] if places else 0, "offsets": [list(encoding.offsets[i]) for i in places]}

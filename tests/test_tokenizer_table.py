"""The tokenizer's table: small, made once, and refused where it could not be exact."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from edgebert import tokenizer_table
from edgebert.device.tokenizer import TABLE, VOCABULARY
from edgebert.tokenizer_table import NoTable
from tests import stress


def changed(name: str, **parts: Any) -> str:
    """The tokenizer.json of a kind with other parts."""
    return json.dumps({**json.loads(stress.tokenizers()[name]), **parts})


@pytest.mark.parametrize("name", stress.tokenizers())
def test_a_table_is_small(name: str, tmp_path: Path) -> None:
    source = tmp_path / "tokenizer.json"
    source.write_text(stress.tokenizers()[name], encoding="utf-8")
    tokenizer_table.write(source, tmp_path)
    assert (tmp_path / TABLE).stat().st_size < 40_000
    told = json.loads(source.read_text())["model"]["vocab"]
    pieces = sorted(told, key=told.__getitem__) if isinstance(told, dict) else [piece for piece, _ in told]
    assert (tmp_path / VOCABULARY).read_text(encoding="utf-8").split("\n") == [*pieces, ""]


def test_the_same_tokenizer_gives_the_same_bytes() -> None:
    text = stress.tokenizers()["uncased"]
    first = tokenizer_table.made(text)
    tokenizer_table.made.cache_clear()
    assert tokenizer_table.made(text) == first


@pytest.mark.parametrize(
    ("parts", "reason"),
    [
        ({"model": {"type": "BPE", "vocab": {"a": 0, "b": 1}, "merges": []}}, "its model is BPE"),
        ({"normalizer": {"type": "NFC"}}, "its normalizer NFC is not read"),
        ({"pre_tokenizer": {"type": "Whitespace"}}, "its pre-tokenizer is Whitespace"),
        ({"pre_tokenizer": None}, "its pre-tokenizer is none"),
        (
            {"normalizer": {"type": "Replace", "pattern": {"Regex": "a+"}, "content": "b"}},
            "replaces a regular expression",
        ),
        ({"post_processor": None}, "something else around texts"),
    ],
)
def test_what_a_table_cannot_tell_is_refused(parts: dict[str, Any], reason: str) -> None:
    with pytest.raises(NoTable, match=reason):
        tokenizer_table.made(changed("uncased", **parts))


def test_added_tokens_of_normalized_text_are_refused() -> None:
    token = {"id": 5, "content": "the", "single_word": False, "lstrip": False, "rstrip": False}
    with pytest.raises(NoTable, match="looked for in normalized text"):
        tokenizer_table.made(changed("uncased", added_tokens=[{**token, "normalized": True, "special": False}]))


def test_pieces_with_gaps_in_their_numbers_are_refused() -> None:
    told = json.loads(stress.tokenizers()["uncased"])["model"]
    told["vocab"] = {piece: number + (number > 9) for piece, number in told["vocab"].items()}
    with pytest.raises(NoTable, match="not numbered from 0 without gaps"):
        tokenizer_table.made(changed("uncased", model=told))

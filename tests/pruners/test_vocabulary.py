"""The pruned vocabulary: what is not needed leaves, what stays is cut and answered as before."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from tokenizers import Tokenizer

from edgebert import artifact, members
from edgebert.errors import InputError
from edgebert.pruners import vocabulary
from edgebert.pruning import Vocabulary
from edgebert.stages import load, prune
from edgebert.tokenization import Encoder
from tests import stress, toy

TEXTS = ["turn the living room light off", "un peu de café", "x [MASK] y"]
WORDS = [
    "the",
    "living",
    "room",
    "unaffable",
    "music",
    "kitchens",
    "café",
    "[MASK]",
    "zq",
    "中",
    "it's",
    "``",
    "1234",
]


def pruned(name: str, used: list[str], general: int = 0) -> tuple[Tokenizer, Tokenizer, list[int]]:
    """The tokenizer of a kind, the one without the pieces that no text uses, and the numbers that stayed."""
    whole = Tokenizer.from_str(stress.tokenizers()[name])
    told = json.loads(whole.to_str())
    numbers = {number for text in used for number in whole.encode(text).ids}
    keep = vocabulary.kept(told, numbers, general)
    return whole, Tokenizer.from_str(json.dumps(vocabulary.renumbered(told, keep))), keep


@pytest.mark.parametrize("name", ["uncased", "albert"])
@settings(deadline=None, max_examples=80)
@given(text=st.lists(st.sampled_from(WORDS), max_size=12).map(" ".join))
def test_a_text_whose_pieces_stay_is_cut_as_before(name: str, text: str) -> None:
    whole, small, keep = pruned(name, TEXTS)
    before, after = whole.encode(text), small.encode(text)
    if set(before.ids) <= set(keep):
        assert [keep[number] for number in after.ids] == before.ids
        assert after.offsets == before.offsets
    else:
        assert set(after.ids) <= set(range(len(keep)))


@pytest.mark.parametrize("name", ["uncased", "albert"])
def test_characters_special_pieces_and_frequent_words_stay(name: str) -> None:
    whole, small, keep = pruned(name, TEXTS, general=5)
    pieces = {whole.id_to_token(number) for number in keep}
    inner = "" if name == "albert" else "##"
    assert {f"{inner}{chr(code)}" for code in range(97, 123)} <= pieces
    assert {"[CLS]", "[SEP]", "[MASK]"} <= pieces
    first = "\u2581" if name == "albert" else ""
    assert {f"{first}{word}" for word in ("the", "of", "and", "to", "in")} <= pieces
    assert f"{first}alarm" not in pieces
    assert small.get_vocab_size() == len(keep) < whole.get_vocab_size()
    assert keep[small.token_to_id("[MASK]") or 0] == whole.token_to_id("[MASK]")


@pytest.mark.parametrize("architecture", members.names("architectures"))
def test_a_model_answers_as_before_where_the_pieces_stay(architecture: str, tmp_path: Path) -> None:
    import torch
    from transformers import AutoModel

    toy.write_model(tmp_path / "source", architecture=architecture)
    (tmp_path / "loaded").mkdir()
    model = load.run(tmp_path / "source", architecture, tmp_path / "loaded")
    (tmp_path / "small").mkdir()
    texts = ["the warm day", "puddle today"]
    found = prune.run(model, vocabulary, Vocabulary(general=0), texts, tmp_path / "small")
    told = found.pruning["vocabulary"]
    assert told["pieces"] < told["of"]
    assert artifact.read(tmp_path / "small") == found
    assert found.parameters < model.parameters
    inputs = members.find("architectures", architecture).INPUTS
    outputs = []
    for one in (model, found):
        torch_model = AutoModel.from_pretrained(one.folder, use_safetensors=True).eval()
        feeds = [Encoder(one.folder, 32, inputs).encode(text).feeds for text in (*texts, "day puddle")]
        with torch.inference_mode():
            outputs.append(
                [
                    torch_model(**{k: torch.from_numpy(v) for k, v in feed.items()}).last_hidden_state.numpy()
                    for feed in feeds
                ]
            )
    for before, after in zip(*outputs, strict=True):
        np.testing.assert_array_equal(before, after)


def test_texts_in_another_language_than_the_tokenizers_are_refused(tmp_path: Path) -> None:
    toy.write_model(tmp_path / "source")
    (tmp_path / "loaded").mkdir()
    model = load.run(tmp_path / "source", "bert", tmp_path / "loaded")
    (tmp_path / "small").mkdir()
    with pytest.raises(InputError, match=r"does not know .* of the pieces of the texts, more than max_unknown"):
        vocabulary.apply(model, Vocabulary(), ["привет мир", "да нет"], tmp_path / "small")
    assert not list((tmp_path / "small").iterdir())


def test_a_tokenizer_of_another_kind_is_refused() -> None:
    told: dict[str, Any] = {"model": {"type": "BPE", "vocab": {}}, "added_tokens": []}
    with pytest.raises(InputError, match="pieces can be taken out of WordPiece and unigram"):
        vocabulary.kept(told, [], 0)

"""Tokenizers learned from text: of the asked size, the same twice, and the same through transformers."""

from pathlib import Path

import pytest

from edgebert.errors import InputError
from edgebert.pretraining import text, vocabulary
from tests.pretraining import prose

KINDS = ["wordpiece", "unigram"]
SAMPLES = ["Who asks about the horse?", "THEY ANSWER, that the Bridge is: ünknown...", "a  b\tc", "的 ``x''", "ﬁn"]


def learned(kind: str, folder: Path, size: int = 100, lowercase: bool = True) -> Path:
    path = prose.write(folder / "text.txt", 200, 1)
    vocabulary.train(kind, size, lowercase, lambda: text.contents([path]), folder / "made", 48)
    return folder / "made"


@pytest.mark.parametrize("kind", KINDS)
def test_it_knows_the_texts_words_and_its_special_pieces(kind: str, tmp_path: Path) -> None:
    folder = learned(kind, tmp_path)
    tokenizer, pieces = vocabulary.opened(folder), vocabulary.pieces(folder)
    assert pieces.count == tokenizer.get_vocab_size() <= 100
    assert len(pieces.ordinary) == pieces.count - 5
    assert not {pieces.cls, pieces.sep, pieces.mask, pieces.pad} & set(pieces.ordinary.tolist())
    assert pieces.pad == 0
    encoded = tokenizer.encode("The River", "the river")
    tokens, types = encoded.tokens, encoded.type_ids
    end = tokens.index("[SEP]")
    assert tokens[0] == "[CLS]"
    assert tokens[-1] == "[SEP]"
    assert tokens[1:end] == tokens[end + 1 : -1]
    assert tokenizer.decode(encoded.ids) == "the river the river"
    assert types == [0] * (end + 1) + [1] * end


@pytest.mark.parametrize("kind", KINDS)
def test_transformers_cuts_texts_alike(kind: str, tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    folder = learned(kind, tmp_path)
    ours, theirs = vocabulary.opened(folder), AutoTokenizer.from_pretrained(folder)
    for sample in SAMPLES:
        assert theirs(sample)["input_ids"] == ours.encode(sample).ids
    pieces = vocabulary.pieces(folder)
    found = (theirs.cls_token_id, theirs.sep_token_id, theirs.mask_token_id, theirs.pad_token_id)
    assert found == (pieces.cls, pieces.sep, pieces.mask, pieces.pad)
    assert theirs.model_max_length == 48


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_text_gives_the_same_tokenizer(kind: str, tmp_path: Path) -> None:
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
    one, other = learned(kind, tmp_path / "one"), learned(kind, tmp_path / "other")
    assert (one / "tokenizer.json").read_bytes() == (other / "tokenizer.json").read_bytes()
    assert vocabulary.same(one, other)


def test_capitals_are_kept_where_asked(tmp_path: Path) -> None:
    kept = learned("wordpiece", tmp_path, lowercase=False)
    assert vocabulary.opened(kept).encode("Who").tokens == ["[CLS]", "Who", "[SEP]"]
    (tmp_path / "lower").mkdir()
    assert not vocabulary.same(kept, learned("wordpiece", tmp_path / "lower"))


def test_a_wordpiece_tokenizer_has_its_list(tmp_path: Path) -> None:
    folder = learned("wordpiece", tmp_path)
    listed = (folder / "vocab.txt").read_text(encoding="utf-8").splitlines()
    assert listed[:5] == list(vocabulary.SPECIAL["wordpiece"])
    assert {piece: number for number, piece in enumerate(listed)} == vocabulary.opened(folder).get_vocab()


@pytest.mark.parametrize("kind", KINDS)
def test_too_little_text_for_the_vocabulary_is_told(kind: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"train\.vocabulary = 5000; the training text gives only \d+ pieces"):
        learned(kind, tmp_path, size=5000)


def test_a_tokenizer_that_cannot_mask_is_refused(tmp_path: Path) -> None:
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel

    Tokenizer(WordLevel({"[CLS]": 0, "[SEP]": 1, "[PAD]": 2}, unk_token="[PAD]")).save(
        str(tmp_path / "tokenizer.json")
    )
    with pytest.raises(InputError, match=r"has no piece \[MASK\]"):
        vocabulary.pieces(tmp_path)

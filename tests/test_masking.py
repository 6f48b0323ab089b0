from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgebert import masking
from edgebert.architectures import albert, bert
from edgebert.tokenization import Encoder
from tests import toy

MASK, PIECES = 4, 1000
IDS = np.arange(5, 5 + 4000) % 900 + 50


def test_of_the_chosen_pieces_most_are_hidden_some_replaced_and_some_left() -> None:
    ordinary = np.arange(1, 3999)
    hidden, labels = masking.mask(IDS, ordinary, MASK, PIECES, np.random.default_rng(0))
    asked = labels != masking.NOT_ASKED
    assert asked.sum() == round(0.15 * len(ordinary))
    assert not asked[0] and not asked[-1], "what may not be chosen is not"
    assert np.array_equal(labels[asked], IDS[asked])
    assert np.array_equal(hidden[~asked], IDS[~asked])
    masked, kept = (hidden[asked] == MASK).mean(), (hidden[asked] == IDS[asked]).mean()
    assert masked == pytest.approx(0.8, abs=0.05)
    assert kept == pytest.approx(0.1, abs=0.04)
    assert ((hidden >= 0) & (hidden < PIECES)).all()


@pytest.mark.parametrize("count", [0, 1, 3])
def test_a_short_text_has_one_piece_to_predict_and_an_empty_one_none(count: int) -> None:
    _, labels = masking.mask(IDS[:5], np.arange(1, 1 + count), MASK, PIECES, np.random.default_rng(0))
    assert (labels != masking.NOT_ASKED).sum() == min(count, 1)


def test_the_seed_follows_from_the_text_alone() -> None:
    assert masking.seed_of("it is cold") == masking.seed_of("it is cold") != masking.seed_of("it is cold ")


@pytest.mark.parametrize("architecture", [bert, albert])
def test_words_are_single_known_pieces_with_letters(architecture: object, tmp_path: Path) -> None:
    name = "bert" if architecture is bert else "albert"
    encoder = Encoder(toy.write_model(tmp_path, architecture=name), 64, bert.INPUTS)
    text = "Umbrellas: the 🌧 ünknown day ... is  warm x"
    found = masking.words(text, encoder)
    assert [text[start:end] for start, end, _ in found if end - start > 1] == ["the", "day", "is", "warm"]
    for start, end, number in found:
        assert encoder.pieces[number].lstrip("▁") == text[start:end]
    assert masking.words("🌧 ...", encoder) == []
    assert len(masking.words("the " * 90, encoder)) == 62, "words beyond what the model reads are not masked"

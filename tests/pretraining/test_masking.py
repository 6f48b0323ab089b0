"""15 % of the ordinary pieces, of which 80 % behind [MASK], 10 % behind another piece and 10 % as they are."""

import numpy as np
import pytest

from edgebert.pretraining.masking import NOT_ASKED, mask
from edgebert.pretraining.vocabulary import Pieces

PIECES = Pieces(cls=2, sep=3, mask=4, pad=0, ordinary=np.arange(5, 1000), count=1000)
ROW = np.asarray([2, *range(100, 160), 3, *range(200, 240), 3], dtype=np.int64)


@pytest.fixture(scope="module")
def many() -> tuple[np.ndarray, np.ndarray]:
    """2000 maskings of the same row: (pieces, labels), both int64 [2000, tokens]."""
    random = np.random.default_rng(1)
    found = [mask(ROW, PIECES, random) for _ in range(2000)]
    return np.stack([one[0] for one in found]), np.stack([one[1] for one in found])


def test_15_percent_of_the_pieces_are_asked_for(many: tuple[np.ndarray, np.ndarray]) -> None:
    _, labels = many
    assert ((labels != NOT_ASKED).sum(1) == 15).all()  # of 100 ordinary ones
    by_place = (labels != NOT_ASKED).mean(0)[(ROW != 2) & (ROW != 3)]
    assert by_place.min() > 0.11  # every place alike: 0.15 and 5 deviations
    assert by_place.max() < 0.19


def test_special_pieces_are_never_asked_for(many: tuple[np.ndarray, np.ndarray]) -> None:
    ids, labels = many
    special = (ROW == 2) | (ROW == 3)
    assert (labels[:, special] == NOT_ASKED).all()
    assert (ids[:, special] == ROW[special]).all()


def test_80_10_10(many: tuple[np.ndarray, np.ndarray]) -> None:
    ids, labels = many
    asked = labels != NOT_ASKED
    rows = np.broadcast_to(ROW, ids.shape)
    assert (ids[~asked] == rows[~asked]).all()
    assert (labels[asked] == rows[asked]).all()
    masked, same = (ids[asked] == PIECES.mask).mean(), (ids[asked] == labels[asked]).mean()
    assert abs(masked - 0.8) < 0.01
    assert abs(same - 0.1) < 0.01
    random = ids[asked & (ids != PIECES.mask) & (ids != rows)]
    assert set(random) <= set(PIECES.ordinary)
    assert len(set(random)) > 700  # drawn from all of them


def test_a_row_of_one_piece_is_asked_for() -> None:
    ids, labels = mask(np.asarray([2, 77, 3]), PIECES, np.random.default_rng(0))
    assert labels.tolist() == [NOT_ASKED, 77, NOT_ASKED]
    assert ids[[0, 2]].tolist() == [2, 3]


def test_padding_is_not_masked() -> None:
    _, labels = mask(np.asarray([2, 77, 78, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]), PIECES, np.random.default_rng(0))
    assert (labels[3:] == NOT_ASKED).all()
    assert (labels != NOT_ASKED).sum() == 1

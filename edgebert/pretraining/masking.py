"""Masked language modelling (Devlin et al. 2018, section 3.1): which pieces are hidden, and behind what."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgebert.pretraining.vocabulary import Pieces

SHARE = 0.15  # of the ordinary pieces of a row
MASKED, REPLACED = 0.8, 0.1  # of those: hidden behind [MASK], behind a random piece; the rest stays as it is
NOT_ASKED = -100  # the label of a piece that the loss does not look at, as everywhere in transformers


def mask(
    ids: NDArray[np.int64], pieces: Pieces, random: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(pieces with some hidden, labels), both int64 [tokens]; [CLS], [SEP] and padding are never chosen.

    At least one piece is chosen; a random piece is drawn from the ordinary ones.
    """
    special = (ids == pieces.cls) | (ids == pieces.sep) | (ids == pieces.pad)
    candidates = np.flatnonzero(~special)
    count = max(1, round(SHARE * len(candidates)))
    chosen = random.choice(candidates, size=count, replace=False)
    labels = np.full_like(ids, NOT_ASKED)
    labels[chosen] = ids[chosen]
    draw = random.random(count)
    hidden = ids.copy()
    hidden[chosen[draw < MASKED]] = pieces.mask
    swapped = chosen[(draw >= MASKED) & (draw < MASKED + REPLACED)]
    hidden[swapped] = random.choice(pieces.ordinary, size=len(swapped))
    return hidden, labels

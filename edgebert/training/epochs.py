"""The epochs of a training: what each was worth on dev, which of them is kept, and how they are told."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from edgebert.training import processes

FILE = "history.json"


@dataclass(frozen=True)
class Epoch:
    """What the model was worth on dev after `step` steps, and the mean training loss of the epoch."""

    step: int
    quality: float
    dev_loss: float
    loss: float

    @property
    def worth(self) -> tuple[float, float]:
        """What chooses between epochs: the loss decides where quality is equal."""
        return self.quality, -self.dev_loss


def best(epochs: Sequence[Epoch]) -> Epoch:
    """The epoch whose weights are kept."""
    return max(epochs, key=lambda epoch: (math.isfinite(epoch.dev_loss), epoch.worth))


def read(room: Path) -> list[Epoch]:
    """The epochs of a training so far."""
    try:
        return [Epoch(**one) for one in json.loads((room / FILE).read_text(encoding="utf-8"))]
    except FileNotFoundError:
        return []


def keep(room: Path, epochs: Sequence[Epoch]) -> None:
    """Put the epochs so far where `read` finds them, in one go."""
    draft = room / f"{FILE}.draft"
    draft.write_text(json.dumps([asdict(epoch) for epoch in epochs], indent=1), encoding="utf-8")
    draft.replace(room / FILE)


def write(folder: Path, histories: Mapping[int, Sequence[Epoch]]) -> None:
    """Tell the epochs of each seed beside the model that came of them."""
    told = {str(seed): [asdict(epoch) for epoch in epochs] for seed, epochs in histories.items()}
    (folder / FILE).write_text(json.dumps(told, indent=1), encoding="utf-8")


def summary(histories: Mapping[int, Sequence[Epoch]], chosen: int) -> dict[str, Any]:
    """What an artifact tells of its training."""
    return {
        "chosen_seed": chosen,
        "dev_quality": {str(seed): best(epochs).quality for seed, epochs in histories.items()},
        "processes": processes.count(),
    }

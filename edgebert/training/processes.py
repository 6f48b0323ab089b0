"""Several processes that train together, as `torchrun`, `accelerate launch` and MPI start them.

All of them train; the first alone does everything else, and the others leave when nothing is left to train.
"""

from __future__ import annotations

import os

RANKS = ("RANK", "PMI_RANK", "OMPI_COMM_WORLD_RANK", "MV2_COMM_WORLD_RANK")  # of torch, and of three kinds of MPI


def count() -> int:
    """How many there are; 1 where nothing launched this process."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def rank() -> int:
    """The number of this one, from 0."""
    return next((int(os.environ[name]) for name in RANKS if name in os.environ), 0)


def on_cpu() -> bool:
    """Whether training runs on the CPU: there is nothing else, or the launcher was told so."""
    import torch

    asked = os.environ.get("ACCELERATE_USE_CPU", "").lower() in ("1", "true", "yes")
    return asked or not torch.cuda.is_available()


def meet() -> None:
    """Wait until all are here."""
    if count() > 1:
        from accelerate import PartialState

        PartialState(cpu=on_cpu()).wait_for_everyone()

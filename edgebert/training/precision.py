"""In which numbers a training computes. Weights, optimizer and checkpoints are fp32 in any case."""

from __future__ import annotations

from typing import Literal

Precision = Literal["auto", "fp32", "bf16"]


def in_bf16(asked: Precision, on_cpu: bool) -> bool:
    """Whether to compute in bfloat16; "auto" does so on a GPU that has it."""
    import torch

    return asked == "bf16" or (asked == "auto" and not on_cpu and torch.cuda.is_bf16_supported())

"""How many parameters a model has and how much it computes, found without making its weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from edgebert.architectures import Architecture

TOKENS = 128  # of a text that multiply-adds are counted for, as in the literature on small models


@dataclass(frozen=True)
class Size:
    """Parameters of the bare model with its pooler, those of its embeddings, and what one text costs.

    `multiply_adds` counts matrix products alone: the rest is a hundredth of them.
    """

    parameters: int
    embeddings: int
    multiply_adds: int


def of(architecture: Architecture, values: Mapping[str, Any], tokens: int = TOKENS) -> Size:
    """The size of the model with these config values, for one text of `tokens` tokens."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode
    from transformers import AutoModel

    with torch.device("meta"):
        model = AutoModel.from_config(architecture.config(values), attn_implementation="eager").eval()
        ids = torch.zeros(1, tokens, dtype=torch.int64)
        mask = torch.zeros(1, 1, 1, tokens)
        with FlopCounterMode(display=False) as counter, torch.inference_mode():
            model(**{**dict.fromkeys(architecture.INPUTS, ids), "attention_mask": mask})
    embeddings = sum(parameter.numel() for parameter in architecture.embeddings(model).parameters())
    parameters = sum(parameter.numel() for parameter in model.parameters())
    return Size(parameters, embeddings, counter.get_total_flops() // 2)

"""The torch module that is exported: integers in, named float tensors out, with a mask of our own.

transformers builds masks of the type's lowest number. Such a number ruins the ranges of static quantization (0.50
correlation with fp32 against 0.73) and, in TFLite, needs an operator of runtime 2.16. Beside any attention score
that occurs exp(-50) is 0 in float32, so outputs are the same.
"""

from __future__ import annotations

from typing import Any

import torch

MASKED = -50.0


class Exportable(torch.nn.Module):  # type: ignore[misc]  # torch is not read by mypy here
    """A transformers model with its mask made here and a tuple of outputs."""

    def __init__(self, model: Any, inputs: tuple[str, ...], outputs: tuple[str, ...]) -> None:
        super().__init__()
        self.model = model
        self.inputs = inputs
        self.outputs = outputs
        self.eval()  # on the wrapper itself, or the exported graph keeps dropout

    def forward(self, *tensors: torch.Tensor, **named: torch.Tensor) -> Any:
        """Outputs for integer tensors [batch, tokens], by name or in the order of `inputs`."""
        feeds = named or dict(zip(self.inputs, tensors, strict=True))
        mask = feeds["attention_mask"].to(torch.float32)
        found = self.model(**{**feeds, "attention_mask": (1.0 - mask)[:, None, None, :] * MASKED})
        return tuple(found[name] for name in self.outputs)


def example(inputs: tuple[str, ...], batch: int, tokens: int, dtype: torch.dtype) -> tuple[torch.Tensor, ...]:
    """Feeds of a full-length text to trace or convert with: integers [batch, tokens]."""
    fill = {"input_ids": 1, "attention_mask": 1, "token_type_ids": 0}
    return tuple(torch.full((batch, tokens), fill[name], dtype=dtype) for name in inputs)

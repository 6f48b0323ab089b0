"""The torch module that is exported: integers in, named float tensors out, with a mask of our own.

transformers builds masks of the type's lowest number. Such a number ruins the ranges of static quantization (0.50
correlation with fp32 against 0.73) and, in TFLite, needs an operator of runtime 2.16. Ours is -50, and
outputs are the same.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from edgebert.emission import Emission
from edgebert.emission.attention import MASKED


@dataclass(frozen=True)
class Checkpoint:
    """The folder that a model was read from, as transformers wrote it, and the task it was read for."""

    folder: Path
    task: str


class Exportable(torch.nn.Module):  # type: ignore[misc]  # torch is not read by mypy here
    """A model with its mask made here and a tuple of outputs.

    `forward` is a task's, with its model and architecture given: feeds for the model and a mask float32
    [batch, tokens] to tensors by name. `outputs` names those of the file in order; `per_token` says that their
    axis 1 is that of the tokens. `emission` is what an ONNX graph of it is written from, None where it is traced;
    `checkpoint` what exporters read that take no module.
    """

    def __init__(
        self,
        model: Any,
        forward: Callable[[dict[str, torch.Tensor], torch.Tensor], Mapping[str, torch.Tensor]],
        inputs: tuple[str, ...],
        outputs: tuple[str, ...],
        per_token: bool,
        emission: Emission | None = None,
        checkpoint: Checkpoint | None = None,
    ) -> None:
        super().__init__()
        self.model = model
        self.compute = forward
        self.inputs, self.outputs, self.per_token = inputs, outputs, per_token
        self.emission, self.checkpoint = emission, checkpoint
        self.eval()  # on the wrapper itself, or the exported graph keeps dropout

    def forward(self, *tensors: torch.Tensor, **named: torch.Tensor) -> Any:
        """Outputs for integer tensors [batch, tokens], by name or in the order of `inputs`."""
        feeds = named or dict(zip(self.inputs, tensors, strict=True))
        mask = feeds["attention_mask"].to(torch.float32)
        found = self.compute({**feeds, "attention_mask": (1.0 - mask)[:, None, None, :] * MASKED}, mask)
        return tuple(found[name] for name in self.outputs)


def example(inputs: tuple[str, ...], batch: int, tokens: int, dtype: torch.dtype) -> tuple[torch.Tensor, ...]:
    """Feeds of a full-length text to trace or convert with: integers [batch, tokens]."""
    fill = {"input_ids": 1, "attention_mask": 1, "token_type_ids": 0}
    return tuple(torch.full((batch, tokens), fill[name], dtype=dtype) for name in inputs)

"""neural-compressor's static int8 for PyTorch, calibrated on 128 texts, compiled by TorchInductor; any length."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

ENVIRONMENT = "neural_compressor"
NEEDS: tuple[str, ...] = ()
FILES = ("quantized_weight.pt",)
INPUTS = ("input_ids", "attention_mask", "token_type_ids")
TOKENS = 256


def make(checkpoint: Path, made: Path, texts: list[dict[str, Any]]) -> None:
    """Export, prepare, calibrate, convert, save, as its documentation has it for PT2E."""
    import torch
    from neural_compressor.torch.export import export
    from neural_compressor.torch.quantization import StaticQuantConfig, convert, prepare
    from transformers import AutoModelForSequenceClassification

    class Logits(torch.nn.Module):
        def __init__(self, model: Any) -> None:
            super().__init__()
            self.model = model

        def forward(self, input_ids: Any, attention_mask: Any, token_type_ids: Any) -> Any:
            mask = (1.0 - attention_mask[:, None, None, :].float()) * torch.finfo(torch.float32).min
            return self.model(input_ids, mask, token_type_ids).logits

    model = AutoModelForSequenceClassification.from_pretrained(checkpoint, dtype=torch.float32).eval()
    rows = [tuple(torch.from_numpy(feeds[name]) for name in INPUTS) for feeds in texts]
    tokens = {1: torch.export.Dim("tokens", min=2, max=TOKENS)}
    exported = export(Logits(model).eval(), example_inputs=rows[0], dynamic_shapes=dict.fromkeys(INPUTS, tokens))
    prepared = prepare(exported, quant_config=StaticQuantConfig())
    with torch.no_grad():
        for row in rows:
            prepared(*row)
    convert(prepared).save(example_inputs=rows[0], output_dir=str(made))


def opened(made: Path, threads: int) -> Callable[[dict[str, Any]], Any]:
    """Feeds to logits."""
    os.environ["TORCHINDUCTOR_FREEZING"] = "1"  # without it weights are quantized anew at every call
    os.environ["TORCHINDUCTOR_CACHE_DIR"] = str(made / "inductor")
    import numpy as np
    import torch
    from neural_compressor.torch.algorithms.pt2e_quant.save_load import load

    torch.set_num_threads(threads)
    model = torch.compile(load(str(made)), dynamic=True)

    def run(feeds: dict[str, Any]) -> Any:
        with torch.no_grad():
            return model(*(torch.from_numpy(feeds[name]) for name in INPUTS)).numpy()

    ones = np.ones((1, 16), np.int64)
    run(
        {"input_ids": ones, "attention_mask": ones.copy(), "token_type_ids": ones * 0}
    )  # compiles: part of loading
    return run

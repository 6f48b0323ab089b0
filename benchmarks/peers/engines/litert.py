"""litert-torch and ai-edge-quantizer's stock dynamic int8 recipe, a signature for each of some lengths; LiteRT."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

ENVIRONMENT = None
NEEDS: tuple[str, ...] = ()
FILES = ("model.tflite",)
LENGTHS = (16, 32, 64, 128, 256)
INPUTS = ("attention_mask", "input_ids", "token_type_ids")


def make(checkpoint: Path, made: Path, texts: list[dict[str, Any]]) -> None:
    """Convert the model as transformers has it, quantize."""
    import litert_torch
    import torch
    from ai_edge_quantizer import quantizer, recipe
    from transformers import AutoModelForSequenceClassification

    class Logits(torch.nn.Module):
        def __init__(self, model: Any) -> None:
            super().__init__()
            self.model = model

        def forward(self, attention_mask: Any, input_ids: Any, token_type_ids: Any) -> Any:
            return self.model(input_ids, attention_mask, token_type_ids).logits

    model = AutoModelForSequenceClassification.from_pretrained(checkpoint, dtype=torch.float32).eval()
    wrapped, built = Logits(model).eval(), litert_torch
    for tokens in LENGTHS:
        ones = torch.ones(1, tokens, dtype=torch.int32)
        built = built.signature(f"tokens_{tokens}", wrapped, (ones, ones, ones * 0))
    built.convert().export(str(made / "float.tflite"))
    work = quantizer.Quantizer(str(made / "float.tflite"))
    work.load_quantization_recipe(recipe.dynamic_wi8_afp32())
    work.quantize().export_model(str(made / FILES[0]))


def opened(made: Path, threads: int) -> Callable[[dict[str, Any]], Any]:
    """Feeds to logits."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=str(made / FILES[0]), num_threads=threads)
    interpreter.allocate_tensors()
    runners = {tokens: interpreter.get_signature_runner(f"tokens_{tokens}") for tokens in LENGTHS}

    def run(feeds: dict[str, Any]) -> Any:
        length = feeds["input_ids"].shape[1]
        tokens = next(one for one in LENGTHS if one >= length)
        padded = {n: np.pad(feeds[n], ((0, 0), (0, tokens - length))).astype(np.int32) for n in INPUTS}
        named = {f"args_{place}": padded[name] for place, name in enumerate(INPUTS)}
        return next(iter(runners[tokens](**named).values()))

    return run

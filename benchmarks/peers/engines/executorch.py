"""ExecuTorch on XNNPACK: its dynamic int8 per channel, of any length; embeddings stay fp32, as it leaves them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

ENVIRONMENT = "executorch"
NEEDS: tuple[str, ...] = ()
FILES = ("model.pte",)
INPUTS = ("input_ids", "attention_mask", "token_type_ids")
TOKENS = 256  # the longest text that the program has memory for


def make(checkpoint: Path, made: Path, texts: list[dict[str, Any]]) -> None:
    """Quantize the exported model, lower it to XNNPACK."""
    import torch
    from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
    from executorch.backends.xnnpack.quantizer.xnnpack_quantizer import (
        XNNPACKQuantizer,
        get_symmetric_quantization_config,
    )
    from executorch.exir import to_edge_transform_and_lower
    from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e
    from transformers import AutoModelForSequenceClassification

    class Logits(torch.nn.Module):
        def __init__(self, model: Any) -> None:
            super().__init__()
            self.model = model

        def forward(self, input_ids: Any, attention_mask: Any, token_type_ids: Any) -> Any:
            mask = (1.0 - attention_mask[:, None, None, :].float()) * torch.finfo(torch.float32).min
            return self.model(input_ids, mask, token_type_ids).logits

    model = AutoModelForSequenceClassification.from_pretrained(checkpoint, dtype=torch.float32).eval()
    ones = torch.ones(1, 16, dtype=torch.long)
    example = (ones, ones.clone(), ones * 0)  # the same tensor twice would be one input
    tokens = {1: torch.export.Dim("tokens", min=2, max=TOKENS)}
    dynamic = dict.fromkeys(INPUTS, tokens)
    exported = torch.export.export(Logits(model).eval(), example, dynamic_shapes=dynamic).module()
    quantizer = XNNPACKQuantizer().set_global(
        get_symmetric_quantization_config(is_per_channel=True, is_dynamic=True)
    )
    prepared = prepare_pt2e(exported, quantizer)
    for feeds in texts[:8]:
        prepared(*(torch.from_numpy(feeds[name]) for name in INPUTS))
    quantized = torch.export.export(convert_pt2e(prepared), example, dynamic_shapes=dynamic)
    edge = to_edge_transform_and_lower(quantized, partitioner=[XnnpackPartitioner()])
    (made / FILES[0]).write_bytes(edge.to_executorch().buffer)


def opened(made: Path, threads: int) -> Callable[[dict[str, Any]], Any]:
    """Feeds to logits."""
    import torch
    from executorch.extension.pybindings import portable_lib

    portable_lib._unsafe_reset_threadpool(threads)
    program = portable_lib._load_for_executorch(str(made / FILES[0]))

    def run(feeds: dict[str, Any]) -> Any:
        return program.forward([torch.from_numpy(feeds[name]) for name in INPUTS], clone_outputs=True)[0].numpy()

    return run

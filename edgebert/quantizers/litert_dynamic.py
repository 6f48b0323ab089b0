"""Dynamic int8 for LiteRT: s8 weights per channel, activations ranged at run time, embeddings included."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from edgebert.errors import InputError
from edgebert.quantizers import Settings
from edgebert.tokenization import Feeds

TAKES = GIVES = "tflite"
NEEDS = ("ai_edge_quantizer", "ai_edge_litert")
EXTRA = "tflite"
ID = "int8"
PRECISION = "int8"
FILE = "model.tflite"
NEEDS_BATCHES = False


def apply(source: Path, settings: Settings, batches: Sequence[Feeds], out: Path) -> None:
    """Quantize FULLY_CONNECTED and EMBEDDING_LOOKUP of the file `source`; other operators stay float."""
    from ai_edge_quantizer import quantizer, recipe

    if settings.keep_float:
        raise InputError("[quantize] keep_float: litert_dynamic cannot keep single tensors float yet; remove it")
    tool = quantizer.Quantizer(str(source))
    tool.load_quantization_recipe(recipe.dynamic_wi8_afp32())
    out.parent.mkdir(parents=True, exist_ok=True)
    tool.quantize().export_model(str(out), overwrite=True)


def violations(path: Path) -> list[str]:
    """Operators outside TFLite's own set: they would need Flex or an app's own kernel."""
    from edgebert.formats import tflite

    graph = tflite.inspect(path)
    return [f"{graph.flex_ops} operators outside TFLite's own set"] if graph.flex_ops else []

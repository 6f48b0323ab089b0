"""Weight-only int8 for TFLite: s8 weights per channel, embeddings included, dequantized before each float product.

A quarter of the fp32 file's size and none of its time: for runtimes whose int8 kernels are missing or wrong.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from edgebert import litert_weights
from edgebert.histograms import Method
from edgebert.quantizers import Settings
from edgebert.tokenization import Feeds

TAKES = GIVES = "tflite"
NEEDS = ("ai_edge_quantizer", "ai_edge_litert")
EXTRA = "tflite"
ID = "int8_weights"
PRECISION = "int8_weights"
FILE = "model_int8_weights.tflite"
NEEDS_BATCHES = False
RANGES: tuple[Method, ...] = ()
tensors = None
EQUALIZE = False
prepare = None


def apply(source: Path, settings: Settings, batches: Sequence[Feeds], out: Path) -> None:
    """Quantize the weights of FULLY_CONNECTED and EMBEDDING_LOOKUP in the file `source`; biases stay fp32."""
    from ai_edge_quantizer import recipe

    litert_weights.quantize(source, recipe.weight_only_wi8_afp32(), settings.keep_float, out)


def violations(path: Path) -> list[str]:
    """Operators outside TFLite's own set: they would need Flex or an app's own kernel."""
    from edgebert.formats import tflite

    return tflite.foreign(path)

"""Dynamic int8 for LiteRT: s8 weights per channel, activations ranged at run time, embeddings included."""

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
ID = "int8"
PRECISION = "int8"
FILE = "model.tflite"
NEEDS_BATCHES = False
RANGES: tuple[Method, ...] = ()
tensors = litert_weights.products
EQUALIZE = False
prepare = None


def apply(source: Path, settings: Settings, batches: Sequence[Feeds], out: Path) -> None:
    """Quantize FULLY_CONNECTED and EMBEDDING_LOOKUP of the file `source`; other operators stay float.

    Raises InputError for a name to keep float that is not there.
    """
    from ai_edge_quantizer import recipe

    litert_weights.quantize(source, recipe.dynamic_wi8_afp32(), settings.keep_float, out)


def violations(path: Path) -> list[str]:
    """Operators outside TFLite's own set: they would need Flex or an app's own kernel."""
    from edgebert.formats import tflite

    return tflite.foreign(path)

"""fp16 weights for TFLite, embeddings included, widened to fp32 before each product: half the size, equal time."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from edgebert import litert_weights
from edgebert.errors import InputError
from edgebert.histograms import Method
from edgebert.quantizers import Settings
from edgebert.tokenization import Feeds

TAKES = GIVES = "tflite"
NEEDS = ("ai_edge_quantizer", "ai_edge_litert")
EXTRA = "tflite"
ID = "fp16"
PRECISION = "fp16"
FILE = "model_fp16.tflite"
NEEDS_BATCHES = False
RANGES: tuple[Method, ...] = ()
tensors = None
EQUALIZE = False
prepare = None


def apply(source: Path, settings: Settings, batches: Sequence[Feeds], out: Path) -> None:
    """Cast the weights of the file `source`; biases stay fp32.

    Raises InputError for weights fp16 cannot hold, and for a name to keep float that is not there.
    """
    from ai_edge_quantizer import recipe_manager
    from ai_edge_quantizer.algorithm_manager import AlgorithmName

    from edgebert.formats import tflite

    rules = recipe_manager.RecipeManager()
    for operator in litert_weights.READ:
        rules.add_weight_only_config(".*", operator, num_bits=16, algorithm_key=AlgorithmName.FLOAT_CASTING)
    litert_weights.quantize(source, rules.get_quantization_recipe(), settings.keep_float, out)
    if overflown := tflite.infinite(out):
        out.unlink()
        raise InputError(f"'{overflown[0]}' holds values above 65504, which fp16 cannot")


def violations(path: Path) -> list[str]:
    """Operators outside TFLite's own set: they would need Flex or an app's own kernel."""
    from edgebert.formats import tflite

    return tflite.foreign(path)

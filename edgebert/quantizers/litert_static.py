"""Static int8 for LiteRT: s8 weights per channel, s8 activations of measured ranges, embeddings included.

Products, attention and what only moves values are int8. LayerNorm, GELU and the residual's additions stay float:
their ranges per tensor cost more than all else (a MiniLM's answers agree with fp32's in .92 with them in float, in
.85 with GELU and additions in int8 too, in .82 with LayerNorm as well; 150 rows of `recipes/data/sentiment`). The
library's static rules leave embeddings in fp32, silently, and have none for them: these get one for weights alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

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
NEEDS_BATCHES = True
RANGES: tuple[Method, ...] = ("minmax",)
tensors = litert_weights.products
EQUALIZE = False
prepare = None
STATIC = ("FULLY_CONNECTED", "BATCH_MATMUL", "SOFTMAX")
MOVES = ("RESHAPE", "TRANSPOSE", "SLICE", "CONCATENATION", "STRIDED_SLICE", "SPLIT")
TEXTS = 32  # for each signature: each takes its own ranges, and a longer one its time


def apply(source: Path, settings: Settings, batches: Sequence[Feeds], out: Path) -> None:
    """Quantize the file `source`, with ranges of the texts that each signature holds.

    Raises InputError for a name to keep float that is not there.
    """
    from ai_edge_quantizer import recipe

    [static], [weights] = recipe.static_wi8_ai8(), recipe.dynamic_wi8_afp32()
    rules = [{**static, "operation": name} for name in (*STATIC, *MOVES)]
    rules.append({**weights, "operation": "EMBEDDING_LOOKUP"})
    litert_weights.quantize(source, rules, settings.keep_float, out, _by_signature(source, batches))


def _by_signature(source: Path, batches: Sequence[Feeds]) -> dict[str, list[Feeds]]:
    """Feeds of every length for each signature, padded to its own, int32 [1, tokens] by input name."""
    from ai_edge_litert.interpreter import Interpreter

    from edgebert.device.runtimes import pad

    interpreter = Interpreter(model_path=str(source))
    found = {}
    for name in interpreter.get_signature_list():
        inputs = interpreter.get_signature_runner(name).get_input_details()
        tokens = int(next(iter(inputs.values()))["shape"][-1])
        fitting = [one for one in batches if one["input_ids"].shape[1] <= tokens] or [
            {key: ids[:, :tokens] for key, ids in min(batches, key=lambda one: one["input_ids"].shape[1]).items()}
        ]
        chosen = fitting[:: max(1, len(fitting) // TEXTS)][:TEXTS]
        found[name] = [{key: ids.astype(np.int32) for key, ids in pad(one, tokens).items()} for one in chosen]
    return found


def violations(path: Path) -> list[str]:
    """Operators outside TFLite's own set: they would need Flex or an app's own kernel."""
    from edgebert.formats import tflite

    return tflite.foreign(path)

"""fp32 for TFLite: the file as it was exported, for runtimes and devices where size is no matter."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from edgebert import litert_weights
from edgebert.histograms import Method
from edgebert.quantizers import Settings
from edgebert.tokenization import Feeds

TAKES = GIVES = "tflite"
NEEDS = ("ai_edge_litert",)
EXTRA = "tflite"
ID = "fp32"
PRECISION = "fp32"
FILE = "model_fp32.tflite"
NEEDS_BATCHES = False
RANGES: tuple[Method, ...] = ()
tensors = None
EQUALIZE = False
prepare = None


def apply(source: Path, settings: Settings, batches: Sequence[Feeds], out: Path) -> None:
    """Copy the file `source`. Raises InputError for a name to keep float that is not there."""
    litert_weights.kept_float(source, settings.keep_float)
    out.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, out)


def violations(path: Path) -> list[str]:
    """Operators outside TFLite's own set: they would need Flex or an app's own kernel."""
    from edgebert.formats import tflite

    return tflite.foreign(path)

"""quantize: an fp32 graph file becomes the file that ships."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

from edgebert.artifact import Artifact
from edgebert.errors import InputError
from edgebert.quantizers import Settings
from edgebert.tokenization import Feeds


def run(
    source: Artifact,
    name: str,
    quantizer: ModuleType,
    settings: Settings,
    batches: Sequence[Feeds],
    out: Path,
) -> Artifact:
    """Write the quantized file to `out`. Raises InputError where the quantizer takes another format."""
    if source.form != quantizer.TAKES:
        raise InputError(f"quantizer '{name}' takes {quantizer.TAKES}; this target's format is {source.form}")
    quantizer.apply(source.path, settings, batches, out / quantizer.FILE)
    update = {"file": quantizer.FILE, "precision": quantizer.PRECISION, "folder": out}
    return source.model_copy(update=update).write()

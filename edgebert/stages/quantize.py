"""quantize: an fp32 graph file becomes the file that ships, under accuracy control where its quantizer has it."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

from edgebert.accuracy_control import Control, Guard
from edgebert.artifact import Artifact
from edgebert.errors import InputError
from edgebert.quantizers import Settings
from edgebert.steps import Tell
from edgebert.tokenization import Feeds


def run(
    source: Artifact,
    name: str,
    quantizer: ModuleType,
    settings: Settings,
    batches: Sequence[Feeds],
    guard: Guard | None,
    out: Path,
    tell: Tell,
) -> Artifact:
    """Write the quantized file to `out`. Raises InputError where the quantizer takes another format."""
    if source.form != quantizer.TAKES:
        raise InputError(f"quantizer '{name}' takes {quantizer.TAKES}; this target's format is {source.form}")
    control = {}
    if guard is None:
        quantizer.apply(source.path, settings, batches, out / quantizer.FILE)
    else:
        with tempfile.TemporaryDirectory(dir=out.parent) as room:
            control = Control(source, quantizer, guard, batches, Path(room), tell).run(settings, out)
    update = {"file": quantizer.FILE, "precision": quantizer.PRECISION, "folder": out, "control": control}
    return source.model_copy(update=update).write()

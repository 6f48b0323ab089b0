"""What the LiteRT quantizers share: a recipe of ai-edge-quantizer run over a file, and what it cannot do."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from edgebert.errors import InputError


def refuse_kept_float(quantizer: str, patterns: Sequence[str]) -> None:
    """Raise InputError where tensors were to stay float: a recipe names operators, not tensors."""
    if patterns:
        raise InputError(f"[quantize] keep_float: {quantizer} cannot keep single tensors float yet; remove it")


def quantize(source: Path, recipe: list[dict[str, Any]], out: Path) -> None:
    """Write what the recipe makes of the file `source` to `out`."""
    from ai_edge_quantizer import quantizer

    tool = quantizer.Quantizer(str(source))
    tool.load_quantization_recipe(recipe)
    out.parent.mkdir(parents=True, exist_ok=True)
    tool.quantize().export_model(str(out), overwrite=True)

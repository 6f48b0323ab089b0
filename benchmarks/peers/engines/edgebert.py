"""The bundle that is compared, opened by its own device code."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

ENVIRONMENT = None
NEEDS: tuple[str, ...] = ()
FILES: tuple[str, ...] = ()  # the bundle's default file


def make(checkpoint: Path, made: Path, texts: list[dict[str, Any]]) -> None:
    """Nothing: `compare.py` links the bundle."""


def opened(made: Path, threads: int) -> Callable[[dict[str, Any]], Any]:
    """Feeds to logits."""
    from edgebert.device import bundle, runtimes

    folder = str(made / "bundle")
    entry = bundle.model_entry(bundle.read(folder), "")
    model = runtimes.open_model(folder, entry, threads)
    [output] = [one["name"] for one in entry["signature"]["outputs"]]
    names = [one["name"] for one in entry["signature"]["inputs"]]
    return lambda feeds: model.run({name: feeds[name] for name in names})[output]

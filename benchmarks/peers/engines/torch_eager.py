"""transformers on torch, fp32, as published: what fidelity is measured against."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

ENVIRONMENT = None
NEEDS: tuple[str, ...] = ()
FILES: tuple[str, ...] = ()


def make(checkpoint: Path, made: Path, texts: list[dict[str, Any]]) -> None:
    """Keep the checkpoint's place."""
    (made / "checkpoint").symlink_to(checkpoint.resolve(), target_is_directory=True)


def opened(made: Path, threads: int) -> Callable[[dict[str, Any]], Any]:
    """Feeds to logits."""
    import torch
    from transformers import AutoModelForSequenceClassification

    torch.set_num_threads(threads)
    model = AutoModelForSequenceClassification.from_pretrained(made / "checkpoint", dtype=torch.float32).eval()

    def run(feeds: dict[str, Any]) -> Any:
        with torch.inference_mode():
            return model(**{name: torch.from_numpy(array) for name, array in feeds.items()}).logits.numpy()

    return run

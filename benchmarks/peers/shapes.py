"""A checkpoint of a published size with random weights, and the recipe that builds it: enough to time its files.

    python benchmarks/peers/shapes.py SHAPE TOKENIZER ROWS.jsonl -o OUT

TOKENIZER is a folder with a tokenizer, ROWS has `text`. Writes OUT/checkpoint, OUT/recipe.toml, OUT/texts.jsonl.
Such a model knows nothing: the rows that the recipe reads are labelled with its own answers, so that its gates
judge the file against fp32, and OUT/texts.jsonl has no labels, so that `compare.py` scores nothing.
"""

from __future__ import annotations

import argparse
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from edgebert import architectures, members
from edgebert.tokenization import Encoder

FILES = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.txt", "spiece.model")
MOST = 400  # rows
SHARES = {"train": 0.5, "dev": 0.25, "test": 0.25}  # of them
RECIPE = """\
name = "{shape}"
task = "text-classification"
targets = ["x86-64"]

[model]
source = "checkpoint"

[data]
train = "train.jsonl"
dev = "dev.jsonl"
test = "test.jsonl"

[quantize]
race = false

[gates]  # the answers of random weights lie close together: their agreement tells nothing of a trained model
max_drop = 100
min_agreement = 0
"""


def main() -> None:
    """Write the checkpoint, its rows and its recipe."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("shape")
    parser.add_argument("tokenizer", type=Path)
    parser.add_argument("rows", type=Path)
    parser.add_argument("-o", "--out", type=Path, required=True)
    given = parser.parse_args()
    checkpoint = given.out / "checkpoint"
    checkpoint.mkdir(parents=True, exist_ok=True)
    for name in FILES:
        if (given.tokenizer / name).exists():
            shutil.copy(given.tokenizer / name, checkpoint)
    lines = given.rows.read_text(encoding="utf-8").splitlines()
    texts = [json.loads(line)["text"] for line in lines[:: max(1, len(lines) // MOST)]]
    labels = draw(given.shape, checkpoint, texts)
    rows = [{"text": text, "label": label} for text, label in zip(texts, labels, strict=True)]
    start = 0
    for split, share in SHARES.items():
        end = start + int(len(rows) * share)
        write(rows[start:end], given.out / f"{split}.jsonl")
        start = end
    write([{"text": text} for text in texts], given.out / "texts.jsonl")
    (given.out / "recipe.toml").write_text(RECIPE.format(shape=given.shape), encoding="utf-8")


def draw(shape: str, checkpoint: Path, texts: Sequence[str]) -> list[str]:
    """Save a model of two labels with random weights; its answers, half of them each label."""
    import numpy as np
    import torch
    from transformers import AutoModelForSequenceClassification

    name, values = architectures.named(shape)
    pieces = json.loads((checkpoint / "tokenizer.json").read_text(encoding="utf-8"))["model"]["vocab"]
    architecture = members.find("architectures", name)
    config = architecture.config({**values, "vocab_size": len(pieces), "id2label": {0: "no", 1: "yes"}})
    torch.manual_seed(0)
    model = AutoModelForSequenceClassification.from_config(config).eval()
    encoder = Encoder(checkpoint, config.max_position_embeddings, list(architecture.INPUTS))
    with torch.inference_mode():
        logits = np.concatenate([model(**tensors(encoder.encode(text).feeds)).logits.numpy() for text in texts])
    middle = np.median(logits[:, 1] - logits[:, 0])
    with torch.no_grad():
        model.classifier.bias[1] -= float(middle)
    model.save_pretrained(checkpoint)
    return ["yes" if one else "no" for one in logits[:, 1] - logits[:, 0] > middle]


def tensors(feeds: dict[str, Any]) -> dict[str, Any]:
    """Feeds as torch tensors."""
    import torch

    return {name: torch.from_numpy(array) for name, array in feeds.items()}


def write(rows: Sequence[dict[str, Any]], path: Path) -> None:
    """One JSON document a line."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


if __name__ == "__main__":
    main()

"""Toy text to pre-train on: every document asks, then answers, so that masked words and order can be learned."""

from __future__ import annotations

import random
from pathlib import Path

THINGS = ["river", "garden", "window", "letter", "horse", "bridge", "candle", "winter"]
QUALITIES = ["old", "green", "broken", "quiet", "long", "warm"]


def write(path: Path, documents: int, seed: int) -> Path:
    """Documents of one question and one answer, each a paragraph."""
    draw = random.Random(seed)
    lines = []
    for _ in range(documents):
        thing, quality = draw.choice(THINGS), draw.choice(QUALITIES)
        lines += [f"Who asks about the {thing} and why?", f"They answer that the {thing} is {quality}.", ""]
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


RECIPE = """
name = "toy"
seed = 3

[text]
train = "train.txt"
valid = "valid.txt"

[tokenizer]
train = {{vocabulary = 100}}

[model]
architecture = "{architecture}"
values = {{{values}}}

[objective]
sentence = "{sentence}"

[train]
steps = {steps}
tokens = 32
batch = 8
learning_rate = 3e-3
log_every = 1
checkpoint_every = 5
evaluate_every = 1000
"""
BERT = "hidden_size = 32, num_hidden_layers = 2, num_attention_heads = 2, intermediate_size = 64"
ALBERT = f"embedding_size = 16, {BERT}"


def project(
    folder: Path, steps: int = 12, sentence: str = "sop", architecture: str = "bert", values: str = BERT
) -> Path:
    """A recipe with its texts; the recipe's path."""
    folder.mkdir(parents=True, exist_ok=True)
    write(folder / "train.txt", 200, 1)
    write(folder / "valid.txt", 100, 2)
    recipe = folder / "toy.toml"
    recipe.write_text(
        RECIPE.format(steps=steps, sentence=sentence, architecture=architecture, values=values), encoding="utf-8"
    )
    return recipe

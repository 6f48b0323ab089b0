"""A toy project: a tiny model of our own making and rows that a few words separate."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

WORDS = {
    "sun": ["bright", "warm", "sunny", "summer", "light"],
    "rain": ["wet", "umbrella", "rainy", "cloud", "puddle"],
    "snow": ["cold", "white", "snowy", "winter", "ice"],
}
FILL = ["today", "it", "is", "very", "the", "day", "we", "see", "a", "lot", "of", "and", "more", "here", "now"]
OUTSIDE = ["piano", "lawyer", "algebra", "pepper", "novel", "carpet"]


def rows(count: int, seed: int) -> list[dict[str, str]]:
    """Separable rows: one or two words of the label's own among filling."""
    draw = random.Random(seed)
    found = []
    for i in range(count):
        label = sorted(WORDS)[i % 3]
        words = draw.choices(FILL, k=draw.randint(2, 8)) + draw.sample(WORDS[label], draw.randint(1, 2))
        draw.shuffle(words)
        found.append({"text": " ".join(words), "label": label})
    return found


def outside(count: int, seed: int) -> list[dict[str, str]]:
    """Texts that no label fits."""
    draw = random.Random(seed)
    return [{"text": " ".join(draw.sample(OUTSIDE, 3))} for _ in range(count)]


def logits_of(outputs: list[dict[str, Any]]) -> Any:
    """The logits [rows, labels] of outputs that came one window at a time."""
    import numpy as np

    return np.stack([one["logits"] for one in outputs])


def exportable(model: Any) -> Any:
    """A BERT classifier of torch as formats take it."""
    from edgebert import members
    from edgebert.exportable import Exportable
    from edgebert.tasks import forward_of, text_classification

    bert = members.find("architectures", "bert")
    compute = forward_of(text_classification, model, bert)
    return Exportable(model, compute, bert.INPUTS, ("logits",), per_token=False)


def write_rows(path: Path, found: Sequence[Mapping[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in found), encoding="utf-8")
    return path


WIDE: dict[str, object] = {"initializer_range": 0.1}  # so narrow a model learns sooner from larger weights
VALUES: dict[str, dict[str, object]] = {  # of a toy's config, beside its sizes
    "albert": {"embedding_size": 16, **WIDE},
    "distilbert": WIDE,
    "electra": {"embedding_size": 16, **WIDE},
    "mobilebert": {"embedding_size": 16, "intra_bottleneck_size": 16, "classifier_activation": False, **WIDE},
}


def write_model(folder: Path, hidden: int = 32, layers: int = 2, architecture: str = "bert") -> Path:
    """A model with random weights and a tokenizer that knows every toy word."""
    import torch
    from transformers import AutoModel

    from edgebert import members

    folder.mkdir(parents=True, exist_ok=True)
    member = members.find("architectures", architecture)
    words = [*FILL, *OUTSIDE, *(word for group in WORDS.values() for word in group)]
    pieces = (_write_unigram if member.TOKENIZER == "unigram" else _write_wordpiece)(folder, words)
    torch.manual_seed(0)
    keys = member.KEYS
    sizes = {keys.layers: layers, keys.heads: 2, keys.widths[0]: hidden, keys.widths[-1]: 2 * hidden}
    more = {"vocab_size": pieces, "max_position_embeddings": 64}
    config = member.config({**sizes, **more, **VALUES.get(architecture, {})})
    AutoModel.from_config(config).save_pretrained(folder)
    return folder


def _write_wordpiece(folder: Path, words: list[str]) -> int:
    """BERT's tokenizer for these words; how many pieces it has."""
    from tokenizers import Tokenizer
    from tokenizers.models import WordPiece
    from tokenizers.normalizers import BertNormalizer
    from tokenizers.pre_tokenizers import BertPreTokenizer
    from tokenizers.processors import TemplateProcessing

    characters = [chr(code) for code in range(ord("a"), ord("z") + 1)]
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *characters, *(f"##{c}" for c in characters)]
    pieces += [word for word in dict.fromkeys(words) if word not in pieces]
    vocabulary = {piece: i for i, piece in enumerate(pieces)}
    tokenizer = Tokenizer(WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = BertNormalizer()
    tokenizer.pre_tokenizer = BertPreTokenizer()
    tokenizer.post_processor = TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 2), ("[SEP]", 3)],
    )
    tokenizer.add_special_tokens(pieces[:5])
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "BertTokenizer"}))
    return len(pieces)


def _write_unigram(folder: Path, words: list[str]) -> int:
    """ALBERT's tokenizer for these words; how many pieces it has."""
    from transformers import AlbertTokenizer

    scores = {"<pad>": 0.0, "<unk>": 0.0, "[CLS]": 0.0, "[SEP]": 0.0, "[MASK]": 0.0, "\u2581": -5.0}
    scores |= {chr(code): -9.0 for code in range(ord("a"), ord("z") + 1)}
    scores |= {f"\u2581{word}": -4.0 for word in words}
    AlbertTokenizer(vocab=list(scores.items())).save_pretrained(folder)
    return len(scores)


RECIPE = """
name = "toy"
task = "text-classification"
targets = {targets}
seed = 2

[model]
source = "model"

[quantize]
race = false

[data]
train = "train.jsonl"
dev = "dev.jsonl"
test = "test.jsonl"

[data.out_of_scope]
dev = "oos.jsonl"
test = "oos.jsonl"

[finetune]
epochs = 6
batch = 16
learning_rate = 5e-3
max_tokens = 32

[gates]
max_bytes_per_parameter = 1000
min_agreement = 0.75  # so certain a toy often crosses its out-of-scope threshold
max_drop = 5.0
"""


def write_project(folder: Path, model: Path, targets: list[str]) -> Path:
    """A recipe with its data and a link to the model; the recipe's path."""
    folder.mkdir(parents=True, exist_ok=True)
    write_rows(folder / "train.jsonl", rows(240, 1))
    write_rows(folder / "dev.jsonl", rows(81, 2))
    write_rows(folder / "test.jsonl", rows(120, 3))
    write_rows(folder / "oos.jsonl", outside(30, 4))
    (folder / "model").symlink_to(model, target_is_directory=True)
    recipe = folder / "toy.toml"
    recipe.write_text(RECIPE.format(targets=json.dumps(targets)), encoding="utf-8")
    return recipe

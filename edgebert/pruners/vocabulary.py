"""Vocabulary: pieces that no text of the task needs leave the tokenizer, and their rows the embeddings.

The pieces that stay keep their order. A text of which all pieces stay is cut as before: WordPiece takes the
longest piece that there is, and what was the longest still is; a unigram's best cut stays the best of fewer, and
the lowest score, which unknown characters are counted from, stays with its piece.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from edgebert.artifact import Artifact
from edgebert.errors import InputError
from edgebert.pruning import Vocabulary
from edgebert.sources import WEIGHTS
from edgebert.tables import Table

NAME = "vocabulary"
_ENCODER = (".encoder.", ".transformer.", "position_embeddings", "token_type_embeddings")


def about(settings: Table) -> str:
    """What it will do, in a few words."""
    assert isinstance(settings, Vocabulary)
    return f"keep the pieces of the texts, {settings.general} frequent words and all characters"


def apply(model: Artifact, settings: Table, texts: Sequence[str], out: Path) -> dict[str, Any]:
    """Write the model with the pieces that stay, and their number.

    Raises InputError for a tokenizer that is neither WordPiece nor unigram, and where too many pieces of the texts
    are unknown.
    """
    from safetensors.torch import load_file, save_file

    assert isinstance(settings, Vocabulary)
    told = json.loads((model.folder / "tokenizer.json").read_text(encoding="utf-8"))
    counts = _counts(told, texts)
    unknown = counts.get(_unknown(told), 0) / max(1, sum(counts.values()))
    if unknown > settings.max_unknown:
        raise InputError(
            f"[prune.vocabulary] the tokenizer does not know {unknown:.1%} of the pieces of the texts, more than "
            f"max_unknown = {settings.max_unknown:g}: they could not be read; is it a tokenizer of their language?"
        )
    keep = kept(told, set(counts), settings.general)
    config = json.loads((model.folder / "config.json").read_text(encoding="utf-8"))
    rows, numbers = int(config["vocab_size"]), {old: new for new, old in enumerate(keep)}
    weights = {name: _rows(name, tensor, rows, keep) for name, tensor in load_file(model.folder / WEIGHTS).items()}
    save_file(weights, out / WEIGHTS, metadata={"format": "pt"})
    config |= {key: numbers.get(value) for key, value in config.items() if key.endswith("_token_id")}
    config["vocab_size"] = len(keep)
    (out / "config.json").write_text(json.dumps(config, indent=1, sort_keys=True), encoding="utf-8")
    model.copy_tokenizer(out)
    _write_tokenizer(renumbered(told, keep), out)
    parameters = sum(tensor.numel() for tensor in weights.values() if tensor.is_floating_point())
    model.model_copy(update={"folder": out, "parameters": parameters}).write()
    return {"pieces": len(keep), "of": len(_pieces(told))}


def kept(told: Mapping[str, Any], used: Iterable[int], general: int) -> list[int]:
    """The numbers of the pieces that stay, ascending. Raises InputError for another kind of tokenizer."""
    pieces, model = _pieces(told), told["model"]
    inner, outer = _prefixes(told)
    keep = {*used, *(token["id"] for token in told["added_tokens"]), _unknown(told)}
    words = 0
    for number, piece in enumerate(pieces):
        bare = piece.removeprefix(outer) if outer else piece.removeprefix(inner)
        frequent = words < general and len(bare) > 1 and bare.isalpha() and not (inner and piece.startswith(inner))
        frequent = frequent and piece.startswith(outer)
        words += frequent
        if len(bare) <= 1 or frequent:
            keep.add(number)
    if model["type"] == "Unigram":
        keep.add(min(range(len(pieces)), key=lambda number: model["vocab"][number][1]))
    return sorted(keep)


def renumbered(told: Mapping[str, Any], keep: Sequence[int]) -> dict[str, Any]:
    """The tokenizer.json with the pieces that stay alone, numbered from 0."""
    found: dict[str, Any] = json.loads(json.dumps(told))
    numbers = {old: new for new, old in enumerate(keep)}
    model, pieces = found["model"], _pieces(told)
    if isinstance(model["vocab"], dict):
        model["vocab"] = {pieces[old]: new for old, new in numbers.items()}
    else:
        model["vocab"] = [model["vocab"][old] for old in keep]
        model["unk_id"] = numbers[model["unk_id"]]
    for token in found["added_tokens"]:
        token["id"] = numbers[token["id"]]
    around = found.get("post_processor") or {}
    for special in around.get("special_tokens", {}).values():
        special["ids"] = [numbers[number] for number in special["ids"]]
    for name in ("cls", "sep"):
        if name in around:
            around[name] = [around[name][0], numbers[around[name][1]]]
    return found


def _rows(name: str, tensor: Any, rows: int, keep: Sequence[int]) -> Any:
    """The rows, or columns, of the pieces that stay, of word embeddings and what predicts pieces; else all."""
    import torch

    if any(part in f".{name}" for part in _ENCODER) or rows not in tensor.shape:
        return tensor
    return tensor.index_select(list(tensor.shape).index(rows), torch.tensor(keep)).contiguous()


def _counts(told: Mapping[str, Any], texts: Sequence[str]) -> dict[int, int]:
    """How often each piece is in the texts."""
    from tokenizers import Tokenizer

    counts: dict[int, int] = {}
    for encoded in Tokenizer.from_str(json.dumps(told)).encode_batch_fast(list(texts)):
        for number in encoded.ids:
            counts[number] = counts.get(number, 0) + 1
    return counts


def _pieces(told: Mapping[str, Any]) -> list[str]:
    """All pieces by number; those that were added behind the vocabulary are not pieces of the model."""
    vocabulary = told["model"].get("vocab")
    if told["model"]["type"] not in ("WordPiece", "Unigram"):
        raise InputError(
            f"[prune.vocabulary] the model's tokenizer is {told['model']['type']}; pieces can be taken out of "
            "WordPiece and unigram"
        )
    if isinstance(vocabulary, dict):
        return sorted(vocabulary, key=vocabulary.__getitem__)
    return [piece for piece, _ in vocabulary]


def _unknown(told: Mapping[str, Any]) -> int:
    model = told["model"]
    return int(model["vocab"][model["unk_token"]] if "unk_token" in model else model["unk_id"])


def _prefixes(told: Mapping[str, Any]) -> tuple[str, str]:
    """What stands before a piece within a word (WordPiece), and before one at a word's begin (unigram)."""
    model = told["model"]
    if model["type"] == "WordPiece":
        return model.get("continuing_subword_prefix", "##"), ""
    return "", "\u2581"


def _write_tokenizer(told: Mapping[str, Any], out: Path) -> None:
    (out / "tokenizer.json").write_text(json.dumps(told, ensure_ascii=False, indent=1), encoding="utf-8")
    if (out / "vocab.txt").exists():
        text = "".join(f"{piece}\n" for piece in _pieces(told))
        (out / "vocab.txt").write_text(text, encoding="utf-8", newline="\n")
    (out / "spiece.model").unlink(missing_ok=True)  # it has the pieces that left
    path = out / "tokenizer_config.json"
    config = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    if "added_tokens_decoder" in config:
        listed = {token["content"]: str(token["id"]) for token in told["added_tokens"]}
        tokens = config["added_tokens_decoder"].values()
        config["added_tokens_decoder"] = {listed[one["content"]]: one for one in tokens}
        path.write_text(json.dumps(config, indent=1, sort_keys=True), encoding="utf-8")

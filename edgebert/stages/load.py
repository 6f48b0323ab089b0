"""load: a source folder becomes a torch artifact in fp32, safetensors only, with its own tokenizer."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from edgebert import members
from edgebert.artifact import Artifact
from edgebert.errors import InputError
from edgebert.sources import WEIGHTS, shards

WORDS = "embeddings.word_embeddings.weight"
VOCABULARIES = ("vocab.txt", "spiece.model")


def run(source: Path, architecture: str, out: Path) -> Artifact:
    """Write the model in `source` to `out`. Raises InputError for weights or a tokenizer that cannot be read."""
    config = _config(source)
    (out / "config.json").write_text(json.dumps(config, indent=1, sort_keys=True), encoding="utf-8")
    reads_padding = members.find("architectures", architecture).READS_PADDING
    parameters = _weights(source, out / WEIGHTS, int(config.get("pad_token_id", 0)) if reads_padding else None)
    tokenizer(source, out)
    _check_pieces(source, out)
    return Artifact(form="torch", architecture=architecture, parameters=parameters, folder=out).write()


def _config(source: Path) -> dict[str, Any]:
    config: dict[str, Any] = json.loads((source / "config.json").read_text(encoding="utf-8"))
    for name in ("_name_or_path", "torch_dtype", "auto_map"):
        config.pop(name, None)
    return {**config, "dtype": "float32"}


def _weights(source: Path, to: Path, padding: int | None) -> int:
    """Write all floating point tensors as fp32 to one file; the number of parameters.

    The vector of the token `padding` becomes 0, what is beside a text that is not padded: published models have
    trained it, and would answer otherwise to a text in a longer bucket.
    """
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file, save_file

    tensors: dict[str, Any] = {}
    for name in [WEIGHTS] if (source / WEIGHTS).is_file() else shards(source):
        try:
            tensors |= load_file(source / name)
        except SafetensorError as error:
            raise InputError(f"{source / name}: not safetensors: {error}") from None
    for name, tensor in tensors.items():
        if tensor.is_floating_point():
            tensors[name] = tensor.to(torch.float32).contiguous()
            if not torch.isfinite(tensors[name]).all():
                raise InputError(f"{source}: tensor '{name}' holds NaN or infinite weights")
            if padding is not None and name.endswith(WORDS):
                tensors[name][padding] = 0
    save_file(tensors, to, metadata={"format": "pt"})
    return sum(tensor.numel() for tensor in tensors.values() if tensor.is_floating_point())


def tokenizer(source: Path, out: Path) -> None:
    """Copy the tokenizer without its padding and truncation, which belong to its caller. Raises InputError."""
    path = source / "tokenizer.json"
    if not path.is_file():
        if not any((source / name).is_file() for name in VOCABULARIES):  # transformers would make up an empty one
            raise InputError(f"{source}: no tokenizer (neither tokenizer.json nor {', '.join(VOCABULARIES)})")
        from transformers import AutoTokenizer

        try:
            AutoTokenizer.from_pretrained(source, trust_remote_code=False).save_pretrained(out)
        except Exception as error:  # the library below it raises bare Exception for a faulty file
            raise InputError(f"{source}: no tokenizer.json, and none can be made: {error}") from None
        path = out / "tokenizer.json"
    parts = json.loads(path.read_text(encoding="utf-8"))
    parts |= {"padding": None, "truncation": None}
    (out / "tokenizer.json").write_text(json.dumps(parts, ensure_ascii=False, indent=1), encoding="utf-8")
    for name in ("tokenizer_config.json", "special_tokens_map.json", "spiece.model"):
        if (source / name).is_file():
            shutil.copyfile(source / name, out / name)
    vocabulary = parts["model"].get("vocab")
    if parts["model"].get("type") == "WordPiece" and isinstance(vocabulary, dict):
        pieces = sorted(vocabulary, key=vocabulary.__getitem__)
        (out / "vocab.txt").write_text("".join(f"{piece}\n" for piece in pieces), encoding="utf-8")


def _check_pieces(source: Path, out: Path) -> None:
    from tokenizers import Tokenizer

    pieces = Tokenizer.from_file(str(out / "tokenizer.json")).get_vocab()
    highest = max(pieces.values(), default=0)
    rows = json.loads((out / "config.json").read_text(encoding="utf-8")).get("vocab_size", 0)
    if highest >= rows:
        raise InputError(
            f"{source}: its tokenizer has pieces up to number {highest}, its model embeddings for {rows}; "
            "the two are not of one model"
        )
    if 2 * len(pieces) < rows:  # libraries make up one of five pieces where they find no vocabulary
        raise InputError(
            f"{source}: its tokenizer has {len(pieces)} pieces, its model embeddings for {rows}; "
            "this is not the tokenizer that the model was trained with"
        )

"""Tiny bundles of every task that clients serve, made without training: a table lookup in place of an encoder."""

from __future__ import annotations

import hashlib
import json
import random
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgebert import tokenizer_table

MODEL = "onnx/model_quantized.onnx"
MAX_TOKENS = 32
INPUTS = ("input_ids", "attention_mask", "token_type_ids")
TAGS = ["B-place", "B-thing", "I-place", "I-thing", "O"]
PLAIN = "a warm and sunny day , it is wet ; more puddle here now we see ice lot of piano, (carpet) 3.5% $9"
ODD = "umbrella-light don't U.S. a_b _x_ café naïve İstanbul ﬁne"
HARD = "中文 日本 한국어 😀 👍🏽 𝐀𝐁 e\u0301te\u0301 [MASK] [SEP] “cold” …"
WORDS = f"{PLAIN} {ODD} {HARD}".split()


@dataclass(frozen=True)
class Kind:
    """A task, how many values its model gives, and what the manifest tells of it."""

    task: str
    values: int
    decoding: Mapping[str, Any]
    labels: Sequence[str] = ()


SPANS = {"doc_stride": 8, "max_answer_tokens": 6, "n_best": 5}
KINDS = {
    "classes": Kind("text-classification", 3, {"threshold": 0.4}, ["rain", "snow", "sun"]),
    "several labels": Kind(
        "text-classification", 3, {"multi_label": True, "thresholds": [0.4, 0.5, 0.55]}, ["rain", "snow", "sun"]
    ),
    "pairs": Kind("sentence-pairs", 2, {}, ["different", "same"]),
    "number": Kind("regression", 1, {"pairs": False, "label_mean": 0.0, "label_scale": 1.0}),
    "number of a pair": Kind("regression", 1, {"pairs": True, "label_mean": 0.0, "label_scale": 1.0}),
    "vector": Kind("feature-extraction", 8, {"query_prefix": "", "passage_prefix": "more: "}),
    "entities": Kind("token-classification", 5, {"doc_stride": 8, "well_formed": True}, TAGS),
    "entities as tagged": Kind("token-classification", 5, {"doc_stride": 8, "well_formed": False}, TAGS),
    "answer": Kind("question-answering", 2, {**SPANS, "null_threshold": None}),
    "answer or none": Kind("question-answering", 2, {**SPANS, "null_threshold": 2.0}),
}


def write(like: Path, kind: Kind, out: Path) -> Path:
    """A bundle of a kind, with the manifest, tokenizer and target of the bundle `like`."""
    (out / MODEL).parent.mkdir(parents=True)
    for name in ("tokenizer.json", "golden.jsonl"):
        shutil.copyfile(like / name, out / name)
    tokenizer_table.write(out / "tokenizer.json", out)
    pieces = len((out / "vocab.txt").read_text(encoding="utf-8").splitlines())
    graph = _graph(kind, pieces)
    (out / MODEL).write_bytes(graph)
    manifest = json.loads((like / "manifest.json").read_text(encoding="utf-8"))
    [entry] = manifest["models"]
    signature = {
        "inputs": [_tensor(name, "int64") for name in INPUTS],
        "outputs": [_tensor(name, "float32", _per_token(kind)) for name in _outputs(kind)],
    }
    entry |= {"bytes": len(graph), "session": {}, "signature": signature}
    manifest |= {"task": kind.task, "labels": list(kind.labels)}
    manifest["decoding"] = {"max_tokens": MAX_TOKENS, "buckets": [], **kind.decoding}
    (out / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    return sign(out)


def sign(folder: Path) -> Path:
    """Write SHA256SUMS anew, of a bundle that a test made or changed."""
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    lines = [
        f"{hashlib.sha256((folder / name).read_bytes()).hexdigest()}  {name}\n"
        for name in names
        if name != "SHA256SUMS"
    ]
    (folder / "SHA256SUMS").write_text("".join(lines), encoding="utf-8")
    return folder


def rows(kind: Kind, count: int, seed: int = 4) -> list[dict[str, str]]:
    """Rows to answer, of words that are hard to place; some take several windows, some are cut."""
    chance = random.Random(seed)

    def text() -> str:
        return " ".join(chance.choices(WORDS, k=chance.choice((1, 4, 12, 60))))

    columns = {
        "sentence-pairs": ("text", "text_pair"),
        "question-answering": ("question", "context"),
        "feature-extraction": chance.choice([("text",), ("text", "text_pair")]),
    }.get(kind.task, ("text", "text_pair") if kind.decoding.get("pairs") else ("text",))
    return [{column: text() for column in columns} for _ in range(count)]


def _per_token(kind: Kind) -> bool:
    return kind.task in ("token-classification", "question-answering")


def _outputs(kind: Kind) -> tuple[str, ...]:
    if kind.task == "question-answering":
        return ("start_logits", "end_logits")
    return ("sentence_embedding",) if kind.task == "feature-extraction" else ("logits",)


def _tensor(name: str, dtype: str, per_token: bool = False) -> dict[str, Any]:
    return {"name": name, "dtype": dtype, "shape": [None, None], "per_token": per_token}


def _graph(kind: Kind, pieces: int) -> bytes:
    """An ONNX model: a row of a table for each token and type, and what the task makes of it."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    noise = np.random.default_rng(7)
    tables = {
        "pieces": noise.normal(size=(pieces, kind.values)).astype(np.float32),
        "types": noise.normal(size=(2, kind.values)).astype(np.float32),
        "first": np.asarray(0, np.int64),
        "second": np.asarray(1, np.int64),
    }
    nodes = [
        helper.make_node("Gather", ["pieces", "input_ids"], ["piece"]),
        helper.make_node("Gather", ["types", "token_type_ids"], ["type"]),
        helper.make_node("Add", ["piece", "type"], ["tokens"]),
    ]
    names = _outputs(kind)
    if kind.task == "question-answering":
        columns = zip(("first", "second"), names, strict=True)
        nodes += [helper.make_node("Gather", ["tokens", one], [name], axis=2) for one, name in columns]
    elif kind.task == "token-classification":
        nodes.append(helper.make_node("Identity", ["tokens"], [names[0]]))
    elif kind.task == "feature-extraction":
        nodes.append(helper.make_node("ReduceMean", ["tokens"], ["mean"], axes=[1], keepdims=0))
        nodes.append(helper.make_node("LpNormalization", ["mean"], [names[0]], axis=-1, p=2))
    else:
        nodes.append(helper.make_node("ReduceMean", ["tokens"], [names[0]], axes=[1], keepdims=0))
    shape = [1, "tokens", kind.values] if _per_token(kind) else [1, kind.values]
    shape = shape[:2] if kind.task == "question-answering" else shape
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info(name, TensorProto.INT64, [1, "tokens"]) for name in INPUTS],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in names],
        [numpy_helper.from_array(array, name) for name, array in tables.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())

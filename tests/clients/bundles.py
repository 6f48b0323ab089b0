"""Bundles in a blink: a graph of a few nodes with random weights in place of a trained model, of every task."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgebert import tokenizer_table
from tests import stress
from tests.device.test_bundle import reseal

WIDTH = 16
FILE = "onnx/model_quantized.onnx"
TAGS = ["B-person", "B-place", "I-person", "I-place", "I-thing", "O"]  # a thing has no B-
LABELS = {
    "text-classification": ["no", "pérhaps", "yes"],
    "sentence-pairs": ["same", "other"],
    "token-classification": TAGS,
}
DECODING: dict[str, dict[str, Any]] = {
    "text-classification": {"threshold": 0.4},
    "multi-label": {"multi_label": True, "thresholds": [0.3, 0.5, 0.7]},
    "sentence-pairs": {},
    "regression": {"pairs": False, "label_mean": 0.0, "label_scale": 1.0},
    "token-classification": {"doc_stride": 4, "well_formed": True},
    "question-answering": {"doc_stride": 6, "max_answer_tokens": 5, "n_best": 4, "null_threshold": 0.1},
    "feature-extraction": {"query_prefix": "query: ", "passage_prefix": ""},
}
KINDS = tuple(DECODING)
SETTINGS: list[tuple[str, dict[str, Any]]] = [  # every kind, and what changes its decoding
    *((kind, {}) for kind in KINDS),
    ("text-classification", {"threshold": None}),
    ("multi-label", {"thresholds": None}),
    ("regression", {"pairs": True}),
    ("token-classification", {"well_formed": False}),
    ("question-answering", {"null_threshold": None}),
    ("question-answering", {"null_threshold": -5.0, "n_best": 1}),
    ("question-answering", {"null_threshold": 50.0}),
]
ROWS: dict[str, list[dict[str, Any]]] = {
    "sentence-pairs": [{"text": "good day", "text_pair": "bad day"}],
    "token-classification": [{"tokens": ["the", "U.S.", "snake_case", "naïve"]}],
    "question-answering": [{"question": "what is good? " * 20, "context": "the day is good"}],
    "feature-extraction": [{"text_pair": "the good day"}, {"text": "day", "text_pair": "the good day"}],
}


def rows(kind: str, count: int, **decoding: Any) -> list[dict[str, Any]]:
    """Hard texts as rows to answer, some of them longer than a window."""
    kind = "sentence-pairs" if decoding.get("pairs") else kind
    texts = [text for text in stress.stress() if text.strip()][:: max(1, 300 // count)]
    texts.append("We met Ann-Marie O'Neil in snake_case (U.S.) on 3.5.\n" * 4)
    second = {"sentence-pairs": "text_pair", "question-answering": "context"}.get(kind)
    first = "question" if kind == "question-answering" else "text"
    if second is None:
        return [*({first: text} for text in texts), *ROWS.get(kind, [])]
    pairs = zip(texts, texts[1:] + texts[:1], strict=True)
    return [*({first: one, second: other} for one, other in pairs), *ROWS[kind]]


def write(folder: Path, kind: str, tokenizer: str = "uncased", **decoding: Any) -> Path:
    """A bundle of a task, or of text classification with several labels (`multi-label`), that Python opens too."""
    task = "text-classification" if kind == "multi-label" else kind
    labels = LABELS.get(task, [])
    (folder / FILE).parent.mkdir(parents=True)
    (folder / "tokenizer.json").write_text(stress.tokenizers()[tokenizer], encoding="utf-8")
    tokenizer_table.write(folder / "tokenizer.json", folder)
    pieces = (folder / "vocab.txt").read_text(encoding="utf-8").count("\n")
    outputs = _write_graph(folder / FILE, task, pieces, max(1, len(labels)))
    manifest = _manifest(task, labels, (folder / FILE).stat().st_size, outputs)
    manifest["decoding"] = {"max_tokens": 24, **DECODING[kind], **decoding}
    (folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    reseal(folder)
    return folder


def _manifest(task: str, labels: list[str], size: int, outputs: list[dict[str, Any]]) -> dict[str, Any]:
    inputs = [{"name": name, "dtype": "int64", "shape": [None, None]} for name in INPUTS]
    model: dict[str, Any] = {"id": "int8", "file": FILE, "format": "onnx", "precision": "int8", "bytes": size}
    model |= {"parameters": 1, "opset": 17, "ir_version": 8, "ops": {}, "int8_matmul_share": 0.0}
    model |= {"kept_float": [], "placement": {}, "scores": []}
    model["signature"] = {"inputs": inputs, "outputs": outputs}
    model["session"] = {"session.intra_op.allow_spinning": "0"}
    provenance = {
        "versions": {},
        "source": {},
        "data": {},
        "recipe": {},
        "seed": 0,
        "test_scored": 0,
        "built_at": "",
    }
    return {
        "schema": 1,
        "name": "blink",
        "task": task,
        "architecture": "bert",
        "labels": labels,
        "level": "host",
        "default_model": "int8",
        "target": {"name": "raspberry-pi-5", "runtime": "onnxruntime", "version": ">=1.17,<2"},
        "models": [model],
        "latency": [],
        "speedup": [],
        "peak_memory_mb": None,
        "out_of_scope": None,
        "checks": [],
        "tokenizer": {"table": "tokenizer.bin"},
        "provenance": provenance,
    }


INPUTS = ("input_ids", "attention_mask", "token_type_ids")


def _write_graph(path: Path, task: str, pieces: int, labels: int) -> list[dict[str, Any]]:
    """A graph that gives what a model of the task does, from embeddings of pieces and types; its outputs."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    draw = np.random.default_rng(3)
    tensors: list[Any] = []

    def weights(name: str, *shape: int) -> str:
        values: NDArray[np.float32] = draw.normal(size=shape).astype(np.float32)
        tensors.append(numpy_helper.from_array(values, name))
        return name

    def axes(name: str, *values: int) -> str:
        tensors.append(numpy_helper.from_array(np.asarray(values, np.int64), name))
        return name

    node = helper.make_node
    nodes = [
        node("Gather", [weights("words", pieces, WIDTH), "input_ids"], ["word"]),
        node("Gather", [weights("types", 2, WIDTH), "token_type_ids"], ["type"]),
        node("Add", ["word", "type"], ["tokens"]),
        node("Cast", ["attention_mask"], ["mask"], to=TensorProto.FLOAT),
        node("Unsqueeze", ["mask", axes("last", 2)], ["column"]),
        node("Mul", ["tokens", "column"], ["masked"]),
        node("ReduceMean", ["masked"], ["mean"], axes=[1], keepdims=0),
    ]
    shapes: dict[str, list[int | str]] = {"logits": [1, labels]}
    if task == "feature-extraction":
        nodes.append(node("LpNormalization", ["mean"], ["sentence_embedding"], axis=1))
        shapes = {"sentence_embedding": [1, WIDTH]}
    elif task == "token-classification":
        nodes.append(node("MatMul", ["masked", weights("head", WIDTH, labels)], ["logits"]))
        shapes = {"logits": [1, "tokens", labels]}
    elif task == "question-answering":
        for name in ("start_logits", "end_logits"):
            nodes.append(node("MatMul", ["masked", weights(f"{name}_head", WIDTH, 1)], [f"{name}_column"]))
            nodes.append(node("Squeeze", [f"{name}_column", "last"], [name]))
        shapes = {"start_logits": [1, "tokens"], "end_logits": [1, "tokens"]}
    else:
        nodes.append(node("MatMul", ["mean", weights("head", WIDTH, labels)], ["logits"]))
    inputs = [helper.make_tensor_value_info(name, TensorProto.INT64, [1, "tokens"]) for name in INPUTS]
    outputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items()]
    graph = helper.make_graph(nodes, "blink", inputs, outputs, tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, path)
    return [
        {"name": name, "dtype": "float32", "shape": [None] * len(shape), "per_token": "tokens" in shape}
        for name, shape in shapes.items()
    ]

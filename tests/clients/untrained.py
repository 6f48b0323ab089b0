"""Bundles of every task with an fp32 file of random weights: what a client must answer as Python does."""

from __future__ import annotations

import importlib
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edgebert import members
from edgebert.artifact import Artifact
from edgebert.data import Row
from edgebert.formats import ExportShape, onnx
from edgebert.stages import export
from edgebert.tasks import Task
from tests import toy
from tests.contracts.test_tasks import task_of
from tests.device.test_bundle import change_manifest

MOST = 24  # tokens, so that texts of a line or two take several windows
FOREIGN = [
    "😀 a bright 🏽day",
    "wet_puddle!? \u4e2d\u6587 caf\u00e9",
    "the [MASK] day... \U00020000 $3,50",
    "\u00a0sun\u3000",
    "\u2581 rain",
]


def fp32(name: str, bundle: Path, model: Path, out: Path) -> Path:
    """A copy of an ONNX bundle that answers a toy's task, by its name, with what `model` and a new head say."""
    import torch

    module = importlib.import_module(f"tests.toys.{name}")
    task: Task = members.find("tasks", task_of(name))
    rows = module.rows(60, 1)
    settings: dict[str, Any] = {"doc_stride": 4} if "doc_stride" in task.Settings.model_fields else {}
    decoding = task.decoding(task.Settings(**settings), rows)
    labels = task.labels(rows)
    torch.manual_seed(7)
    trained = out.parent / f"{name}-model"
    shutil.copytree(model, trained)
    task.model(model, labels, decoding).save_pretrained(trained)
    source = Artifact(
        form="torch",
        architecture="bert",
        task=task.NAME,
        labels=labels,
        decoding=decoding,
        max_tokens=MOST,
        folder=trained,
    )
    shape = ExportShape(batch=None, buckets=[], dtype="int64", opset=17, ir_version=8)
    made = export.run(
        source, task, members.find("architectures", "bert"), onnx, shape, out.parent / f"{name}-onnx"
    )
    assert made.signature is not None
    signature = made.signature.model_dump()
    shutil.copytree(bundle, out)
    shutil.copyfile(made.folder / made.file, out / "onnx" / "model_quantized.onnx")

    def change(manifest: dict[str, Any]) -> None:
        own = {"max_tokens": MOST, "buckets": [], "threshold": 0.4 if task.OUT_OF_SCOPE else None}
        if name == "question_answering":
            own["null_threshold"] = -0.2  # between the leads of "no answer" that such a model gives
        manifest.update(task=task.NAME, labels=labels, decoding={**decoding, **own})
        manifest["models"][0].update(signature=signature, precision="fp32")

    change_manifest(out, change)
    return out


def questions(name: str) -> list[Row]:
    """Rows to answer: plain, longer than the model reads, and of characters beyond the toy's."""
    module = importlib.import_module(f"tests.toys.{name}")
    task: Task = members.find("tasks", task_of(name))
    rows = [*module.rows(40, 5), module.overlong()]
    if name != "token_classification":
        columns = [column for column in task.COLUMNS if column in rows[0] and isinstance(rows[0][column], str)]
        rows += [{**rows[i], **dict.fromkeys(columns, text)} for i, text in enumerate(FOREIGN)]
    else:
        rows += [{"text": f"{text} {' '.join(toy.FILL)} {text}"} for text in FOREIGN]
    truths = {task.TRUTH, "id", "spans", "tags", "label", "answers"}
    if name == "feature_extraction":
        truths = {"id"}
    return [{key: value for key, value in row.items() if key not in truths} for row in rows]


def gap(one: Any, other: Any) -> float:
    """The largest difference of numbers in two answers that are alike otherwise; inf where they are not."""
    if isinstance(one, float) and isinstance(other, (int, float)):
        return abs(one - other)
    if isinstance(one, Mapping) and isinstance(other, Mapping) and one.keys() == other.keys():
        return max((gap(one[key], other[key]) for key in one), default=0.0)
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        return max((gap(*pair) for pair in zip(one, other, strict=True)), default=0.0)
    return 0.0 if one == other else float("inf")

"""finetune: a source model learns the task; the epoch that is best on dev is kept."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgebert import checkpoint
from edgebert.architectures import Architecture
from edgebert.artifact import Artifact
from edgebert.data import Splits
from edgebert.errors import InputError
from edgebert.learning.lessons import DevScore, Lesson
from edgebert.tasks import Decoding, Task
from edgebert.tokenization import Encoder
from edgebert.training import epochs

if TYPE_CHECKING:
    from edgebert.recipe import Finetune
    from edgebert.steps import Tell


def run(
    source: Artifact,
    task: Task,
    architecture: Architecture,
    splits: Splits,
    decoding: Decoding,
    settings: Finetune | None,
    seed: int,
    room: Path,
    out: Path,
    tell: Tell,
    max_tokens: int = 128,
) -> Artifact:
    """Write the trained model, its tokenizer and labels to `out`; without settings the source must be trained.

    `room` keeps what an interrupted training goes on from; a source that is trained reads at most `max_tokens`.
    """
    import transformers

    transformers.set_seed(seed)
    told: dict[str, Any] = {}
    if settings is None:
        model, labels = _already_trained(source, task, splits, decoding)
    else:
        labels, max_tokens = task.labels(splits.train.rows), settings.max_tokens
        model = task.model(source.folder, labels, decoding)
        lesson = Lesson(task, architecture, splits, labels, decoding)
        told = _train(model, source, lesson, settings, seed, room, out, tell)
    model.save_pretrained(out)
    source.copy_tokenizer(out)
    _limit_tokenizer(out, max_tokens)
    return source.model_copy(
        update={
            "task": task.NAME,
            "labels": labels,
            "decoding": decoding,
            "max_tokens": max_tokens,
            "parameters": sum(p.numel() for p in model.parameters()),
            "training": told,
            "folder": out,
        }
    ).write()


def _already_trained(source: Artifact, task: Task, splits: Splits, decoding: Decoding) -> tuple[Any, list[str]]:
    try:
        model, labels = checkpoint.read(source.folder, task, decoding)
    except InputError as error:
        fault = str(error).removeprefix(f"{source.folder}: ")
        raise InputError(f"the source {fault}, and the recipe has no [finetune]; add one") from None
    if not task.LABELLED:
        return model, labels
    if strange := task.unknown([*splits.dev.rows, *splits.test.rows], labels):
        raise InputError(f"the source does not know the data's labels {strange[:5]}; it knows {labels[:5]} ...")
    return model, labels


def _limit_tokenizer(out: Path, max_tokens: int) -> None:
    """Record the trained length: transformers and transformers.js cut there."""
    path = out / "tokenizer_config.json"
    config = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    config["model_max_length"] = max_tokens
    for name in ("max_length", "pad_to_multiple_of", "padding", "stride", "truncation_strategy"):
        config.pop(name, None)
    path.write_text(json.dumps(config, indent=1, sort_keys=True), encoding="utf-8")


def _train(
    model: Any, source: Artifact, lesson: Lesson, settings: Finetune, seed: int, room: Path, out: Path, tell: Tell
) -> dict[str, Any]:
    """Train in place; ends with the weights of the epoch that is best on dev. What the artifact tells of it."""
    from edgebert.training import loop

    splits, architecture = lesson.splits, lesson.architecture
    if settings.freeze_embeddings:
        for parameter in architecture.embeddings(model).parameters():
            parameter.requires_grad = False
    encoder = Encoder(source.folder, settings.max_tokens, architecture.INPUTS)
    outside = splits.outside["train"].rows if "train" in splits.outside else []
    taught = lesson.numbered([*splits.train.rows, *outside], encoder)

    def loss(model: Any, batch: dict[str, Any]) -> Any:
        targets = batch.pop("target")
        return lesson.task.loss(lesson.forward(model, batch), targets)

    material = loop.Material(
        lengths=[len(one.example["input_ids"]) for one in taught],
        collate=lambda numbers: lesson.collate([taught[i].example for i in numbers]),
        loss=loss,
        score=DevScore(lesson, encoder),
        name=lambda number: taught[number].name,
    )
    course = loop.Course(
        epochs=settings.epochs,
        batch=settings.batch,
        learning_rate=settings.learning_rate,
        head_learning_rate=settings.head_learning_rate or 10 * settings.learning_rate,
        seed=seed,
        precision=settings.precision,
    )
    history = {seed: loop.train(model, material, course, architecture.HEAD, room, tell)}
    epochs.write(out, history)
    return epochs.summary(history, seed)

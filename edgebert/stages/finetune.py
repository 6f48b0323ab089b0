"""finetune: a source model learns the task; the epoch that is best on dev is kept."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edgebert import checkpoint, scoring
from edgebert.architectures import Architecture
from edgebert.artifact import Artifact
from edgebert.data import Row, Splits
from edgebert.errors import InputError
from edgebert.tasks import Decoding, Example, Task
from edgebert.tokenization import Encoder

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
    out: Path,
    tell: Tell,
) -> Artifact:
    """Write the trained model, its tokenizer and labels to `out`; without settings the source must be trained."""
    import transformers

    transformers.set_seed(seed)
    if settings is None:
        model, labels, max_tokens = _already_trained(source, task, splits, decoding)
    else:
        labels, max_tokens = task.labels(splits.train.rows), settings.max_tokens
        model = task.model(source.folder, labels, decoding)
        lesson = Lesson(task, architecture, splits, labels, decoding)
        _train(model, source, lesson, settings, seed, tell)
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
            "folder": out,
        }
    ).write()


def _already_trained(
    source: Artifact, task: Task, splits: Splits, decoding: Decoding
) -> tuple[Any, list[str], int]:
    try:
        model, labels = checkpoint.read(source.folder, task, decoding)
    except InputError as error:
        fault = str(error).removeprefix(f"{source.folder}: ")
        raise InputError(f"the source {fault}, and the recipe has no [finetune]; add one") from None
    if not task.LABELLED:
        return model, labels, min(128, model.config.max_position_embeddings)
    if strange := task.unknown([*splits.dev.rows, *splits.test.rows], labels):
        raise InputError(f"the source does not know the data's labels {strange[:5]}; it knows {labels[:5]} ...")
    return model, labels, min(128, model.config.max_position_embeddings)


def _limit_tokenizer(out: Path, max_tokens: int) -> None:
    """Record the trained length: transformers and transformers.js cut there."""
    path = out / "tokenizer_config.json"
    config = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    config["model_max_length"] = max_tokens
    for name in ("max_length", "pad_to_multiple_of", "padding", "stride", "truncation_strategy"):
        config.pop(name, None)
    path.write_text(json.dumps(config, indent=1, sort_keys=True), encoding="utf-8")


@dataclass(frozen=True)
class Lesson:
    """What is learned: a task's rows, by the labels they have."""

    task: Task
    architecture: Architecture
    splits: Splits
    labels: list[str]
    decoding: Decoding

    def examples(self, rows: Sequence[Row], encoder: Encoder) -> list[Example]:
        """What is trained on."""
        return [one for row in rows for one in self.task.examples(row, encoder, self.labels, self.decoding)]

    def collate(self, examples: Sequence[Example]) -> dict[str, Any]:
        """A batch padded with zeros to its longest example: int64 [batch, tokens], and what the task makes of
        targets."""
        import torch

        length = max(len(one["input_ids"]) for one in examples)
        batch: dict[str, Any] = {
            name: torch.tensor([one[name] + [0] * (length - len(one[name])) for one in examples])
            for name in examples[0]
            if name != "target"
        }
        return {**batch, "target": self.task.collate([one["target"] for one in examples], length)}


def _train(model: Any, source: Artifact, lesson: Lesson, settings: Finetune, seed: int, tell: Tell) -> None:
    """Train in place with transformers' Trainer; ends with the weights of the epoch that is best on dev."""
    import tempfile

    import torch
    from transformers import Trainer, TrainerCallback, TrainingArguments

    splits, architecture = lesson.splits, lesson.architecture
    if settings.freeze_embeddings:
        for parameter in architecture.embeddings(model).parameters():
            parameter.requires_grad = False
    encoder = Encoder(source.folder, settings.max_tokens, architecture.INPUTS)
    outside = splits.outside["train"].rows if "train" in splits.outside else []
    train = lesson.examples([*splits.train.rows, *outside], encoder)
    dev_score = DevScore(lesson, encoder)

    class OfTask(Trainer):  # type: ignore[misc]
        """The task's own loss."""

        def compute_loss(self, model: Any, inputs: Any, return_outputs: bool = False, **_: Any) -> Any:
            target = inputs.pop("target")
            outputs = lesson.task.forward(model, inputs, inputs["attention_mask"].float(), architecture)
            loss = lesson.task.loss(outputs, target)
            return (loss, outputs) if return_outputs else loss

    class KeepBest(TrainerCallback):  # type: ignore[misc]
        """The weights of the best epoch on dev, and the step's progress."""

        best: tuple[float, float] = (-1.0, -math.inf)
        weights: dict[str, Any] | None = None

        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            tell(state.global_step, state.max_steps)

        def on_epoch_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            result = dev_score(model)
            if result > self.best:
                self.best = result
                self.weights = {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}

    keep_best = KeepBest()
    with tempfile.TemporaryDirectory() as room:
        arguments = TrainingArguments(
            output_dir=room,
            num_train_epochs=settings.epochs,
            per_device_train_batch_size=settings.batch,
            learning_rate=settings.learning_rate,
            lr_scheduler_type="linear",
            warmup_steps=0.1,
            seed=seed,
            data_seed=seed,
            train_sampling_strategy="group_by_length",
            save_strategy="no",
            eval_strategy="no",
            logging_strategy="no",
            report_to=[],
            disable_tqdm=True,
            dataloader_pin_memory=False,
            remove_unused_columns=False,
        )
        trainer = OfTask(
            model=model,
            args=arguments,
            train_dataset=train,
            data_collator=lesson.collate,
            callbacks=[keep_best],
            optimizers=(_optimizer(model, architecture.HEAD, settings), None),
        )
        trainer.train()
    if keep_best.weights is None or not all(torch.isfinite(w).all() for w in keep_best.weights.values()):
        raise InputError(
            f"training diverged (NaN) at finetune.learning_rate = {settings.learning_rate}; try a lower one"
        )
    model.load_state_dict(keep_best.weights)
    model.to("cpu").eval()


def _optimizer(model: Any, head: tuple[str, ...], settings: Finetune) -> Any:
    """AdamW whose head learns faster, ten times by default: it starts from nothing, the body does not."""
    import torch

    parts: dict[bool, list[Any]] = {True: [], False: []}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            parts[any(part in name for part in head)].append(parameter)
    head_rate = settings.head_learning_rate or 10 * settings.learning_rate
    groups = [
        {"params": parts[False], "lr": settings.learning_rate},
        {"params": parts[True], "lr": head_rate},
    ]
    return torch.optim.AdamW(groups, weight_decay=0.01, fused=True)


class DevScore:
    """(quality, minus mean loss) of a model on the dev split: the loss decides between epochs of equal quality."""

    def __init__(self, lesson: Lesson, encoder: Encoder) -> None:
        self.lesson = lesson
        self.rows = lesson.splits.dev.rows
        self.asked = scoring.questions(lesson.task, encoder, self.rows, lesson.decoding)
        self.decode = scoring.decoder(lesson.task.NAME, lesson.labels, lesson.decoding)
        self.examples = sorted(lesson.examples(self.rows, encoder), key=lambda one: len(one["input_ids"]))

    def __call__(self, model: Any) -> tuple[float, float]:
        """Score the model as it is; it is left in training mode."""
        task, architecture = self.lesson.task, self.lesson.architecture
        model.eval()
        answers = scoring.teacher_answers(model, task, architecture, self.asked, self.decode, lambda: None)
        found = (task.quality(self.rows, answers), -self._loss(model))
        model.train()
        return found

    def _loss(self, model: Any) -> float:
        import torch

        task, total = self.lesson.task, 0.0
        with torch.inference_mode():
            for chunk in np.array_split(np.arange(len(self.examples)), math.ceil(len(self.examples) / 64)):
                batch = self.lesson.collate([self.examples[i] for i in chunk])
                batch = {name: tensor.to(model.device) for name, tensor in batch.items()}
                target = batch.pop("target")
                mask = batch["attention_mask"].float()
                outputs = task.forward(model, batch, mask, self.lesson.architecture)
                total += float(task.loss(outputs, target)) * len(chunk)
        return total / len(self.examples)

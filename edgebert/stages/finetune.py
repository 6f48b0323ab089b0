"""finetune: a source model learns the task; the epoch that is best on dev is kept."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edgebert import checkpoint
from edgebert.architectures import Architecture
from edgebert.artifact import Artifact
from edgebert.data import Row, Splits
from edgebert.errors import InputError
from edgebert.tasks import Task
from edgebert.tokenization import Encoder

if TYPE_CHECKING:
    from edgebert.recipe import Finetune
    from edgebert.steps import Tell

OUTLIER_WEIGHT = 0.5  # of the out-of-scope rows' loss; Hendrycks et al. 2019, "Outlier Exposure", section 4


def run(
    source: Artifact,
    task: Task,
    architecture: Architecture,
    splits: Splits,
    settings: Finetune | None,
    seed: int,
    out: Path,
    tell: Tell,
) -> Artifact:
    """Write the trained model, its tokenizer and labels to `out`; without settings the source must be trained."""
    import transformers

    transformers.set_seed(seed)
    if settings is None:
        model, labels, max_tokens = _already_trained(source, task, splits)
    else:
        labels, max_tokens = task.labels(splits.train.rows), settings.max_tokens
        model = task.model(source.folder, labels)
        _train(model, source, task, architecture, splits, labels, settings, seed, tell)
    model.save_pretrained(out)
    source.copy_tokenizer(out)
    _limit_tokenizer(out, max_tokens)
    return source.model_copy(
        update={
            "task": task.NAME,
            "labels": labels,
            "max_tokens": max_tokens,
            "parameters": sum(p.numel() for p in model.parameters()),
            "folder": out,
        }
    ).write()


def _already_trained(source: Artifact, task: Task, splits: Splits) -> tuple[Any, list[str], int]:
    try:
        model, labels = checkpoint.read(source.folder, task)
    except InputError as error:
        fault = str(error).removeprefix(f"{source.folder}: ")
        raise InputError(f"the source {fault}, and the recipe has no [finetune]; add one") from None
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


def _train(
    model: Any,
    source: Artifact,
    task: Task,
    architecture: Architecture,
    splits: Splits,
    labels: list[str],
    settings: Finetune,
    seed: int,
    tell: Tell,
) -> None:
    """Train in place with transformers' Trainer; ends with the weights of the epoch that is best on dev."""
    import tempfile

    import torch
    from transformers import Trainer, TrainerCallback, TrainingArguments

    if settings.freeze_embeddings:
        for parameter in architecture.embeddings(model).parameters():
            parameter.requires_grad = False
    encoder = Encoder(source.folder, settings.max_tokens, architecture.INPUTS)
    outside = splits.outside["train"].rows if "train" in splits.outside else []
    train = _examples(encoder, task, splits.train.rows, task.targets(splits.train.rows, labels))
    train += _examples(encoder, task, outside, [-1] * len(outside))
    dev = _examples(encoder, task, splits.dev.rows, task.targets(splits.dev.rows, labels))

    class WithOutliers(Trainer):  # type: ignore[misc]
        """Cross-entropy on rows in scope, and a flat distribution asked for on rows out of scope."""

        def compute_loss(self, model: Any, inputs: Any, return_outputs: bool = False, **_: Any) -> Any:
            targets = inputs.pop("labels")
            outputs = model(**inputs)
            log_shares = torch.log_softmax(outputs.logits, dim=-1)
            inside = targets >= 0
            picked = log_shares.gather(1, targets.clamp(min=0)[:, None])[:, 0]
            loss = -(picked * inside).sum() / inside.sum().clamp(min=1)
            if not inside.all():
                loss = loss - OUTLIER_WEIGHT * (log_shares.mean(-1) * ~inside).sum() / (~inside).sum()
            return (loss, outputs) if return_outputs else loss

    class KeepBest(TrainerCallback):  # type: ignore[misc]
        """The weights of the best epoch on dev, and the step's progress."""

        best: tuple[float, float] = (-1.0, -math.inf)
        weights: dict[str, Any] | None = None

        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            tell(state.global_step, state.max_steps)

        def on_epoch_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            result = _dev_score(model, dev)
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
        trainer = WithOutliers(
            model=model,
            args=arguments,
            train_dataset=train,
            data_collator=collate,
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


def _examples(encoder: Encoder, task: Task, rows: Sequence[Row], targets: Sequence[int]) -> list[dict[str, Any]]:
    """Token ids of each row as lists, with its class number (-1: out of scope) under `labels`."""
    examples = []
    for row, number in zip(rows, targets, strict=True):
        feeds = encoder.encode(*task.texts(row)).feeds
        examples.append({name: array[0].tolist() for name, array in feeds.items()} | {"labels": number})
    return examples


def collate(examples: list[dict[str, Any]]) -> dict[str, Any]:
    """A batch padded with zeros to its longest example: int64 [batch, tokens], labels int64 [batch]."""
    import torch

    length = max(len(example["input_ids"]) for example in examples)
    batch = {}
    for name in examples[0]:
        values = [example[name] for example in examples]
        if name == "labels":
            batch[name] = torch.tensor(values)
        else:
            batch[name] = torch.tensor([ids + [0] * (length - len(ids)) for ids in values])
    return batch


def _dev_score(model: Any, dev: list[dict[str, Any]]) -> tuple[float, float]:
    """(accuracy, minus mean loss) on dev: the loss decides between epochs of equal accuracy."""
    import torch

    model.eval()
    hits, loss = 0, 0.0
    order = sorted(range(len(dev)), key=lambda i: len(dev[i]["input_ids"]))
    with torch.inference_mode():
        for chunk in np.array_split(order, math.ceil(len(order) / 64)):
            batch = collate([dev[i] for i in chunk])
            targets = batch.pop("labels").to(model.device)
            logits = model(**{name: ids.to(model.device) for name, ids in batch.items()}).logits
            hits += int((logits.argmax(-1) == targets).sum())
            loss += float(torch.nn.functional.cross_entropy(logits, targets, reduction="sum"))
    model.train()
    return hits / len(dev), -loss / len(dev)

"""One training loop, transformers' Trainer on accelerate, for whatever learns from examples.

Batches are of like length, the epoch that is best on dev is kept, and an interrupted run goes on from its last
epoch. This module imports torch: import it where something is trained.
"""

from __future__ import annotations

import contextlib
import json
import math
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from transformers import Trainer, TrainerCallback, TrainingArguments, set_seed

from edgebert.errors import InputError
from edgebert.training import epochs, processes
from edgebert.training.batches import LengthBatches
from edgebert.training.epochs import Epoch, best
from edgebert.training.precision import Precision, in_bf16

Batch = dict[str, Any]
STATE = "trainer_state.json"
SHOWN = 10  # rows of a batch that a message names


@dataclass(frozen=True)
class Course:
    """How long and how fast a model learns; `batch` counts examples over all processes.

    `precision` is that of the computing: weights and optimizer stay fp32.
    """

    epochs: int
    batch: int
    learning_rate: float
    head_learning_rate: float
    seed: int
    precision: Precision = "auto"


@dataclass(frozen=True)
class Material:
    """What a model learns from.

    `lengths` are the tokens of each example; `collate` makes a batch of examples by their numbers; `loss` takes
    model and batch and gives a scalar tensor; `score` gives (quality, minus loss) on dev and leaves the model in
    training mode; `name` is what a message calls an example.
    """

    lengths: Sequence[int]
    collate: Callable[[Sequence[int]], Batch]
    loss: Callable[[Any, Batch], Any]
    score: Callable[[Any], tuple[float, float]]
    name: Callable[[int], str]


def train(
    model: Any,
    material: Material,
    course: Course,
    head: Sequence[str],
    room: Path,
    tell: Callable[[int, int], None],
) -> list[Epoch]:
    """Train in place; ends with the weights of the best epoch, on the CPU. The epochs, in order.

    `head` are parts of names of parameters that learn at the head's rate. `room` keeps a checkpoint of the last
    epoch: called again with the same arguments, training goes on from there, and it stays when training fails.
    Raises InputError where the loss is no longer a number; it names the batch.
    """
    set_seed(course.seed)
    room.mkdir(parents=True, exist_ok=True)
    last = _last_checkpoint(room)
    arguments = _arguments(course, room)
    batches = LengthBatches(
        material.lengths, course.batch, course.seed, arguments.process_index, arguments.world_size
    )
    keeper = _Keeper(model, material, batches, room, last, tell, writes=arguments.process_index == 0)
    trainer = _Trainer(
        model=_Learner(model, material.loss),
        args=arguments,
        callbacks=[keeper],
        optimizers=(_optimizer(model, head, course), None),
    )
    trainer.give(material, batches, keeper)
    trainer.train(resume_from_checkpoint=str(last) if last else None)
    processes.meet()  # the first has written what all read
    found = epochs.read(room)
    model.load_state_dict(load_file(_best_file(room, found)), strict=False)  # a tied weight is there once
    model.to("cpu").eval()
    processes.meet()  # and may remove it once all have
    return found


class _Learner(torch.nn.Module):  # type: ignore[misc]
    """The model with its loss: what a process of several runs forward as one."""

    def __init__(self, model: Any, loss: Callable[[Any, Batch], Any]) -> None:
        super().__init__()
        self.model, self._loss = model, loss

    def forward(self, batch: Batch) -> Any:
        """The loss of a batch, a scalar tensor."""
        return self._loss(self.model, batch)

    def state_dict(self, *_: Any, **__: Any) -> dict[str, Any]:
        """The model's weights, a tied one once: safetensors holds no tensor twice."""
        found: dict[int, str] = {}
        weights = self.model.state_dict()
        for name, tensor in weights.items():
            found.setdefault(tensor.data_ptr(), name)
        return {name: weights[name].contiguous() for name in found.values()}

    def load_state_dict(self, state: Any, *_: Any, **__: Any) -> Any:
        """Put weights back; a tied one follows the one that is there."""
        self.model.load_state_dict(state, strict=False)
        return torch.nn.modules.module._IncompatibleKeys([], [])


class _Trainer(Trainer):  # type: ignore[misc]
    """The Trainer over batches of like length, which stops where the loss is no number."""

    def give(self, material: Material, batches: LengthBatches, keeper: _Keeper) -> None:
        """What it trains on."""
        self._material, self._batches, self._keeper = material, batches, keeper

    def get_train_dataloader(self) -> Any:
        """Batches with the numbers of their examples under `numbers`."""
        collate = self._material.collate
        return torch.utils.data.DataLoader(
            range(len(self._material.lengths)),
            batch_sampler=self._batches,
            collate_fn=lambda numbers: {**collate(numbers), "numbers": numbers},
        )

    def compute_loss(self, model: Any, inputs: Any, return_outputs: bool = False, **_: Any) -> Any:
        """The loss of a batch. Raises InputError where it is NaN or infinite."""
        numbers = inputs.pop("numbers")
        loss = model(inputs)
        if not torch.isfinite(loss):
            raise InputError(self._diverged(float(loss.detach()), numbers))
        self._keeper.see(loss)
        return (loss, None) if return_outputs else loss

    def _diverged(self, loss: float, numbers: list[int]) -> str:
        names = [self._material.name(number) for number in sorted(numbers)]
        listed = ", ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")
        kept = self._keeper.kept()
        step = f"step {self.state.global_step + 1} of {self.state.max_steps}"
        return (
            f"training diverged: the loss is {loss} at {step}, in the batch of {listed}; {kept}lower the learning "
            "rate, or look at these rows"
        )


class _Keeper(TrainerCallback):  # type: ignore[misc]
    """Scores each epoch on dev, keeps the best one's weights, and tells of progress."""

    def __init__(
        self,
        model: Any,
        material: Material,
        batches: LengthBatches,
        room: Path,
        last: Path | None,
        tell: Callable[[int, int], None],
        writes: bool,
    ) -> None:
        self._model, self._material, self._batches, self._room, self._tell = model, material, batches, room, tell
        self._writes = writes
        done = _step(last) if last else 0
        self.epochs = [epoch for epoch in epochs.read(room) if epoch.step <= done]
        self._losses: list[Any] = []

    def see(self, loss: Any) -> None:
        """Note the loss of a batch."""
        self._losses.append(loss.detach())

    def on_epoch_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Another order of batches."""
        self._batches.epoch = round(state.epoch or 0)
        self._losses = []

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Progress."""
        self._tell(state.global_step, state.max_steps)

    def on_epoch_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """The score on dev; the best weights so far are written before the checkpoint that counts them."""
        loss = _mean(self._losses)
        if not self._writes:
            return
        quality, minus_loss = self._material.score(self._model)
        self.epochs.append(Epoch(state.global_step, quality, -minus_loss, loss))
        if best(self.epochs) is self.epochs[-1]:
            weights = {name: tensor.cpu() for name, tensor in _Learner(self._model, _no_loss).state_dict().items()}
            draft = self._room / "best.draft"
            save_file(weights, draft)
            draft.replace(self._room / f"best-{state.global_step}.safetensors")
        epochs.keep(self._room, self.epochs)

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """The checkpoint is there: weights that were best before are not needed any more."""
        for path in self._room.glob("best-*.safetensors") if self._writes else ():
            if path != self._room / f"best-{best(self.epochs).step}.safetensors":
                path.unlink()

    def kept(self) -> str:
        """Where the last good checkpoint is, as the beginning of a clause."""
        last = _last_checkpoint(self._room)
        return f"the last good checkpoint is kept in {last}; " if last else ""


def _best_file(room: Path, found: Sequence[Epoch]) -> Path:
    """The weights of the best epoch. Raises InputError where no epoch's were of any use."""
    if not math.isfinite(best(found).dev_loss):
        raise InputError("training diverged: the loss on dev is not a number; lower the learning rate")
    return room / f"best-{best(found).step}.safetensors"


def _mean(losses: Sequence[Any]) -> float:
    """The mean of the losses of an epoch's batches, over all processes."""
    found = torch.stack(list(losses)).mean()
    if torch.distributed.is_initialized():
        torch.distributed.all_reduce(found)
        found /= torch.distributed.get_world_size()
    return float(found)


def _no_loss(model: Any, batch: Batch) -> Any:
    raise AssertionError


def _step(checkpoint: Path) -> int:
    return int(checkpoint.name.rpartition("-")[2])


def _last_checkpoint(room: Path) -> Path | None:
    """The newest checkpoint that is whole: its state is written last. Others are removed."""
    for path in sorted(room.glob("checkpoint-*"), key=_step, reverse=True):
        with contextlib.suppress(OSError, ValueError, KeyError):
            if json.loads((path / STATE).read_text(encoding="utf-8"))["global_step"] == _step(path):
                return path
        shutil.rmtree(path, ignore_errors=True)
    return None


def _arguments(course: Course, room: Path) -> Any:
    on_cpu = processes.on_cpu()
    return TrainingArguments(
        output_dir=str(room),
        num_train_epochs=course.epochs,
        per_device_train_batch_size=max(1, course.batch // processes.count()),
        learning_rate=course.learning_rate,
        lr_scheduler_type="linear",
        warmup_steps=0.1,
        seed=course.seed,
        bf16=in_bf16(course.precision, on_cpu),
        use_cpu=on_cpu,
        save_strategy="epoch",
        save_total_limit=1,
        eval_strategy="no",
        logging_strategy="no",
        logging_nan_inf_filter=False,
        report_to=[],
        disable_tqdm=True,
        dataloader_pin_memory=False,
        ddp_timeout=4 * 3600,  # the others wait while the first scores the dev split
        remove_unused_columns=False,
    )


def _optimizer(model: Any, head: Sequence[str], course: Course) -> Any:
    """AdamW whose head learns at a rate of its own: it may start from nothing, the body does not."""
    parts: dict[bool, list[Any]] = {True: [], False: []}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            parts[any(part in name for part in head)].append(parameter)
    groups = [
        {"params": parts[False], "lr": course.learning_rate},
        {"params": parts[True], "lr": course.head_learning_rate},
    ]
    return torch.optim.AdamW(groups, weight_decay=0.01, fused=True)

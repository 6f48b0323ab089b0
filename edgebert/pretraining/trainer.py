"""The training loop: transformers' Trainer on accelerate, in one process or many, with `objective`'s losses."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from accelerate.utils import set_seed
from safetensors.torch import load_file
from transformers import Trainer, TrainerCallback

from edgebert.errors import InputError
from edgebert.pretraining import checkpoints
from edgebert.pretraining.examples import HeldOut, collate
from edgebert.pretraining.masking import NOT_ASKED
from edgebert.sources import WEIGHTS

HELD_OUT_AT_ONCE = 32
_MEAN_OVER = {"masked": 0, "soft": 1, "cosine": 1, "pair": 2}  # the counts of a step that a loss is divided by


class PretrainingTrainer(Trainer):  # type: ignore[misc]  # transformers is not read by mypy here
    """Trainer whose step is judged over the batch of all processes, and whose checkpoints are model folders.

    `weights` holds what each loss of the objective counts for, `batch` how many examples a step has in all.
    """

    loss_is_scaled_for_ga = True  # compute_loss divides by the whole step's counts

    def __init__(self, weights: dict[str, float], held_out: HeldOut, batch: int, **arguments: Any) -> None:
        self._collate = functools.partial(collate, pad=held_out.pieces.pad)
        super().__init__(data_collator=self._collate, **arguments)
        self._weights, self._held_out, self._batch = weights, held_out, batch

    def get_batch_samples(self, epoch_iterator: Any, num_batches: int, device: Any) -> tuple[list[Any], Any]:
        """A step's batches of this process, and how many masked pieces, pieces and pairs the step asks in all."""
        batches = [next(epoch_iterator) for _ in range(num_batches)]
        own = [
            sum(int(one["labels"].ne(NOT_ASKED).sum()) for one in batches),
            sum(int(one["attention_mask"].sum()) for one in batches),
            sum(int(one["sentence"].ne(NOT_ASKED).sum()) for one in batches),
        ]
        counts = self.accelerator.reduce(torch.tensor(own, dtype=torch.int64, device=device), "sum")
        return batches, counts.clamp(min=1)  # what nothing asks for sums up to 0

    def compute_loss(
        self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """This process's part of the step's loss, times their number, as gradients are averaged over processes."""
        sums = model(**inputs)
        assert num_items_in_batch is not None
        parts = [w * sums[name] / num_items_in_batch[_MEAN_OVER[name]] for name, w in self._weights.items() if w]
        loss = torch.stack(parts).sum() * self.accelerator.num_processes
        return (loss, sums) if return_outputs else loss

    def training_step(self, model: Any, inputs: Any, num_items_in_batch: Any = None) -> torch.Tensor:
        """One pass; raises InputError in every process where the loss of any of them is not a number."""
        loss: torch.Tensor = super().training_step(model, inputs, num_items_in_batch)
        if not bool(torch.isfinite(self.accelerator.gather(loss.reshape(1))).all()):
            self._stop("the loss is not a number (NaN or infinite)", self.state.global_step + 1)
        return loss

    def evaluate(self, *_: Any, **__: Any) -> dict[str, float]:
        """Perplexity of the masked pieces and right answers to the pairs, over all held-out rows."""
        names = [
            name for name in ("masked", "masked_hits", "pair", "pair_hits") if name.split("_")[0] in self._weights
        ]
        totals = torch.zeros(len(names) + 2, dtype=torch.float64, device=self.args.device)
        self.model.eval()
        mine = range(self.args.process_index, len(self._held_out), self.args.world_size)
        with torch.no_grad(), self.compute_loss_context_manager():
            for start in range(0, len(mine), HELD_OUT_AT_ONCE):
                rows = [self._held_out[row] for row in mine[start : start + HELD_OUT_AT_ONCE]]
                batch = self._prepare_inputs(self._collate(rows))
                sums = self.model(**batch)
                asked = [batch[name].ne(NOT_ASKED).sum() for name in ("labels", "sentence")]
                totals += torch.stack([torch.as_tensor(v).double() for v in (*(sums[n] for n in names), *asked)])
        self.model.train()
        found = dict(zip([*names, "asked", "pairs"], self.accelerator.reduce(totals, "sum").tolist(), strict=True))
        metrics = {
            "perplexity": math.exp(min(found["masked"] / found["asked"], 700.0)),
            "masked_accuracy": found["masked_hits"] / found["asked"],
        }
        if "pair_hits" in found:
            metrics |= {"pair_hits": found["pair_hits"], "pair_loss": found["pair"] / found["pairs"]}
        if not all(math.isfinite(value) for value in metrics.values()):
            self._stop("the held-out loss is not a number", self.state.global_step)
        self.log(metrics)
        self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        if not all(torch.isfinite(one).all() for one in self.model.parameters()):
            self._stop("a weight is not a number (NaN or infinite)", self.state.global_step)
        super()._save_checkpoint(model, trial)

    def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
        if self.args.should_save:
            self.model.model.save_pretrained(output_dir)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        inner = self.model.model
        found = inner.load_state_dict(load_file(Path(resume_from_checkpoint) / WEIGHTS), strict=False)
        assert not found.unexpected_keys
        assert set(found.missing_keys) <= set(inner.all_tied_weights_keys), found.missing_keys

    def _stop(self, why: str, step: int) -> None:
        """Raise InputError that names the step, its examples and the checkpoint that is kept."""
        first = (step - 1) * self._batch
        kept = checkpoints.newest(Path(self.args.output_dir))
        raise InputError(
            f"training stopped at step {step} (examples {first} to {first + self._batch - 1}): {why} at "
            f"train.learning_rate = {self.args.learning_rate}; "
            + (f"the last good checkpoint is kept: {kept}; " if kept else "")
            + "take a lower rate, or a longer warm-up, and start over with --fresh"
        )


class Course(TrainerCallback):  # type: ignore[misc]
    """When to measure, what to log with it, and the seal of a checkpoint that all processes have written."""

    def __init__(
        self, trainer: PretrainingTrainer, first: int, every: int, tell: Callable[[int, int], None]
    ) -> None:
        self._trainer, self._first, self._every, self._tell = trainer, first, every, tell

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Measure before the first step, too; from here on each process draws dropout of its own."""
        set_seed(args.seed, device_specific=True)
        if state.global_step == 0:
            self._trainer.evaluate()

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """A point of the curve ends with each checkpoint, so that a run that goes on from it draws the same."""
        step = state.global_step
        control.should_evaluate = step in (self._first, state.max_steps) or step % self._every == 0
        control.should_log = control.should_log or control.should_save or control.should_evaluate
        self._tell(step, state.max_steps)

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Seal the checkpoint, once every process has written its random state."""
        self._trainer.accelerator.wait_for_everyone()
        if state.is_world_process_zero:
            checkpoints.seal(Path(args.output_dir) / f"checkpoint-{state.global_step}")

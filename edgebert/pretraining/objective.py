"""What a step is judged by, as sums: masked pieces, pairs of segments, and the teacher's answers.

Sums, because only they add up over processes and parts of a batch; means are taken over the whole step at the end.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

import torch
from torch.nn import functional

from edgebert.pretraining.masking import NOT_ASKED

Sums = dict[str, Any]


class Objective(torch.nn.Module):  # type: ignore[misc]  # torch is not read by mypy here
    """A model with the losses it learns by; a teacher stays outside, so that nothing of it is trained or saved."""

    def __init__(self, model: Any, architecture: ModuleType, pair: bool) -> None:
        super().__init__()
        self.model = model
        self._architecture = architecture
        self._pair = pair
        self._teacher: tuple[Any, ModuleType] | None = None
        self._temperature = 1.0

    def taught_by(self, teacher: Any, architecture: ModuleType, temperature: float) -> Objective:
        """Ask for the soft targets and the last hidden states of `teacher` too."""
        teacher.eval().requires_grad_(False)
        object.__setattr__(self, "_teacher", (teacher, architecture))  # torch would make it a part of this module
        self._temperature = temperature
        return self

    def forward(self, **batch: torch.Tensor) -> Sums:
        """Sums over a batch of `examples.collate`, scalars by name.

        masked: loss over the masked pieces, and masked_hits. pair: loss over the pairs, and pair_hits. soft and
        cosine: over all pieces that are not padding.
        """
        labels, attended = batch["labels"], batch["attention_mask"].bool()
        encoded = _encode(self.model, self._architecture, batch)
        hidden = encoded.last_hidden_state
        asked = labels != NOT_ASKED
        if self._teacher is None:
            logits = self._architecture.masked_lm_head(self.model, hidden[asked])
            sums = _answers("masked", logits, labels[asked])
        else:
            all_logits = self._architecture.masked_lm_head(self.model, hidden[attended])
            sums = _answers("masked", all_logits[asked[attended]], labels[asked])
            sums |= self._lesson(batch, all_logits, hidden[attended])
        if self._pair:
            head = self.model.get_submodule(self._architecture.PAIR_HEAD)
            paired = batch["sentence"] != NOT_ASKED
            sums |= _answers("pair", head(encoded.pooler_output[paired]), batch["sentence"][paired])
        return sums

    def _lesson(self, batch: dict[str, torch.Tensor], logits: torch.Tensor, hidden: torch.Tensor) -> Sums:
        assert self._teacher is not None
        teacher, architecture = self._teacher
        attended = batch["attention_mask"].bool()
        with torch.no_grad():
            teacher.to(hidden.device)
            theirs = _encode(teacher, architecture, batch).last_hidden_state[attended]
            wanted = architecture.masked_lm_head(teacher, theirs)
        return {
            "soft": soft_targets(logits, wanted, self._temperature),
            "cosine": (1 - functional.cosine_similarity(hidden.float(), theirs.float(), dim=-1)).sum(),
        }


def soft_targets(logits: torch.Tensor, wanted: torch.Tensor, temperature: float) -> torch.Tensor:
    """Sum of the Kullback-Leibler divergences of softened distributions [pieces, vocabulary], times T squared.

    Hinton et al. 2015, section 2: the square keeps gradients at one size whatever the temperature.
    """
    ours = functional.log_softmax(logits.float() / temperature, dim=-1)
    theirs = functional.log_softmax(wanted.float() / temperature, dim=-1)
    return functional.kl_div(ours, theirs, reduction="sum", log_target=True) * temperature**2


def _answers(name: str, logits: torch.Tensor, wanted: torch.Tensor) -> Sums:
    """Cross-entropy and right answers, summed."""
    loss = functional.cross_entropy(logits.float(), wanted, reduction="sum")
    return {name: loss, f"{name}_hits": (logits.detach().argmax(-1) == wanted).sum()}


def _encode(model: Any, architecture: ModuleType, batch: dict[str, torch.Tensor]) -> Any:
    return model.base_model(**{name: batch[name] for name in architecture.INPUTS})

"""teach: a teacher's outputs for everything its student will read, computed once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from edgebert.artifact import Artifact
from edgebert.learning import inner_states
from edgebert.learning.inner_states import HIDDEN, KEY, QUERY, VALUE
from edgebert.learning.lessons import padded
from edgebert.learning.syllabus import Syllabus
from edgebert.tokenization import Encoder
from edgebert.training.taught import Writer

if TYPE_CHECKING:
    from edgebert.steps import Tell

BATCH_TOKENS = 4096  # of one forward pass: few enough that a layer's states fit into a CPU's cache


@dataclass(frozen=True)
class Wanted:
    """The numbers of the teacher's layers whose states are kept beside its outputs."""

    hidden: Sequence[int] = ()
    relations: Sequence[int] = ()


def run(
    teacher: Artifact, syllabus: Syllabus, changed: Path | None, wanted: Wanted, out: Path, tell: Tell
) -> None:
    """Write outputs and states of every example to `out`."""
    import torch

    lesson = syllabus.lesson
    encoder = Encoder(teacher.folder, teacher.max_tokens, lesson.architecture.INPUTS)
    examples = [one.example for one in syllabus.examples(encoder, changed)]
    model = lesson.task.model(teacher.folder, None, lesson.decoding).eval()
    model.to("cuda" if torch.cuda.is_available() else "cpu")
    lengths = [len(one["input_ids"]) for one in examples]
    writer = Writer(out, lengths, {"heads": inner_states.heads(model, lesson.architecture)})
    done = 0
    with inner_states.recorded(model, lesson.architecture, bool(wanted.relations)) as states:
        for numbers in _batches(lengths):
            for found in states.values():
                found.clear()
            batch = {name: ids.to(model.device) for name, ids in padded([examples[i] for i in numbers]).items()}
            with torch.inference_mode():
                outputs = lesson.forward(model, batch)
            arrays = {name: (outputs[name], lesson.task.PER_TOKEN) for name in lesson.task.OUTPUTS}
            arrays |= {f"{HIDDEN}-{layer}": (states[HIDDEN][layer], True) for layer in wanted.hidden}
            for kind in (QUERY, KEY, VALUE):
                arrays |= {f"{kind}-{layer}": (states[kind][layer], True) for layer in wanted.relations}
            for name, (tensor, per_token) in arrays.items():
                writer.write(name, numbers, tensor.float().cpu().numpy(), per_token)
            done += len(numbers)
            tell(done, len(examples))
    writer.finish()


def _batches(lengths: Sequence[int]) -> Iterator[list[int]]:
    """Numbers of examples of like length, as many as fill a forward pass."""
    batch: list[int] = []
    for number in sorted(range(len(lengths)), key=lambda i: lengths[i]):
        if batch and (len(batch) + 1) * lengths[number] > BATCH_TOKENS:
            yield batch
            batch = []
        batch.append(number)
    yield batch

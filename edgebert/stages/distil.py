"""distil: a student learns what its teachers answer, and how the first of them comes to it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edgebert.artifact import Artifact
from edgebert.distillation import Distil
from edgebert.errors import InputError
from edgebert.learning import inner_states, students
from edgebert.learning.inner_states import HIDDEN, KEY, QUERY, VALUE, hidden_distance, relation_distance
from edgebert.learning.lessons import DevScore, Lesson, Numbered, padded
from edgebert.learning.students import Blueprint
from edgebert.learning.syllabus import Syllabus
from edgebert.tokenization import Encoder
from edgebert.training import epochs
from edgebert.training.epochs import Epoch
from edgebert.training.taught import Taught

if TYPE_CHECKING:
    from edgebert.steps import Tell


@dataclass(frozen=True)
class School:
    """What distil works from: the teacher, what it and others taught, and where a student starts from."""

    teacher: Artifact
    start: Artifact | None
    taught: Sequence[Path]
    changed: Path | None


def run(
    school: School,
    syllabus: Syllabus,
    blueprint: Blueprint,
    settings: Distil,
    seed: int,
    room: Path,
    out: Path,
    tell: Tell,
) -> Artifact:
    """Train a student for each seed, write the one that is best on dev, and what all of them reached.

    `settings` leave nothing open (see `students.settled`). `room` keeps what an interrupted run goes on from.
    """
    from edgebert.training import loop

    lesson, teacher = syllabus.lesson, school.teacher
    encoder = Encoder(teacher.folder, teacher.max_tokens, lesson.architecture.INPUTS)
    examples = syllabus.examples(encoder, school.changed)
    taught = [Taught(folder) for folder in school.taught]
    lengths = [len(one.example["input_ids"]) for one in examples]
    if any(one.lengths != lengths for one in taught):
        raise InputError(
            "distil.teachers: the tokenizers of the teachers do not cut the rows as the student's does"
        )
    models: dict[int, Any] = {}
    history: dict[int, list[Epoch]] = {}
    for number in range(settings.seeds):
        one = seed + number
        models[one] = model = _student(school, lesson, blueprint, settings, one, room / f"start-{number}")
        heads = inner_states.heads(model, lesson.architecture)
        material = loop.Material(
            lengths=lengths,
            collate=Collate(lesson, examples, taught),
            loss=Loss(lesson, settings, math.gcd(taught[0].about["heads"], heads)),
            score=DevScore(lesson, encoder),
            name=lambda i: examples[i].name,
        )
        course = loop.Course(
            epochs=settings.epochs,
            batch=settings.batch,
            learning_rate=settings.learning_rate,
            head_learning_rate=settings.learning_rate,
            seed=one,
            precision=settings.precision,
        )
        progress = _shifted(tell, number, settings.seeds)
        history[one] = loop.train(model, material, course, (), room / f"seed-{number}", progress)
    chosen = max(history, key=lambda one: epochs.best(history[one]).worth)
    models[chosen].save_pretrained(out)
    teacher.copy_tokenizer(out)
    epochs.write(out, history)
    update = {
        "architecture": blueprint.architecture,
        "parameters": sum(parameter.numel() for parameter in models[chosen].parameters()),
        "training": epochs.summary(history, chosen),
        "folder": out,
    }
    return teacher.model_copy(update=update).write()


def _student(
    school: School, lesson: Lesson, blueprint: Blueprint, settings: Distil, seed: int, folder: Path
) -> Any:
    """The untrained student; a head that it does not inherit depends on the seed alone."""
    import torch
    from transformers import set_seed

    set_seed(seed)
    start = school.start or students.make(blueprint, school.teacher, seed, folder)
    model = lesson.task.model(start.folder, school.teacher.labels, lesson.decoding)
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = settings.dropout
    if settings.freeze_embeddings:
        for parameter in lesson.architecture.embeddings(model).parameters():
            parameter.requires_grad = False
    return model


def _shifted(tell: Tell, number: int, of: int) -> Tell:
    """Progress of one training of several."""
    return lambda done, total: tell(number * total + done, of * total)


class Collate:
    """Batches of ids with `taught`: what the teachers gave, `asked`: a mask of the tokens whose outputs count,
    `labelled`: numbers of examples with a truth, and `target`: their truth."""

    def __init__(self, lesson: Lesson, examples: Sequence[Numbered], taught: Sequence[Taught]) -> None:
        self._lesson, self._examples, self._taught = lesson, examples, taught

    def __call__(self, numbers: Sequence[int]) -> dict[str, Any]:
        """The batch of examples with these numbers."""
        import torch

        some = [self._examples[number].example for number in numbers]
        batch = padded(some)
        labelled = [i for i, one in enumerate(some) if "target" in one]
        targets = [some[i]["target"] for i in labelled]
        target = self._lesson.task.collate(targets, batch["input_ids"].shape[1]) if targets else None
        first, *others = [one.batch(numbers) for one in self._taught]
        for name in self._lesson.task.OUTPUTS:
            first[name] = np.mean([first[name], *(one[name] for one in others)], axis=0, dtype=np.float32)
        taught = {name: torch.from_numpy(array) for name, array in first.items()}
        asked = batch["attention_mask"].float()
        for i, number in enumerate(numbers):
            if (places := self._examples[number].places) is not None:
                asked[i] = 0.0
                asked[i, places] = 1.0
        labels = {"labelled": torch.tensor(labelled, dtype=torch.int64), "target": target}
        return {**batch, "taught": taught, "asked": asked, **labels}


class Loss:
    """The sum of a student's distances from what it is taught, each by its weight."""

    def __init__(self, lesson: Lesson, settings: Distil, heads: int) -> None:
        self._lesson, self._settings, self._heads = lesson, settings, heads

    def __call__(self, model: Any, batch: dict[str, Any]) -> Any:
        """A scalar tensor for a batch of `Collate`."""
        taught, asked, labelled, target = (batch.pop(name) for name in ("taught", "asked", "labelled", "target"))
        lesson, weights, mask = self._lesson, self._settings.loss, batch["attention_mask"].float()
        relations = bool(weights.attention or weights.relation)
        with inner_states.recorded(model, lesson.architecture, relations) as states:
            outputs = lesson.forward(model, batch)
        temperature = self._settings.temperature
        loss = weights.soft * lesson.task.soft_loss(outputs, taught, asked, temperature, lesson.decoding)
        if weights.hard and len(labelled):
            some = {name: one if callable(one) else one[labelled] for name, one in outputs.items()}
            loss = loss + weights.hard * lesson.task.loss(some, target)
        if relations or weights.hidden:
            loss = loss + self._inner(states, taught, mask)
        return loss

    def _inner(self, states: dict[str, list[Any]], taught: dict[str, Any], mask: Any) -> Any:
        """Distances of the states within, mean over the layers that are compared."""
        weights, found, pairs = self._settings.loss, 0.0, self._settings.layer_map or ()
        for ours, theirs in pairs:
            student = {kind: layers[ours] for kind, layers in states.items() if layers}
            teacher = {kind: taught.get(f"{kind}-{theirs}") for kind in states}
            if weights.hidden:
                found = found + weights.hidden * hidden_distance(student[HIDDEN], teacher[HIDDEN], mask)
            for weight, first, second in ((weights.attention, QUERY, KEY), (weights.relation, VALUE, VALUE)):
                if weight:
                    ways = (student[first], student[second]), (teacher[first], teacher[second])
                    found = found + weight * relation_distance(*ways, mask, self._heads)
        return found / len(pairs)

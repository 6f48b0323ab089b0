"""How long an epoch of distillation takes, beside the plain loop that most would write, and where its time goes.

    python benchmarks/training_speed.py MODEL TRAIN.jsonl

MODEL is a trained text classifier of the BERT family, TRAIN.jsonl its rows (`text`, `label`). Both loops train a
student of a few of its layers on the same rows in turn, block by block, so that what else the machine does falls
on both. The plain loop: fp32, batches in random order padded to their longest text, the teacher run in every step,
AdamW over all parameters. Ours: `edgebert.training.loop` with the settings of `[distil]`, and a share of the time
that the teacher took to be asked once, by the epochs that use its answers.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.profiler import ProfilerActivity, profile, record_function

from edgebert import data, members, quiet
from edgebert.artifact import Artifact
from edgebert.data import Row, Split, Splits
from edgebert.distillation import Distil, Student
from edgebert.learning import inner_states, students
from edgebert.learning.lessons import Lesson, padded
from edgebert.learning.syllabus import Syllabus
from edgebert.stages import distil, load, teach
from edgebert.stages.teach import Wanted
from edgebert.tokenization import Encoder
from edgebert.training import batches, loop
from edgebert.training.taught import Taught

TASK: Any = members.find("tasks", "text-classification")


@dataclass(frozen=True)
class Setting:
    """Teacher, student and settings that both loops share."""

    teacher: Artifact
    architecture: Any
    settings: Distil
    student: Path

    def lesson(self, rows: Sequence[Row]) -> Lesson:
        """Some of the rows."""
        split = Split(list(rows), "", "rows")
        return Lesson(TASK, self.architecture, Splits(split, split, split, {}), self.teacher.labels, {})

    def encoder(self) -> Encoder:
        """The tokenizer of both."""
        return Encoder(self.teacher.folder, self.teacher.max_tokens, self.architecture.INPUTS)

    def model(self) -> Any:
        """The untrained student."""
        return TASK.model(self.student, self.teacher.labels, {}).train()


def main() -> None:
    """Print one JSON document."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("model", type=Path)
    parser.add_argument("rows", type=Path)
    parser.add_argument("--layers", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=Distil().epochs, help="that the teacher is asked once for")
    parser.add_argument("--blocks", type=int, default=5)
    parser.add_argument("--steps", type=int, default=batches.POOL, help="of a block")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    with tempfile.TemporaryDirectory() as folder, quiet.into(Path(folder) / "log"):
        found = compare(given, Path(folder))
    print(json.dumps(found, indent=1))


def compare(given: argparse.Namespace, room: Path) -> dict[str, Any]:
    """Seconds of an epoch by both loops, block by block; and the share of computing over 100 steps of ours."""
    setting = prepared(given, room)
    rows = data.read(given.rows, {}, TASK.fault).rows
    size = given.steps * setting.settings.batch
    order = np.random.default_rng(0).permutation(len(rows))
    blocks: list[dict[str, float]] = []
    for number in range(-1, given.blocks):  # the first one warms up
        picked = order[np.arange(number * size, (number + 1) * size) % len(rows)]
        block = [rows[i] for i in picked]
        plain = naive(setting, block)
        asked, ours = own(setting, block, room / f"block-{number}")
        if number >= 0:
            scale = len(rows) / len(block)
            share = asked * scale / given.epochs
            blocks.append({"naive_s": plain * scale, "ours_s": ours * scale, "teacher_s": share})
    ratios = [(one["ours_s"] + one["teacher_s"]) / one["naive_s"] for one in blocks]
    return {
        "rows": len(rows),
        "threads": given.threads,
        "torch": torch.__version__,
        "naive_s_per_epoch": [round(one["naive_s"], 1) for one in blocks],
        "ours_s_per_epoch": [round(one["ours_s"], 1) for one in blocks],
        "teacher_s_per_epoch": [round(one["teacher_s"], 1) for one in blocks],
        "ratio": {"median": round(statistics.median(ratios), 3), "all": [round(one, 3) for one in ratios]},
        "computing_share": round(profiled(setting, rows[: 100 * setting.settings.batch], room / "profile"), 3),
    }


def prepared(given: argparse.Namespace, room: Path) -> Setting:
    """The teacher in fp32, and the student cut from it."""
    config = json.loads((given.model / "config.json").read_text(encoding="utf-8"))
    known = {kind: name for name in members.names("architectures") for kind in kinds(name)}
    architecture: Any = members.find("architectures", known[config["model_type"]])
    (room / "teacher").mkdir()
    loaded = load.run(given.model, architecture.NAME, room / "teacher")
    labels = [label for _, label in sorted(config["id2label"].items(), key=lambda pair: int(pair[0]))]
    teacher = loaded.model_copy(update={"labels": labels, "task": TASK.NAME, "max_tokens": 128}).write()
    blueprint = students.draw(Student(layers=given.layers), architecture, config)
    settings = students.settled(
        Distil(student=Student(layers=given.layers)), blueprint, *students.sizes(architecture, config)
    )
    students.make(blueprint, teacher, 0, room / "student")
    return Setting(teacher, architecture, settings, room / "student")


def kinds(name: str) -> Sequence[str]:
    """`model_type`s of an architecture."""
    found: Sequence[str] = members.find("architectures", name).MODEL_TYPES
    return found


def naive(setting: Setting, rows: Sequence[Row]) -> float:
    """Seconds of one pass over the rows by a plain loop, from the second step on, for all of them."""
    settings, lesson = setting.settings, setting.lesson(rows)
    examples = [one.example for one in Syllabus(lesson, ()).examples(setting.encoder())]
    model, teacher = setting.model(), TASK.model(setting.teacher.folder, None, {}).eval()
    optimizer = torch.optim.AdamW(model.parameters(), lr=settings.learning_rate)
    loss_of = distil.Loss(lesson, settings, 1)
    order = torch.randperm(len(examples)).tolist()
    batches = [order[i : i + settings.batch] for i in range(0, len(order), settings.batch)]
    began = 0.0
    for step, numbers in enumerate(batches):
        if step == 1:
            began = time.perf_counter()
        batch = padded([examples[i] for i in numbers])
        with torch.no_grad(), inner_states.recorded(teacher, setting.architecture, relations=False) as states:
            taught = dict(lesson.forward(teacher, batch))
        taught |= {f"hidden-{layer}": found for layer, found in enumerate(states["hidden"])}
        given = {"asked": batch["attention_mask"].float(), "labelled": torch.tensor([]), "target": None}
        loss = loss_of(model, {**batch, "taught": taught, **given})
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return (time.perf_counter() - began) * len(batches) / (len(batches) - 1)


def own(setting: Setting, rows: Sequence[Row], room: Path) -> tuple[float, float]:
    """Seconds of asking the teacher about the rows, and of one pass over them."""
    syllabus = Syllabus(setting.lesson(rows), ())
    began = time.perf_counter()
    said = taught(setting, syllabus, room)
    asked = time.perf_counter() - began
    return asked, trained(setting, syllabus, said, room)


def taught(setting: Setting, syllabus: Syllabus, room: Path) -> Path:
    """What the teacher says of the rows."""
    said = room / "said"
    said.mkdir(parents=True)
    layers = sorted({pair[1] for pair in setting.settings.layer_map or ()})
    teach.run(setting.teacher, syllabus, None, Wanted(hidden=layers), said, lambda *_: None)
    return said


def trained(setting: Setting, syllabus: Syllabus, said: Path, room: Path) -> float:
    """Seconds of one pass, from the end of its first step on, for all steps."""
    lesson, settings = syllabus.lesson, setting.settings
    examples, read = syllabus.examples(setting.encoder()), Taught(said)
    loss_of = distil.Loss(lesson, settings, 1)

    def loss(model: Any, batch: dict[str, Any]) -> Any:
        with record_function("forward"):
            return loss_of(model, batch)

    material = loop.Material(
        lengths=read.lengths,
        collate=distil.Collate(lesson, examples, [read]),
        loss=loss,
        score=lambda model: (0.0, 0.0),
        name=lambda number: str(number),
    )
    course = loop.Course(1, settings.batch, settings.learning_rate, settings.learning_rate, 0)
    model, ticks = setting.model(), list[float]()
    for parameter in setting.architecture.embeddings(model).parameters():
        parameter.requires_grad = False
    loop.train(model, material, course, (), room, lambda *_: ticks.append(time.perf_counter()))
    return (ticks[-1] - ticks[0]) * len(ticks) / (len(ticks) - 1)


def profiled(setting: Setting, rows: Sequence[Row], room: Path) -> float:
    """The share of a pass's time that is spent in forward, backward and optimizer."""
    syllabus = Syllabus(setting.lesson(rows), ())
    said = taught(setting, syllabus, room)
    backward = torch.Tensor.backward

    def recorded(*given: Any, **named: Any) -> None:
        with record_function("backward"):
            backward(*given, **named)

    torch.Tensor.backward = recorded
    try:
        with profile(activities=[ProfilerActivity.CPU]) as found:
            wall = trained(setting, syllabus, said, room)
    finally:
        torch.Tensor.backward = backward
    names = ("forward", "backward", "Optimizer.step#AdamW.step")
    spent = sum(one.cpu_time_total / 1e6 for one in found.key_averages() if one.key in names)
    return float(spent / wall)


if __name__ == "__main__":
    main()

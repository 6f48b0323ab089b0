"""What a student is taught on: the task's training rows, more text without truth, and changed copies of both."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edgebert.data import Row
from edgebert.learning.lessons import Lesson, Numbered
from edgebert.tasks import Window
from edgebert.tokenization import Encoder

CHANGED = "changed.jsonl"


@dataclass(frozen=True)
class Syllabus:
    """The rows that teacher and student read, the same for both and in one order."""

    lesson: Lesson
    unlabelled: Sequence[Row]

    def examples(self, encoder: Encoder, changed: Path | None = None) -> list[Numbered]:
        """Examples with a target where the row has a truth; `changed` is a folder of `write`."""
        lesson = self.lesson
        outside = lesson.splits.outside["train"].rows if "train" in lesson.splits.outside else []
        rows = [*lesson.splits.train.rows, *outside]
        found = lesson.numbered(rows, encoder)
        if lesson.task.PER_TOKEN:
            places = [self._places(window) for row in rows for window in self._windows(row, encoder)]
            found = [one._replace(places=there) for one, there in zip(found, places, strict=True)]
        found = [part for one in found for part in _apart(one)]
        for number, row in enumerate(self.unlabelled, 1):
            for window in self._windows(row, encoder):
                feeds = {name: array[0].tolist() for name, array in window.feeds.items()}
                found.append(Numbered(f"unlabelled row {number}", feeds, self._places(window)))
        return found if changed is None else found + read(changed, lesson.architecture.INPUTS)

    def _windows(self, row: Row, encoder: Encoder) -> list[Window]:
        return self.lesson.task.windows(row, encoder, self.lesson.decoding)

    def _places(self, window: Window) -> list[int] | None:
        return self.lesson.task.places(window.align) if self.lesson.task.PER_TOKEN else None


def _apart(one: Numbered) -> list[Numbered]:
    """Texts that are learned together are taught each by itself: what a teacher makes of each is the target."""
    if "beside" not in one.example:
        return [one]
    alone = {name: ids for name, ids in one.example.items() if name not in ("beside", "target")}
    return [Numbered(one.name, feeds) for feeds in (alone, *one.example["beside"])]


def write(folder: Path, changed: Sequence[Numbered]) -> None:
    """Keep examples that are no rows of any file."""
    lines = (json.dumps({"name": name, "feeds": feeds, "places": places}) for name, feeds, places in changed)
    (folder / CHANGED).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def read(folder: Path, inputs: Sequence[str]) -> list[Numbered]:
    """The examples that `write` kept, with these inputs alone: a student may read fewer than its teacher."""
    lines = (json.loads(line) for line in (folder / CHANGED).read_text(encoding="utf-8").splitlines())
    return [Numbered(one["name"], {name: one["feeds"][name] for name in inputs}, one["places"]) for one in lines]

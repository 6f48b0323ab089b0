"""Accuracy control: an int8 file that fails its gates on dev gets precision back where it helps most for its work.

First, wherever dev leaves a doubt and the quantizer allows it, the ranges of activations are moved into weights of
an ONNX graph (`edgebert.equalization`), which costs an operator a product and no precision of weights. Where a
gate still fails, products are ranked by how much nearer the outputs come to fp32's when that one alone has the
higher precision (float, or what the target has), for its multiply-adds, and the best are given back together, as
few as hold the gates. What `min_int8_matmul_share` or `max_bytes_per_parameter` forbids is not given back.
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from edgebert import scoring
from edgebert.artifact import Artifact
from edgebert.data import Row
from edgebert.equalization import equalize
from edgebert.quantizers import Settings, Write
from edgebert.scoring import Question
from edgebert.tasks import Answer, Decoding, Outputs, Task
from edgebert.tokenization import Feeds
from edgebert.verdict import Gates, Score

ROWS = 512  # of dev, at most
RANKED_WINDOWS = 48  # to rank products by
EQUALIZED_WINDOWS = 64  # to measure ranges on


@dataclass(frozen=True)
class Limits:
    """The gates to hold, None where there is no gate: see `verdict.Gates`."""

    max_drop: float | None
    min_agreement: float | None
    min_int8_matmul_share: float | None
    max_bytes_per_parameter: float | None = None


def limits(gates: Gates, quantizer: ModuleType) -> Limits | None:
    """The gates that can be held for a file of this quantizer; None: it has none of them, or no control."""
    if quantizer.tensors is None or (gates.max_drop is None and gates.min_agreement is None):
        return None
    return Limits(gates.max_drop, gates.min_agreement, gates.min_int8_matmul_share, gates.max_bytes_per_parameter)


def sampled(rows: Sequence[Row]) -> list[Row]:
    """The dev rows that are asked, the same in every build."""
    chosen = np.random.default_rng(0).permutation(len(rows))[:ROWS]
    return [rows[int(number)] for number in sorted(chosen)]


@dataclass(frozen=True)
class Guard:
    """What is asked of a file: dev questions of a task, and the limits."""

    task: Task
    labels: Sequence[str]
    decoding: Decoding
    questions: Sequence[Question]
    limits: Limits

    def holds(self, score: Score) -> bool:
        """Whether the limits are held, agreement by a standard error more than asked: dev is a sample, too."""
        drop, limit = score.drop, self.limits.max_drop
        if limit is not None and drop is not None and drop.points > limit:
            return False
        return self._agrees(score, 1)

    def safe(self, score: Score) -> bool:
        """Whether dev leaves no doubt of it: by the 95 % interval of the drop, and two standard errors."""
        drop, limit = score.drop, self.limits.max_drop
        if limit is not None and drop is not None and drop.ci95[1] > limit:
            return False
        return self._agrees(score, 2)

    def _agrees(self, score: Score, errors: int) -> bool:
        limit, same = self.limits.min_agreement, score.agreement
        if limit is None or same is None:
            return True
        return same.value >= min(1.0, limit + errors * math.sqrt(limit * (1 - limit) / max(1, same.rows)))


@dataclass(frozen=True)
class Attempt:
    """A file, what it was made of and what dev says of it. `error`: mean distance of its outputs from fp32's."""

    source: Artifact
    write: Write
    folder: Path
    score: Score
    error: float

    def merit(self) -> tuple[float, float]:
        """What makes one attempt better than another: agreement, then score."""
        same, shipped = self.score.agreement, self.score.shipped
        return (same.value if same else 0.0, shipped.value if shipped else 0.0)

    def told(self) -> dict[str, float | None]:
        """Its figures for the manifest."""
        drop, same = self.score.drop, self.score.agreement
        return {"drop_points": drop.points if drop else None, "agreement": same.value if same else None}


def writer(quantizer: ModuleType, source: Path, settings: Settings, batches: Sequence[Feeds]) -> Write:
    """What makes a quantizer's files of a graph file; what all of them share is measured here, once."""
    if quantizer.prepare is not None:
        write: Write = quantizer.prepare(source, settings, batches)
        return write
    return lambda more, out: quantizer.apply(source, settings.keeping(more), batches, out)


class Control:
    """One file under control. `source` is the fp32 graph; files are made in folders of `room`."""

    def __init__(
        self,
        source: Artifact,
        quantizer: ModuleType,
        guard: Guard,
        batches: Sequence[Feeds],
        room: Path,
        tell: Callable[[int, int], None],
    ) -> None:
        self._source, self._quantizer, self._guard, self._room, self._tell = source, quantizer, guard, room, tell
        self._batches = batches
        self._windows = [window.feeds for question in guard.questions for window in question.windows]
        self._reference = scoring.outputs_of(source.folder, source.entry("reference"), self._windows)
        self._made = 0

    def run(self, settings: Settings, out: Path) -> dict[str, Any]:
        """Leave the best file in `out` and tell what was done: empty where nothing had to be."""
        plain = self._attempt(self._source, writer(self._quantizer, self._source.path, settings, self._batches))
        if self._guard.safe(plain.score):
            shutil.copytree(plain.folder, out, dirs_exist_ok=True)
            return {}
        best = plain
        if self._quantizer.EQUALIZE:
            even = self._equalized()
            write = writer(self._quantizer, even.path, settings, self._batches)
            best = max(plain, self._attempt(even, write), key=Attempt.merit)
        given: list[str] = []
        if not self._guard.holds(best.score):
            best, given = self._give_back(best)
        shutil.copytree(best.folder, out, dirs_exist_ok=True)
        if best is plain and self._guard.holds(plain.score):
            return {}
        return {
            "equalized": best.source is not self._source,
            "given_back": given,
            "rows": len(self._guard.questions),
            "dev": {"before": plain.told(), "after": best.told()},
            "holds": self._guard.holds(best.score),
        }

    def _give_back(self, start: Attempt) -> tuple[Attempt, list[str]]:
        """The attempt with as few products in float as hold the limits; the best one where none does."""
        ranked = self._ranked(start)
        tried: dict[int, Attempt] = {}

        def holds(count: int) -> bool:
            tried[count] = self._attempt(start.source, start.write, ranked[:count])
            return self._guard.holds(tried[count].score)

        low, high = 0, len(ranked)
        if not ranked:
            return start, []
        if not holds(high):
            return (tried[high], ranked) if tried[high].merit() > start.merit() else (start, [])
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if holds(middle) else (middle, high)
        return tried[high], ranked[:high]

    def _ranked(self, start: Attempt) -> list[str]:
        """Products by what they bring for their multiply-adds, best first.

        As many as the share of int8 and the size of the file allow.
        """
        sizes = self._quantizer.tensors(self._source.path)
        whole = sum(sizes.values())
        gains, more = {}, {}
        begun = (start.folder / self._quantizer.FILE).stat().st_size
        for number, name in enumerate(sizes):
            self._tell(number, len(sizes))
            one = self._quantized(start.source, start.write, [name])
            gains[name] = (self._error(one) - start.error) / sizes[name]
            more[name] = one.path.stat().st_size - begun
            shutil.rmtree(one.folder)
        limits = self._guard.limits
        least, left, found = limits.min_int8_matmul_share or 0.0, whole, []
        room = (limits.max_bytes_per_parameter or math.inf) * self._source.parameters - begun
        for name in sorted(gains, key=lambda name: gains[name]):
            if left - sizes[name] >= least * whole and more[name] <= room:
                left -= sizes[name]
                room -= more[name]
                found.append(name)
        return found

    def _equalized(self) -> Artifact:
        """The fp32 graph with the ranges of activations in its weights."""
        import onnx

        model = onnx.load(str(self._source.path))
        equalize(model, self._windows[:EQUALIZED_WINDOWS])
        even = self._source.model_copy(update={"folder": self._room / "equalized"})
        even.path.parent.mkdir(parents=True)
        onnx.save(model, str(even.path))
        return even

    def _quantized(self, source: Artifact, write: Write, more: Sequence[str]) -> Artifact:
        folder = self._room / str(self._made)
        self._made += 1
        write(more, folder / self._quantizer.FILE)
        update = {"file": self._quantizer.FILE, "precision": self._quantizer.PRECISION, "folder": folder}
        return source.model_copy(update=update)

    def _attempt(self, source: Artifact, write: Write, more: Sequence[str] = ()) -> Attempt:
        artifact = self._quantized(source, write, more)
        outputs = scoring.outputs_of(artifact.folder, artifact.entry("attempt"), self._windows)
        guard = self._guard
        rows = [question.row for question in guard.questions]
        decoding = dict(guard.decoding)
        if guard.task.tuned(decoding):
            decoding |= guard.task.tune(rows, self._answers(outputs, decoding), decoding)
        shipped, reference = (self._answers(found, decoding) for found in (outputs, self._reference))
        answered = {"teacher": reference, "reference": reference, "shipped": shipped}
        score = guard.task.scores(rows, "dev", answered)[0]
        return Attempt(source, write, artifact.folder, score, _distance(outputs, self._reference))

    def _answers(self, outputs: Sequence[Outputs], decoding: Decoding) -> list[Answer]:
        decode = scoring.decoder(self._guard.task.NAME, self._guard.labels, decoding)
        left = iter(outputs)
        return [decode(one, [next(left) for _ in one.windows]) for one in self._guard.questions]

    def _error(self, artifact: Artifact) -> float:
        windows = self._windows[:RANKED_WINDOWS]
        return _distance(scoring.outputs_of(artifact.folder, artifact.entry("attempt"), windows), self._reference)


def _distance(found: Sequence[Outputs], truth: Sequence[Outputs]) -> float:
    """Mean absolute difference of the outputs of the windows that products are ranked by."""
    gaps = [
        float(np.abs(one[name] - other[name]).mean())
        for one, other in zip(found[:RANKED_WINDOWS], truth[:RANKED_WINDOWS], strict=True)
        for name in other
    ]
    return float(np.mean(gaps))

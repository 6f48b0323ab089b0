"""race: the files that a profile's quantizers made of one model, run beside its fp32 file on the best evidence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from edgebert import races
from edgebert.artifact import Artifact
from edgebert.errors import SurroundingsError
from edgebert.interpreters import Python
from edgebert.races import Ground
from edgebert.steps import Tell
from edgebert.target import Target
from edgebert.tokenization import Feeds
from edgebert.transports import qemu
from edgebert.verdict import Raced

FILE = "race.json"
REFERENCE = "reference"
COUNTED_ROWS, TIMED_ROWS = 4, 64
SECONDS = 20.0  # of timing, all files together
LIMIT_S = 1800.0  # of counting


def run(
    entrants: Mapping[str, Artifact],
    reference: Artifact,
    feeds: Sequence[Feeds],
    target: Target,
    ground: Ground,
    out: Path,
    tell: Tell,
) -> Raced:
    """Write what was found to `out`; entrants by quantizer, the profile's default first.

    `feeds` are dev windows, int64 [1, tokens] by input name; some of all lengths are taken. Raises
    SurroundingsError where the emulator fails.
    """
    files = {**entrants, REFERENCE: reference}
    entries = {name: one.entry(name, target.runtime.session, target.runtime.name) for name, one in files.items()}
    measure = _counted if ground.evidence == "emulator" else _timed
    costs = measure(files, entries, feeds, target, tell)
    ratios = {name: round(costs[name] / costs[REFERENCE], 4) for name in entrants}
    failed = [name for name, one in entrants.items() if not one.control.get("holds", True)]
    found = Raced(
        quantizer=races.winner(ratios, failed),
        evidence=ground.evidence,
        on=ground.on,
        ratios=ratios,
        failed=failed,
    )
    (out / FILE).write_text(found.model_dump_json(indent=1), encoding="utf-8")
    return found


def read(folder: Path) -> Raced:
    """What a race found."""
    return Raced.model_validate_json((folder / FILE).read_text(encoding="utf-8"))


def _counted(
    files: Mapping[str, Artifact],
    entries: Mapping[str, dict[str, object]],
    feeds: Sequence[Feeds],
    target: Target,
    tell: Tell,
) -> dict[str, float]:
    """Executed instructions, the mean over the rows, by file."""
    asked = [(name, str(one.folder), entries[name]) for name, one in files.items()]
    rows = [{name: ids[0].tolist() for name, ids in one.items()} for one in _spread(feeds, COUNTED_ROWS)]
    found = qemu.counted(asked, rows, target.hardware.cpu, target.runtime.name, LIMIT_S, tell)
    if found is None:
        raise SurroundingsError("the emulator loads no plugins, so it counts no instructions")
    return {name: sum(classes.values()) for name, classes in found.items()}


def _timed(
    files: Mapping[str, Artifact],
    entries: Mapping[str, dict[str, object]],
    feeds: Sequence[Feeds],
    target: Target,
    tell: Tell,
) -> dict[str, float]:
    """The median over rows of the time of each file, in times of the fp32 file's on the same row and round."""
    python = Python(target.runtime.environment)
    request = {
        "contenders": {name: {"folder": str(one.folder), "entry": entries[name]} for name, one in files.items()},
        "rows": [{name: ids.tolist() for name, ids in one.items()} for one in _spread(feeds, TIMED_ROWS)],
        "threads": 1,
        "seconds": SECONDS,
        "seed": 0,
    }
    samples = {name: np.asarray(found) for name, found in python.ask("measure", request).items()}
    return {name: float(np.median(found / samples[REFERENCE])) for name, found in samples.items()}


def _spread(feeds: Sequence[Feeds], count: int) -> list[Feeds]:
    """The middles of as many equal parts of all windows sorted by length."""
    order = sorted(feeds, key=lambda one: next(iter(one.values())).shape[1])
    count = min(count, len(order))
    return [order[(2 * i + 1) * len(order) // (2 * count)] for i in range(count)]

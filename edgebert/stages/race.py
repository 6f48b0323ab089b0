"""race: the files that a profile's quantizers made of one model, run beside its fp32 file on the best evidence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import numpy as np

from edgebert import races, transports
from edgebert.artifact import Artifact
from edgebert.errors import SurroundingsError
from edgebert.interpreters import Python
from edgebert.races import Ground
from edgebert.steps import Tell
from edgebert.target import Target
from edgebert.tokenization import Feeds
from edgebert.transports import Contest, Options, qemu
from edgebert.verdict import Raced

FILE = "race.json"
REFERENCE = "reference"
COUNTED_ROWS, TIMED_ROWS = 4, 64
SECONDS = 20.0  # of timing, all files together
LIMIT_S = 1800.0  # of counting, or of all that a board does


@dataclass(frozen=True)
class Place:
    """The board to race on: its transport, which can, the address that follows the name, and how to get there."""

    transport: ModuleType
    address: str
    options: Options


def run(
    entrants: Mapping[str, Artifact],
    reference: Artifact,
    feeds: Sequence[Feeds],
    target: Target,
    ground: Ground,
    out: Path,
    tell: Tell,
    place: Place | None = None,
) -> Raced:
    """Write what was found to `out`; entrants by quantizer, the profile's default first.

    `feeds` are dev windows, int64 [1, tokens] by input name; some of all lengths are taken. `place` is that of a
    race whose evidence is to be device. Raises SurroundingsError where board or emulator fail, InputError where
    the board is not the target's.
    """
    files = {**entrants, REFERENCE: reference}
    entries = {name: one.entry(name, target.runtime.session, target.runtime.name) for name, one in files.items()}
    on = ground.on
    if place is not None:
        costs, on = _on_board(files, entries, feeds, target, place, tell)
    else:
        measure = _counted if ground.evidence == "emulator" else _timed
        costs = measure(files, entries, feeds, target, tell)
    ratios = {name: round(costs[name] / costs[REFERENCE], 4) for name in entrants}
    failed = [name for name, one in entrants.items() if not one.control.get("holds", True)]
    found = Raced(
        quantizer=races.winner(ratios, failed),
        evidence=ground.evidence,
        on=on,
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
    return _medians(python.ask("measure", request))


def _on_board(
    files: Mapping[str, Artifact],
    entries: Mapping[str, dict[str, object]],
    feeds: Sequence[Feeds],
    target: Target,
    place: Place,
    tell: Tell,
) -> tuple[dict[str, float], str]:
    """What `_timed` gives, of the target's own board, and the board's model."""
    contest = Contest(
        target=transports.facts(target),
        files=dict(files),
        entries=dict(entries),
        rows=[{name: ids[0].tolist() for name, ids in one.items()} for one in _spread(feeds, TIMED_ROWS)],
        threads=1,
        seconds=SECONDS,
        limit_s=LIMIT_S,
        tell=tell,
    )
    found = place.transport.race(place.address, contest, place.options)
    evidence, _ = transports.evidence_of(found, contest.target, "the board")
    if evidence.get("latency") != "device":
        says = f"'{found['host']['board']}'" if found["host"]["board"] else "nothing of what board it is"
        raise SurroundingsError(
            f"--race-on: that machine says {says}, so its times are no evidence of {target.name} "
            f"('{target.hardware.board}'); nothing was pinned"
        )
    if found["slowed"]:
        raise SurroundingsError(
            f"--race-on: the run judges nothing: {'; '.join(found['slowed'])}; cool the board, check its power "
            "supply, set its governor to performance, and run it again; nothing was pinned"
        )
    return _medians(found["samples"]), str(found["host"]["board"])


def _medians(samples: Mapping[str, Sequence[float]]) -> dict[str, float]:
    """The median of each file's time, in times of the fp32 file's on the same row and round."""
    reference = np.asarray(samples[REFERENCE])
    return {name: float(np.median(np.asarray(found) / reference)) for name, found in samples.items()}


def _spread(feeds: Sequence[Feeds], count: int) -> list[Feeds]:
    """The middles of as many equal parts of all windows sorted by length."""
    order = sorted(feeds, key=lambda one: next(iter(one.values())).shape[1])
    count = min(count, len(order))
    return [order[(2 * i + 1) * len(order) // (2 * count)] for i in range(count)]

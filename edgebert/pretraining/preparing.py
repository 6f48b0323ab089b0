"""All that a training reads, made once and kept in its working folder: tokenizer, text, source and teacher."""

from __future__ import annotations

import functools
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from edgebert.errors import InputError
from edgebert.pipeline import Watch
from edgebert.pretraining import corpus, models, text, vocabulary
from edgebert.pretraining.examples import SPECIAL
from edgebert.pretraining.models import SOURCE, TEACHER
from edgebert.pretraining.project import Model, Project
from edgebert.stages import load
from edgebert.steps import Tell
from edgebert.store import replace_folder

TOKENIZER, TRAIN, VALID = "tokenizer", "train", "valid"  # folders of the working folder
DRAFT = ".draft-"


@dataclass(frozen=True)
class Phase:
    """A piece of the work that people watch."""

    key: str
    about: str


def prepare(project: Project, work: Path, watch: Watch) -> None:
    """Fill the working folder with what is not there yet. Raises InputError for text that cannot be used."""
    for stale in work.glob(f"{DRAFT}*"):
        shutil.rmtree(stale, ignore_errors=True)

    def once(name: str, about: str, make: Callable[[Path, Tell], None]) -> None:
        _once(work / name, about, make, watch)

    for name, model in ((SOURCE, project.source), (TEACHER, project.teacher)):
        if model is not None:
            once(name, f"load the {name}", lambda out, _, model=model: _load(model, out))  # type: ignore[misc]
    models.teacher(project, work)  # one without its head is told before hours of encoding
    once(TOKENIZER, _about_tokenizer(project), lambda out, tell: _tokenizer(project, work, out))
    for name, paths in ((TRAIN, project.train), (VALID, project.valid)):
        size = sum(path.stat().st_size for path in paths) / 1e6
        about = f"encode {size:.1f} MB of {'held-out' if name == VALID else 'training'} text"
        once(name, about, lambda out, tell, name=name: _encode(project, work, name, out, tell))  # type: ignore[misc]


def _once(place: Path, about: str, make: Callable[[Path, Tell], None], watch: Watch) -> None:
    """Make a folder unless it is there; it appears whole or not at all."""
    phase = Phase(place.name, about)
    cached = place.is_dir()
    watch.begin(phase, cached)
    if not cached:
        room = Path(tempfile.mkdtemp(prefix=DRAFT, dir=place.parent))
        try:
            make(room / "new", watch.tell)
            replace_folder(room / "new", place, room / "old")
        finally:
            shutil.rmtree(room, ignore_errors=True)
    watch.end(phase)


def _load(model: Model, out: Path) -> None:
    out.mkdir()
    load.run(model.folder, model.architecture.NAME, out)


def _about_tokenizer(project: Project) -> str:
    choice = project.recipe.tokenizer
    if choice is None or choice.train is None:
        return "reuse the tokenizer"
    return f"train a {choice.train.kind or project.architecture.TOKENIZER} tokenizer of {choice.train.vocabulary}"


def _tokenizer(project: Project, work: Path, out: Path) -> None:
    brought = next((work / name for name in (SOURCE, TEACHER) if (work / name).is_dir()), project.tokenizer)
    if brought is not None:
        out.mkdir()
        load.tokenizer(brought, out)
        if project.teacher is not None and not vocabulary.same(out, work / TEACHER):
            raise InputError("model.source and objective.distil.teacher have different tokenizers")
        return
    assert project.recipe.tokenizer is not None
    choice = project.recipe.tokenizer.train
    assert choice is not None
    kind = choice.kind or project.architecture.TOKENIZER
    texts = functools.partial(text.contents, project.train)
    vocabulary.train(kind, choice.vocabulary, choice.lowercase, texts, out, project.recipe.train.tokens)


def _encode(project: Project, work: Path, name: str, out: Path, tell: Tell) -> None:
    recipe = project.recipe
    sentence = recipe.objective.sentence
    paths = project.valid if name == VALID else project.train
    tokenizer = vocabulary.opened(work / TOKENIZER)
    try:
        corpus.write(paths, tokenizer, recipe.train.tokens - SPECIAL[sentence], sentence != "none", out, tell)
    except InputError as error:
        raise InputError([f"text.{name}: {fault}" for fault in error.faults]) from None
    if sentence == "nsp" and len(corpus.read(out).documents) < 3:  # their bounds: one more than there are
        raise InputError(
            f"text.{name}: one document only, and sentence = 'nsp' takes second segments from another one; "
            "put a blank line between documents"
        )

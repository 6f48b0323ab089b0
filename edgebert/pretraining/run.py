"""A recipe becomes a model folder: prepare, train, publish; run again, it goes on where a kill cut it short."""

from __future__ import annotations

import contextlib
import datetime
import fcntl
import json
import pickle
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from edgebert import quiet
from edgebert.errors import InputError, SurroundingsError
from edgebert.pipeline import Unwatched, Watch, check_writable
from edgebert.pretraining import checkpoints, corpus, identity, models, outcome, preparing, vocabulary
from edgebert.pretraining.examples import HeldOut, Training, showings
from edgebert.pretraining.preparing import Phase
from edgebert.pretraining.project import Project
from edgebert.pretraining.recipe import PretrainRecipe, Train
from edgebert.store import replace_folder
from edgebert.training import processes
from edgebert.training.precision import in_bf16

LONGEST_WAIT = datetime.timedelta(days=7)  # of the other processes while the first one encodes the text
CHECKPOINTS, IDENTITY, LOCK = "checkpoints", "training.json", "lock"


def run(project: Project, out: Path, watch: Watch, fresh: bool = False) -> dict[str, Any] | None:
    """Pre-train into `out`/NAME and tell the figures (`outcome.of`); None in all processes but the first.

    What is under way is kept in `out`/.NAME, which goes when the model folder is there. Raises InputError for what
    the user can mend, SurroundingsError where another process trains there.
    """
    quiet.prepare()
    check_writable(out, f"-o {out}")
    place, work = out / project.recipe.name, out / f".{project.recipe.name}"
    work.mkdir(exist_ok=True)
    with contextlib.ExitStack() as held:
        if processes.rank() == 0:
            held.enter_context(_alone(work))
        held.enter_context(quiet.into(work / f"log-{processes.rank()}.txt"))
        import torch
        from accelerate import PartialState
        from accelerate.utils import broadcast_object_list

        team = PartialState(cpu=not torch.accelerator.is_available(), timeout=LONGEST_WAIT)
        done = [team.is_main_process and _begin(project, place, work, watch, fresh)]
        broadcast_object_list(done)
        if not done[0]:
            trainer, new = _train(project, work, team, watch if team.is_main_process else Unwatched())
            if team.is_main_process:
                _publish(project, trainer, new, place, work)
        if not team.is_main_process:
            return None
        found = outcome.read(place)
        shutil.rmtree(work, ignore_errors=True)
    return found


@contextlib.contextmanager
def _alone(work: Path) -> Iterator[None]:
    """Hold the working folder; the lock goes with the process, however it ends."""
    with (work / LOCK).open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SurroundingsError(
                f"{work}: another process is training there; wait for it to end, or choose another -o"
            ) from None
        yield


def _begin(project: Project, place: Path, work: Path, watch: Watch, fresh: bool) -> bool:
    """Make the working folder ready; True where the model folder is finished already."""
    if fresh:
        for path in work.iterdir():
            if path.is_dir():
                shutil.rmtree(path)
            elif path.name == IDENTITY:
                path.unlink()
    mine = identity.of(project)
    if place.exists() and not fresh:
        identity.check(mine, place / outcome.FILE, place)
        return True
    if (work / IDENTITY).exists():
        identity.check(mine, work / IDENTITY, work)
    draft = work / f".{IDENTITY}"
    draft.write_text(json.dumps(mine, indent=1), encoding="utf-8")
    draft.replace(work / IDENTITY)
    preparing.prepare(project, work, watch)
    checkpoints.remove_unsound(work / CHECKPOINTS)
    return False


def _train(project: Project, work: Path, team: Any, watch: Watch) -> tuple[Any, list[str]]:
    """(the trainer after its last step, names of the weights that were new). Raises InputError."""
    from transformers import set_seed

    from edgebert.pretraining.objective import Objective
    from edgebert.pretraining.trainer import Course, PretrainingTrainer

    recipe, pieces = project.recipe, vocabulary.pieces(work / preparing.TOKENIZER)
    sentence, distil = recipe.objective.sentence, recipe.objective.distil
    text = corpus.read(work / preparing.TRAIN)
    whole = recipe.objective.whole_pairs
    held_out = HeldOut(corpus.read(work / preparing.VALID), pieces, sentence, whole)
    steps = steps_of(recipe.train, len(text.rows) * len(showings(sentence, whole)))
    set_seed(recipe.seed)
    teacher = models.teacher(project, work)
    model, new = models.first(project, work, pieces, teacher)
    models.freeze(model, project.architecture, recipe.train.freeze)
    objective = Objective(model, project.architecture, sentence != "none")
    if teacher is not None:
        assert distil is not None
        assert project.teacher is not None
        objective.taught_by(teacher, project.teacher.architecture, distil.temperature)
    trainer = PretrainingTrainer(
        weights=_weights(recipe),
        held_out=held_out,
        batch=recipe.train.batch,
        model=objective,
        args=_arguments(recipe, steps, team, work / CHECKPOINTS),
        train_dataset=Training(text, pieces, sentence, recipe.seed, steps * recipe.train.batch, whole),
    )
    phase = Phase("training", f"pre-train {project.architecture.NAME}, {steps} steps")
    trainer.add_callback(Course(trainer, outcome.first_step(steps), recipe.train.evaluate_every, watch.tell))
    watch.begin(phase, False)
    checkpoint = checkpoints.newest(work / CHECKPOINTS)
    try:
        trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    except pickle.UnpicklingError as error:
        raise InputError(
            f"{checkpoint}: cannot be read safely ({str(error).splitlines()[0]}); remove it to go on from the one "
            "before, or start over with --fresh"
        ) from None
    watch.end(phase)
    return trainer, new


def steps_of(settings: Train, rows: int) -> int:
    """How many steps a training whose epochs have `rows` examples has."""
    if settings.steps is not None:
        return settings.steps
    assert settings.epochs is not None
    return max(10, round(settings.epochs * rows / settings.batch))


def shares(settings: Train, processes: int) -> tuple[int, int]:
    """(segments a process takes at a time, how many times a step). Raises InputError where they do not fill it."""
    if settings.batch % processes:
        raise InputError(f"train.batch = {settings.batch}: cannot be shared by {processes} processes alike")
    own = settings.batch // processes
    at_once = min(settings.at_once or own, own)
    if own % at_once:
        raise InputError(
            f"train.at_once = {at_once}: does not divide {own}, the segments of a step for each of {processes} "
            "processes"
        )
    return at_once, own // at_once


def _weights(recipe: PretrainRecipe) -> dict[str, float]:
    distil = recipe.objective.distil
    if distil is not None:
        return {"soft": distil.soft, "masked": distil.mlm, "cosine": distil.cosine}
    pair = {} if recipe.objective.sentence == "none" else {"pair": recipe.objective.sentence_weight}
    return {"masked": 1.0, **pair}


def _arguments(recipe: PretrainRecipe, steps: int, team: Any, folder: Path) -> Any:
    from transformers import TrainingArguments

    settings = recipe.train
    at_once, accumulate = shares(settings, team.num_processes)
    on_cpu = team.device.type == "cpu"
    arguments = TrainingArguments(
        output_dir=str(folder),
        use_cpu=on_cpu,
        max_steps=steps,
        per_device_train_batch_size=at_once,
        gradient_accumulation_steps=accumulate,
        learning_rate=settings.learning_rate,
        lr_scheduler_type="linear",
        warmup_steps=round(settings.warmup * steps),
        weight_decay=settings.weight_decay,
        adam_epsilon=1e-6,  # Devlin et al. 2018 and Lan et al. 2019 use it, and a norm of at most 1
        max_grad_norm=1.0,
        optim="adamw_torch_fused",
        seed=recipe.seed,
        bf16=in_bf16(settings.precision, on_cpu),
        train_sampling_strategy="sequential",  # `examples.Training` has shuffled already
        save_strategy="steps",
        save_steps=settings.checkpoint_every,
        save_total_limit=2,  # the last one may be under way when a kill comes
        logging_steps=settings.log_every,
        logging_nan_inf_filter=False,
        report_to=[],
        disable_tqdm=True,
        dataloader_pin_memory=False,
        dataloader_num_workers=settings.workers,
        remove_unused_columns=False,
        ddp_find_unused_parameters=False,
        ddp_timeout=int(LONGEST_WAIT.total_seconds()),
    )
    if team.num_processes == 1:
        arguments._n_gpu = min(
            arguments.n_gpu, 1
        )  # several GPUs take `accelerate launch`, not torch's DataParallel
    return arguments


def _publish(project: Project, trainer: Any, new: list[str], place: Path, work: Path) -> None:
    """Write the model folder; it takes its place whole."""
    room = Path(tempfile.mkdtemp(prefix=preparing.DRAFT, dir=work))
    draft = room / "new"
    trainer.model.model.save_pretrained(draft)
    for path in (work / preparing.TOKENIZER).iterdir():
        shutil.copyfile(path, draft / path.name)
    mine = json.loads((work / IDENTITY).read_text(encoding="utf-8"))
    counts = {name: corpus.counts(work / name) for name in (preparing.TRAIN, preparing.VALID)}
    outcome.write(outcome.of(project, trainer, new, counts) | mine, draft)
    replace_folder(draft, place, room / "old")

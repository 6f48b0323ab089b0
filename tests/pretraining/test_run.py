"""A recipe becomes a model folder, and a training that was cut short ends as one that was not."""

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from edgebert import members
from edgebert.errors import InputError, SurroundingsError
from edgebert.pipeline import Unwatched
from edgebert.pretraining import checkpoints, outcome, project, recipe, run
from edgebert.pretraining.recipe import Train
from edgebert.stages import load
from edgebert.steps import Named
from tests.pretraining import prose

SOURCE = 'source = "{}"'


class Killed(BaseException):
    """Stands for a kill: nothing of ours may catch it."""


class Watching(Unwatched):
    """Remembers the phases, and ends all at a step of the training."""

    def __init__(self, last: int = 10**9) -> None:
        self.last, self.phases, self.cached, self.told = last, [""], set[str](), (0, 0)

    def begin(self, step: Named, cached: bool) -> None:
        self.phases.append(step.key)
        self.cached |= {step.key} if cached else set()

    def tell(self, done: int, total: int) -> None:
        self.told = done, total
        if self.phases[-1] == "training" and done == self.last:
            raise Killed


def train(path: Path, out: Path, *overrides: str, watch: Watching | None = None, fresh: bool = False) -> Any:
    return run.run(project.read(recipe.load(path, list(overrides))), out, watch or Watching(), fresh)


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The toy's recipe."""
    return prose.project(tmp_path_factory.mktemp("project"))


@pytest.fixture(scope="module")
def made(toy: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], Path]:
    """What an undisturbed training told, and where it wrote."""
    out = tmp_path_factory.mktemp("made")
    return train(toy, out), out


def test_the_document_tells_the_curve_and_the_held_out_figures(made: tuple[dict[str, Any], Path]) -> None:
    found, out = made
    assert [one["step"] for one in found["curve"]] == list(range(1, 13))
    assert [one["step"] for one in found["held_out"]] == [0, 1, 12]
    assert found["perplexity"] == {
        "first": found["held_out"][1]["perplexity"],
        "last": found["held_out"][2]["perplexity"],
    }
    assert found["perplexity"]["last"] < 0.9 * found["perplexity"]["first"]
    accuracy = found["sop_accuracy"]
    assert accuracy["rows"] == found["text"]["valid"]["rows"] == 100
    assert accuracy["ci95"][0] <= accuracy["value"] <= accuracy["ci95"][1]
    assert found["nsp_accuracy"] is None
    assert found["from"] == "random weights"
    assert json.loads((out / "toy" / outcome.FILE).read_text()) == found
    assert str(out) not in json.dumps(found)
    assert [path.name for path in out.iterdir()] == ["toy"]  # the working folder is gone


def test_the_folder_is_a_model_that_a_build_can_begin_with(
    made: tuple[dict[str, Any], Path], tmp_path: Path
) -> None:
    from transformers import AutoModelForPreTraining, AutoTokenizer

    from edgebert import sources

    folder = made[1] / "toy"
    known = {name: members.find("architectures", name).MODEL_TYPES for name in members.names("architectures")}
    assert sources.check(folder, None, known) == "bert"
    load.run(folder, "bert", tmp_path)
    model, report = AutoModelForPreTraining.from_pretrained(folder, output_loading_info=True)
    assert not report["missing_keys"]
    assert model.num_parameters() == made[0]["parameters"]
    assert AutoTokenizer.from_pretrained(folder)("the river")["input_ids"][0] == 2
    names = {"config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json", "vocab.txt"}
    assert {path.name for path in folder.iterdir()} == {*names, outcome.FILE}


def test_a_training_cut_short_goes_on_along_the_same_curve(
    toy: Path, made: tuple[dict[str, Any], Path], tmp_path: Path
) -> None:
    with pytest.raises(Killed):
        train(toy, tmp_path, watch=Watching(last=8))
    assert not (tmp_path / "toy").exists()
    assert [path.name for path in (tmp_path / ".toy" / "checkpoints").iterdir()] == ["checkpoint-5"]
    watch = Watching()
    found = train(toy, tmp_path, watch=watch)
    assert watch.cached == {"tokenizer", "train", "valid"}
    assert watch.told == (12, 12)
    assert found == made[0]  # every loss, to the last digit
    one, other = (load_file(folder / "toy" / "model.safetensors") for folder in (tmp_path, made[1]))
    assert all(torch.equal(tensor, other[name]) for name, tensor in one.items())


def test_a_half_written_checkpoint_is_not_read(
    toy: Path, made: tuple[dict[str, Any], Path], tmp_path: Path
) -> None:
    with pytest.raises(Killed):
        train(toy, tmp_path, watch=Watching(last=11))
    folder = tmp_path / ".toy" / "checkpoints"
    assert checkpoints.newest(folder) == folder / "checkpoint-10"
    weights = folder / "checkpoint-10" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    assert checkpoints.newest(folder) == folder / "checkpoint-5"
    assert train(toy, tmp_path) == made[0]


def test_a_checkpoint_runs_no_code(toy: Path, tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[Callable[..., Any], tuple[str]]:
            return Path.touch, (Path(tmp_path / "ran"),)  # type: ignore[return-value]

    with pytest.raises(Killed):
        train(toy, tmp_path, watch=Watching(last=8))
    folder = tmp_path / ".toy" / "checkpoints" / "checkpoint-5"
    (folder / "optimizer.pt").write_bytes(pickle.dumps(Evil()))
    checkpoints.seal(folder)
    with pytest.raises(InputError, match=r"checkpoint-5: cannot be read safely"):
        train(toy, tmp_path)
    assert not (tmp_path / "ran").exists()


def test_a_finished_training_is_told_again_at_once(toy: Path, made: tuple[dict[str, Any], Path]) -> None:
    watch = Watching()
    assert train(toy, made[1], watch=watch) == made[0]
    assert watch.phases == [""]
    assert (
        train(toy, made[1], "train.checkpoint_every=7", "train.log_every=3") == made[0]
    )  # lead to the same model


def test_whole_pairs_and_frozen_layers_go_on_from_a_model(
    made: tuple[dict[str, Any], Path], toy: Path, tmp_path: Path
) -> None:
    """What is frozen stays to the last bit, what is not learns; pairs are asked once of each held-out row."""
    text, source = toy.read_text(encoding="utf-8"), made[1] / "toy"
    path = toy.with_name("more.toml")
    tables = text[: text.index("[tokenizer]")] + f'[model]\nsource = "{source}"\n\n' + text[text.index("[obj") :]
    path.write_text(tables.replace('name = "toy"', 'name = "more"') + "freeze = 1\n", encoding="utf-8")
    found = train(path, tmp_path, "objective.whole_pairs=true", "objective.sentence_weight=5", "train.at_once=1")
    assert found["sop_accuracy"]["rows"] == found["text"]["valid"]["rows"]
    assert found["perplexity"]["last"] < found["perplexity"]["first"]
    assert found["held_out"][0]["perplexity"] == pytest.approx(made[0]["perplexity"]["last"], rel=1e-4)
    before, after = (load_file(folder / "model.safetensors") for folder in (source, tmp_path / "more"))
    kept = ("bert.embeddings.", "bert.encoder.layer.0.")
    for name, tensor in after.items():
        if not name.endswith(("key.bias", "decoder.bias")):  # a key's bias changes no attention
            assert torch.equal(tensor, before[name]) == name.startswith(kept), name


def test_a_training_of_another_recipe_is_not_gone_on_with(
    toy: Path, made: tuple[dict[str, Any], Path], tmp_path: Path
) -> None:
    with pytest.raises(Killed):
        train(toy, tmp_path, watch=Watching(last=8))
    wanted = r"\.toy: holds the training of another recipe \(train.learning_rate = 0.003 there, 0.001 here\)"
    with pytest.raises(InputError, match=wanted):
        train(toy, tmp_path, "train.learning_rate=1e-3")
    with pytest.raises(InputError, match=r"/toy: holds the training of another recipe \(seed = 3 there, 4 here\)"):
        train(toy, made[1], "seed=4")
    watch = Watching(last=3)
    with pytest.raises(Killed):
        train(toy, tmp_path, "train.learning_rate=1e-3", watch=watch, fresh=True)
    assert watch.cached == set()


def test_changed_text_is_another_training(tmp_path: Path) -> None:
    path = prose.project(tmp_path)
    with pytest.raises(Killed):
        train(path, tmp_path, watch=Watching(last=1))
    prose.write(tmp_path / "train.txt", 201, 1)
    with pytest.raises(InputError, match=r"another recipe \(files\.train = "):
        train(path, tmp_path)


def test_a_folder_that_is_not_ours_is_left_alone(toy: Path, tmp_path: Path) -> None:
    (tmp_path / "toy").mkdir()
    (tmp_path / "toy" / "mine.txt").write_text("mine")
    with pytest.raises(InputError, match=r"/toy: is there already, and was not made by pretrain"):
        train(toy, tmp_path)
    assert (tmp_path / "toy" / "mine.txt").read_text() == "mine"


def test_two_trainings_in_one_folder_are_refused(toy: Path, tmp_path: Path) -> None:
    (tmp_path / ".toy").mkdir()
    with (
        run._alone(tmp_path / ".toy"),
        pytest.raises(SurroundingsError, match="another process is training there"),
    ):
        train(toy, tmp_path)


def test_a_loss_that_is_no_number_stops_the_training_and_keeps_the_last_good_checkpoint(
    toy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from edgebert.pretraining.objective import Objective

    forward, calls = Objective.forward, iter(range(1, 100))

    def failing(self: Objective, **batch: torch.Tensor) -> Any:
        sums = forward(self, **batch)
        return {**sums, "masked": sums["masked"] * (float("nan") if self.training and next(calls) == 8 else 1)}

    monkeypatch.setattr(Objective, "forward", failing)
    wanted = (
        r"stopped at step 8 \(examples 56 to 63\): the loss is not a number.*learning_rate = 0.003.*checkpoint-5"
    )
    with pytest.raises(InputError, match=wanted):
        train(toy, tmp_path)
    assert (
        checkpoints.newest(tmp_path / ".toy" / "checkpoints") == tmp_path / ".toy" / "checkpoints" / "checkpoint-5"
    )
    assert not (tmp_path / "toy").exists()


def test_weights_that_are_no_numbers_are_not_kept(
    toy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The loss of a step can be fine and its gradient not; no checkpoint may hold what comes of it."""
    from edgebert.pretraining.objective import Objective

    forward, calls = Objective.forward, iter(range(1, 100))

    def failing(self: Objective, **batch: torch.Tensor) -> Any:
        sums = forward(self, **batch)
        if self.training and next(calls) == 10:
            sums["masked"].register_hook(lambda gradient: gradient * float("nan"))
        return sums

    monkeypatch.setattr(Objective, "forward", failing)
    with pytest.raises(InputError, match=r"stopped at step 10 \(examples 72 to 79\): a weight is not a number"):
        train(toy, tmp_path)
    folder = tmp_path / ".toy" / "checkpoints"
    assert [path.name for path in folder.iterdir()] == ["checkpoint-5"]
    assert checkpoints.newest(folder) == folder / "checkpoint-5"


@pytest.mark.parametrize(
    ("settings", "processes", "wanted"),
    [
        (Train(steps=10, batch=32), 1, (32, 1)),
        (Train(steps=10, batch=32), 4, (8, 1)),
        (Train(steps=10, batch=32, at_once=4), 2, (4, 4)),
        (Train(steps=10, batch=32, at_once=100), 2, (16, 1)),
    ],
)
def test_a_batch_is_shared(settings: Train, processes: int, wanted: tuple[int, int]) -> None:
    assert run.shares(settings, processes) == wanted


@pytest.mark.parametrize(
    ("settings", "processes", "wanted"),
    [
        (Train(steps=10, batch=32), 3, "train.batch = 32: cannot be shared by 3 processes"),
        (Train(steps=10, batch=32, at_once=5), 2, "train.at_once = 5: does not divide 16"),
    ],
)
def test_a_batch_that_cannot_be_shared_is_told(settings: Train, processes: int, wanted: str) -> None:
    with pytest.raises(InputError, match=wanted):
        run.shares(settings, processes)


@pytest.mark.slow
def test_a_batch_in_parts_makes_the_same_steps(
    toy: Path, made: tuple[dict[str, Any], Path], tmp_path: Path
) -> None:
    """With no dropout; the parts draw their own."""
    still = "model.values={hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64, "
    still += "hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0}"
    whole = train(toy, tmp_path / "whole", still)
    parts = train(toy, tmp_path / "parts", still, "train.at_once=2")
    assert [one["loss"] for one in parts["curve"]] == pytest.approx(
        [one["loss"] for one in whole["curve"]], abs=1e-5
    )
    assert whole["curve"] != made[0]["curve"]


def test_epochs_are_counted_in_rows(toy: Path) -> None:
    assert run.steps_of(Train(epochs=2.5, batch=8), 100) == 31
    assert run.steps_of(Train(epochs=0.1, batch=8), 100) == 10
    assert run.steps_of(Train(steps=77), 100) == 77

"""The training loop: the best epoch, going on after an interruption, and a loss that is no number."""

import json
import math
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from edgebert.errors import InputError
from edgebert.training import epochs as epochs_of, loop
from edgebert.training.epochs import Epoch
from edgebert.training.loop import Course, Material

COURSE = Course(epochs=3, batch=8, learning_rate=0.05, head_learning_rate=0.05, seed=5)
ROWS = 42


class Line(torch.nn.Module):  # type: ignore[misc]
    """y = weight x + bias, with noise as dropout has it, so that a wrong state of the generators shows."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.bias = torch.nn.Parameter(torch.zeros(()))

    def forward(self, x: Any) -> Any:
        noise = 1 + 0.1 * torch.randn(len(x)) if self.training else 1
        return (self.weight * x + self.bias) * noise


X = torch.linspace(-1, 1, ROWS)


def material(
    loss: Callable[[Any, Any], Any] | None = None, score: Callable[[Any], tuple[float, float]] | None = None
) -> Material:
    def squares(model: Any, batch: Any) -> Any:
        return ((model(batch["x"]) - 2 * batch["x"] - 1) ** 2).mean()

    def on_dev(model: Any) -> tuple[float, float]:
        model.eval()
        found = -float(squares(model, {"x": X}).detach())
        model.train()
        return 0.5, found

    return Material(
        lengths=[5 + i % 7 for i in range(ROWS)],
        collate=lambda numbers: {"x": X[list(numbers)]},
        loss=loss or squares,
        score=score or on_dev,
        name=lambda number: f"row {number + 1}",
    )


def train(room: Path, what: Material | None = None, course: Course = COURSE, model: Any = None) -> list[Epoch]:
    return loop.train(model or Line(), what or material(), course, (), room, lambda *_: None)


def test_something_is_learned_and_the_best_epoch_is_kept(tmp_path: Path) -> None:
    model = Line()
    worths = iter([0.2, 0.9, 0.1])
    states = []

    def score(model: Any) -> tuple[float, float]:
        states.append({name: tensor.clone() for name, tensor in model.state_dict().items()})
        return next(worths), -1.0

    epochs = train(tmp_path, material(score=score), model=model)
    assert [epoch.quality for epoch in epochs] == [0.2, 0.9, 0.1]
    assert epochs[-1].loss < epochs[0].loss
    assert epochs_of.best(epochs).step == 12
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, states[1][name])
        assert not torch.equal(tensor, states[2][name])


def test_the_loss_on_dev_decides_between_epochs_of_equal_quality() -> None:
    epochs = [Epoch(1, 0.5, 0.4, 0), Epoch(2, 0.5, 0.3, 0), Epoch(3, 0.4, 0.1, 0), Epoch(4, 0.6, math.nan, 0)]
    assert epochs_of.best(epochs).step == 2


class Stop(Exception):
    """As a kill would."""


def stopping(after: int) -> Material:
    """Material whose scoring is interrupted at the end of an epoch."""
    plain, count = material(), iter(range(100))

    def score(model: Any) -> tuple[float, float]:
        if next(count) == after:
            raise Stop
        return plain.score(model)

    return material(score=score)


@pytest.mark.parametrize("after", [0, 1, 2])
def test_an_interrupted_run_ends_where_one_run_ends(tmp_path: Path, after: int) -> None:
    at_once, went_on = Line(), Line()
    whole = train(tmp_path / "at once", model=at_once)
    with pytest.raises(Stop):
        train(tmp_path / "room", stopping(after))
    assert len(list((tmp_path / "room").glob("checkpoint-*"))) == min(after, 1)
    assert train(tmp_path / "room", model=went_on) == whole
    assert all(torch.equal(a, b) for a, b in zip(at_once.parameters(), went_on.parameters(), strict=True))


def test_a_finished_run_is_not_trained_again(tmp_path: Path) -> None:
    whole = train(tmp_path)
    assert train(tmp_path, stopping(0)) == whole


def test_a_checkpoint_that_was_half_written_is_passed_over(tmp_path: Path) -> None:
    whole = train(tmp_path / "at once")
    with pytest.raises(Stop):
        train(tmp_path / "room", stopping(1))
    (checkpoint,) = (tmp_path / "room").glob("checkpoint-*")
    half = checkpoint.with_name("checkpoint-12")
    shutil.copytree(checkpoint, half)
    state = half / "trainer_state.json"
    state.write_text(state.read_text()[:50])
    assert train(tmp_path / "room") == whole


def test_nothing_of_a_checkpoint_is_unpickled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded: list[bool] = []
    load = torch.load

    def watched(*given: Any, **named: Any) -> Any:
        loaded.append(named.get("weights_only", False))
        return load(*given, **named)

    with pytest.raises(Stop):
        train(tmp_path, stopping(1))
    monkeypatch.setattr(torch, "load", watched)
    train(tmp_path)
    assert loaded and all(loaded)


def test_a_loss_that_is_no_number_names_the_batch_and_keeps_the_last_checkpoint(tmp_path: Path) -> None:
    plain = material()

    def poisoned(model: Any, batch: Any) -> Any:
        loss = plain.loss(model, batch)
        steps.append(len(batch["x"]))
        return loss * math.nan if len(steps) == 9 else loss

    steps: list[int] = []
    with pytest.raises(
        InputError, match=r"the loss is nan at step 9 of 18, in the batch of row \d+, row \d+"
    ) as told:
        train(tmp_path, material(loss=poisoned))
    (checkpoint,) = tmp_path.glob("checkpoint-*")
    assert f"the last good checkpoint is kept in {checkpoint}" in str(told.value)
    assert json.loads((checkpoint / "trainer_state.json").read_text())["global_step"] == 6
    numbers = {int(word) for word in str(told.value).replace(",", " ").replace(";", " ").split() if word.isdigit()}
    assert numbers & set(range(1, ROWS + 1))
    assert all(torch.isfinite(tensor).all() for tensor in load_file(checkpoint / "model.safetensors").values())


def test_weights_that_are_no_numbers_at_the_end_are_not_kept(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="the loss on dev is not a number; lower the learning rate"):
        train(tmp_path, material(score=lambda model: (0.5, math.nan)))


def test_the_head_learns_at_its_own_rate_and_what_is_frozen_stays(tmp_path: Path) -> None:
    still = Line()
    still.weight.requires_grad = False
    loop.train(still, material(), COURSE, (), tmp_path / "still", lambda *_: None)
    assert float(still.weight.detach()) == 0 and float(still.bias.detach()) != 0
    moved: Sequence[float] = []
    for number, rate in enumerate((0.0, 0.05)):
        model = Line()
        course = Course(1, 8, 0.05, rate, 5)
        loop.train(model, material(), course, ("bias",), tmp_path / str(number), lambda *_: None)
        moved = [*moved, float(model.bias.detach())]
    assert moved[0] == 0 and moved[1] != 0


def test_a_weight_that_is_there_twice_is_kept(tmp_path: Path) -> None:
    """As the output matrix of a masked-language model, which is that of its embeddings."""

    class Tied(Line):
        def __init__(self) -> None:
            super().__init__()
            self.again = self.weight

    model = Tied()
    with pytest.raises(Stop):
        train(tmp_path, stopping(1), model=Tied())
    train(tmp_path, model=model)
    assert model.again is model.weight and float(model.weight.detach()) != 0

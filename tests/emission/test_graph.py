"""What is emitted computes what torch computes, for every architecture and task, whatever the shapes."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from edgebert import members
from edgebert.emission import ACTIVATIONS, Bottlenecks, Emission
from edgebert.emission.graph import emit
from edgebert.emission.module import Lean, written
from edgebert.exportable import Exportable
from edgebert.stages import load
from edgebert.tasks import forward_of
from tests import toy

EMITTED = [name for name in members.names("architectures") if members.find("architectures", name).TRACED is None]
TASKS = [name.replace("_", "-") for name in members.names("tasks")]
CLOSE = 1e-4  # of the largest output
TOKENS = 12


@pytest.fixture(scope="module", params=EMITTED)
def architecture(request: pytest.FixtureRequest) -> ModuleType:
    return members.find("architectures", request.param)


@pytest.fixture(scope="module")
def source(architecture: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    room = tmp_path_factory.mktemp(architecture.NAME)
    (room / "loaded").mkdir()
    model = toy.write_model(room / "source", architecture=architecture.NAME, layers=3)
    return load.run(model, architecture.NAME, room / "loaded").folder


def model_of(task: ModuleType, source: Path) -> Any:
    """The task's model with random weights, all of them: what is 0 or 1 hides what is left out."""
    labels = ["a", "b", "c"] if task.LABELLED else []
    torch.manual_seed(1)
    model = task.model(source, labels, {"label_mean": -0.5, "label_scale": 2.5}).eval()
    for parameter in model.parameters():
        parameter.data += torch.randn_like(parameter) * (0.1 if parameter.ndim == 1 else 0.3)
    return model


def feeds_of(architecture: ModuleType, model: Any, batch: int) -> dict[str, Any]:
    """Texts of different lengths in two segments; the first has two masks, the second none."""
    random = np.random.default_rng(3)
    ids = random.integers(5, model.config.vocab_size, (batch, TOKENS))
    ids[0, 4] = ids[0, 7] = getattr(model, "mask_number", 5)
    mask = np.ones((batch, TOKENS), np.int64)
    mask[-1, TOKENS - 3 :] = 0
    types = np.repeat([[0] * 5 + [1] * (TOKENS - 5)], batch, 0)
    found = {"input_ids": ids, "attention_mask": mask, "token_type_ids": types}
    return {name: found[name] for name in architecture.INPUTS}


def emission_of(task: ModuleType, architecture: ModuleType, model: Any) -> Emission:
    blueprint = architecture.blueprint(model)
    return Emission(blueprint, task.head(model, blueprint))


def graph_of(task: ModuleType, architecture: ModuleType, model: Any, batch: int | None, tokens: int | None) -> Any:
    emission = emission_of(task, architecture, model)
    dtype = "int64" if batch is None else "int32"
    return emit(emission, architecture.INPUTS, task.OUTPUTS, batch, tokens, dtype, 17, 8)


def outputs_of(graph: Any, feeds: dict[str, Any]) -> dict[str, Any]:
    session = onnxruntime.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])
    types = {"tensor(int64)": np.int64, "tensor(int32)": np.int32}
    fed = {one.name: feeds[one.name].astype(types[one.type]) for one in session.get_inputs()}
    names = [one.name for one in session.get_outputs()]
    return dict(zip(names, session.run(names, fed), strict=True))


@pytest.mark.parametrize("name", TASKS)
@pytest.mark.parametrize("fixed", [False, True], ids=["free", "fixed"])
def test_an_emitted_graph_answers_as_torch(name: str, fixed: bool, architecture: ModuleType, source: Path) -> None:
    task = members.find("tasks", name)
    model = model_of(task, source)
    batch = 1 if fixed else 2
    feeds = feeds_of(architecture, model, batch)
    graph = graph_of(task, architecture, model, *((1, TOKENS) if fixed else (None, None)))
    module = Exportable(model, forward_of(task, model, architecture), architecture.INPUTS, task.OUTPUTS, False)
    with torch.inference_mode():
        expected = module(**{key: torch.from_numpy(value) for key, value in feeds.items()})
    found = outputs_of(graph, feeds)
    assert list(found) == list(task.OUTPUTS)
    for key, truth in zip(task.OUTPUTS, expected, strict=True):
        truth = truth.numpy()
        assert found[key].shape == truth.shape
        assert truth.size == 1 or np.ptp(truth) > 0.01 * np.abs(truth).max()
        np.testing.assert_allclose(found[key], truth, rtol=0, atol=CLOSE * np.abs(truth).max())


@pytest.mark.parametrize("name", TASKS)
def test_a_module_that_is_written_answers_as_torch(name: str, architecture: ModuleType, source: Path) -> None:
    task = members.find("tasks", name)
    model = model_of(task, source)
    emission = emission_of(task, architecture, model)
    if not written(emission):
        assert isinstance(emission.blueprint, Bottlenecks)
        return
    feeds = {key: torch.from_numpy(value) for key, value in feeds_of(architecture, model, 2).items()}
    plain = Exportable(model, forward_of(task, model, architecture), architecture.INPUTS, task.OUTPUTS, False)
    lean = Lean(emission, architecture.INPUTS, task.OUTPUTS)
    with torch.inference_mode():
        expected, found = plain(**feeds), lean(**feeds)
    assert len(found) == len(expected)
    for one, truth in zip(found, expected, strict=True):
        assert one.shape == truth.shape
        torch.testing.assert_close(one, truth, rtol=0, atol=CLOSE * float(truth.abs().max()))


@pytest.mark.parametrize("kind", ACTIVATIONS)
def test_every_activation_is_torchs(kind: str, source: Path, architecture: ModuleType) -> None:
    from transformers.activations import ACT2FN

    from edgebert.emission.builder import Builder
    from edgebert.emission.operators import activation

    build = Builder()
    build.output(activation(build, "x", kind, "act"), "y")
    graph = build.model({"x": ("int64", [None])}, {"y": [None]}, 17, 8)
    graph.graph.input[0].type.tensor_type.elem_type = onnx.TensorProto.FLOAT
    x = np.linspace(-6, 6, 101, dtype=np.float32)
    session = onnxruntime.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])
    [found] = session.run(None, {"x": x})
    np.testing.assert_allclose(found, ACT2FN[kind](torch.from_numpy(x)).numpy(), atol=1e-6)

"""neural-compressor's scales in our file: the answers are those of its own quantized torch model."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from numpy.typing import NDArray
from onnx import numpy_helper

from edgebert import artifact, members, quiet, scoring
from edgebert.artifact import Artifact
from edgebert.emission import Emission
from edgebert.emission.module import Lean
from edgebert.product_scales import Products, scales_of
from edgebert.quantizers import Settings, neural_compressor
from edgebert.tokenization import Encoder, Feeds
from tests import toy
from tests.conftest import Built, skip_without

TASK, BERT = members.find("tasks", "text-classification"), members.find("architectures", "bert")


def encoded(model: Artifact, count: int, seed: int) -> list[Feeds]:
    encoder = Encoder(model.folder, model.max_tokens, BERT.INPUTS)
    return [encoder.encode(row["text"]).feeds for row in toy.rows(count, seed)]


@pytest.fixture(scope="module")
def trained(built: Built) -> Artifact:
    return artifact.read(next((built.out / ".store").glob("finetune-*")))


@pytest.fixture(scope="module")
def fp32(built: Built) -> Artifact:
    found = [artifact.read(folder) for folder in (built.out / ".store").glob("export-*")]
    return next(one for one in found if one.form == "onnx")


@pytest.fixture(params=["minmax", "kl"])
def algorithm(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """One way of taking ranges, with nothing to tune; so both sides take the same."""
    skip_without(neural_compressor)
    with quiet.into(tmp_path / "log"):
        from neural_compressor.torch.quantization.config import INT8StaticQuantConfig

        one = INT8StaticQuantConfig(act_algo=request.param)
    monkeypatch.setattr(INT8StaticQuantConfig, "get_config_set_for_tuning", lambda: one)
    return str(request.param)


def in_torch(model: Artifact, algorithm: str, batches: Sequence[Feeds]) -> Any:
    """The whole classifier as neural-compressor quantizes it in torch."""
    from neural_compressor.torch.export import export
    from neural_compressor.torch.quantization import convert, prepare
    from neural_compressor.torch.quantization.config import INT8StaticQuantConfig

    classifier = TASK.model(model.folder, None, {}).eval()
    blueprint = BERT.blueprint(classifier)
    whole = Lean(Emission(blueprint, TASK.head(classifier, blueprint)), BERT.INPUTS, TASK.OUTPUTS)
    length = torch.export.Dim("tokens", min=3, max=64)
    example = fed(batches[0])
    exported = export(whole, example, dynamic_shapes={"tensors": tuple({1: length} for _ in example)})
    prepared = prepare(exported, INT8StaticQuantConfig(act_algo=algorithm))
    for feeds in batches:
        prepared(*fed(feeds))
    return convert(prepared)


def fed(feeds: Feeds) -> tuple[torch.Tensor, ...]:
    return tuple(torch.from_numpy(feeds[name]) for name in BERT.INPUTS)


def activation_scales(path: Path) -> NDArray[np.float32]:
    model = onnx.load(str(path))
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    found = [constants[n.input[1]].item() for n in model.graph.node if n.op_type == "QuantizeLinear"]
    return np.sort(np.asarray(found, np.float32))


def test_the_file_answers_as_its_own_torch_model_does(
    algorithm: str, trained: Artifact, fp32: Artifact, tmp_path: Path
) -> None:
    batches, rows = encoded(trained, 64, 1), encoded(trained, 60, 9)
    with quiet.into(tmp_path / "log"), torch.no_grad():
        neural_compressor.apply(fp32.path, Settings(), batches, tmp_path / "int8.onnx")
        converted = in_torch(trained, algorithm, batches)
        expected = np.concatenate([converted(*fed(feeds))[0].numpy() for feeds in rows]).ravel()
    one = fp32.model_copy(update={"file": "int8.onnx", "folder": tmp_path})
    found = toy.logits_of(scoring.outputs_of(one.folder, one.entry("any"), rows)).ravel()
    assert found @ expected / np.linalg.norm(found) / np.linalg.norm(expected) >= 0.99
    theirs = [n.args[1] for n in converted.graph.nodes if "dequantize_per_tensor" in str(n.target)]
    ours = activation_scales(tmp_path / "int8.onnx")
    np.testing.assert_allclose(ours, np.sort(np.asarray(theirs, np.float32)), rtol=0.05)


def test_its_tuning_takes_the_settings_whose_file_is_nearest_to_fp32(
    trained: Artifact, fp32: Artifact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    skip_without(neural_compressor)
    batches = encoded(trained, 32, 1)
    merits: list[float] = []
    with quiet.into(tmp_path / "log"):
        from neural_compressor.common import base_tuning

        told = base_tuning.TuningMonitor.add_trial_result

        def listen(self: Any, trial: int, result: float, config: Any) -> None:
            merits.append(result)
            told(self, trial, result, config)

        monkeypatch.setattr(base_tuning.TuningMonitor, "add_trial_result", listen)
        neural_compressor.apply(fp32.path, Settings(), batches, tmp_path / "int8.onnx")
    assert len(merits) == 4  # symmetric or not, by entropy or by least and largest value
    one = fp32.model_copy(update={"file": "int8.onnx", "folder": tmp_path})
    found, expected = (
        toy.logits_of(scoring.outputs_of(each.folder, each.entry("any"), batches)).ravel() for each in (one, fp32)
    )
    best = found @ expected / np.linalg.norm(found) / np.linalg.norm(expected)
    assert best == pytest.approx(max(merits), abs=1e-6)


def test_a_product_that_was_left_float_is_told() -> None:
    products = Products([np.ones((3, 4), np.float32)], [0])
    logging.disable(logging.WARNING)
    try:
        graph = torch.export.export(products, (torch.ones(2, 4),)).module()
    finally:
        logging.disable(logging.NOTSET)
    with pytest.raises(RuntimeError, match="left linear in float"):
        scales_of(graph)


def test_products_share_the_weights_that_they_are_given_as_one() -> None:
    one, other = np.ones((3, 4), np.float32), np.ones((3, 4), np.float32)
    products = Products([one, one, other], [0, 1, 1])
    assert products.linears[0] is products.linears[1]
    assert products.linears[0] is not products.linears[2]
    found = products(torch.ones(2, 4), torch.full((2, 4), 2.0))
    assert [float(each[0, 0].detach()) for each in found] == [4.0, 8.0, 8.0]

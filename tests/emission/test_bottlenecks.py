"""Every form that a MobileBERT's config allows is emitted as torch runs it."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch

from edgebert import members
from edgebert.emission import Emission
from edgebert.emission.graph import emit
from edgebert.exportable import Exportable
from edgebert.tasks import forward_of

MOBILEBERT = members.find("architectures", "mobilebert")
TASK = members.find("tasks", "text-classification")
SIZES = {
    "vocab_size": 50,
    "hidden_size": 32,
    "embedding_size": 16,
    "intra_bottleneck_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "max_position_embeddings": 32,
    "num_labels": 4,
}
FORMS: dict[str, dict[str, Any]] = {
    "published": {},
    "tiny": {
        "use_bottleneck_attention": True,
        "key_query_shared_bottleneck": False,
        "num_feedforward_networks": 2,
    },
    "own queries": {  # transformers runs them as wide as the hidden states only
        "key_query_shared_bottleneck": False,
        "num_feedforward_networks": 1,
        "intra_bottleneck_size": 32,
    },
    "no bottleneck": {"use_bottleneck": False, "intra_bottleneck_size": 32},
    "layer norm": {"normalization_type": "layer_norm"},
    "words alone": {"trigram_input": False},
    "wide words": {"trigram_input": False, "embedding_size": 32},
    "pooled": {"classifier_activation": True},
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_is_emitted_as_torch_runs_it(form: str) -> None:
    from transformers import MobileBertForSequenceClassification

    torch.manual_seed(3)
    config = MOBILEBERT.config({**SIZES, "classifier_activation": False, **FORMS[form]})
    config._attn_implementation = "eager"
    model = MobileBertForSequenceClassification(config).eval()
    for parameter in model.parameters():
        parameter.data += torch.randn_like(parameter) * 0.1
    ids = np.random.default_rng(1).integers(5, 50, (3, 9))
    mask = np.ones((3, 9), np.int64)
    mask[1, 6:] = 0
    feeds = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.repeat([[0] * 4 + [1] * 5], 3, 0)}
    blueprint = MOBILEBERT.blueprint(model)
    emission = Emission(blueprint, TASK.head(model, blueprint))
    graph = emit(emission, MOBILEBERT.INPUTS, TASK.OUTPUTS, None, None, "int64", 17, 8)
    module = Exportable(model, forward_of(TASK, model, MOBILEBERT), MOBILEBERT.INPUTS, TASK.OUTPUTS, False)
    with torch.inference_mode():
        [expected] = (one.numpy() for one in module(**{key: torch.from_numpy(one) for key, one in feeds.items()}))
    session = onnxruntime.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])
    [found] = session.run(None, feeds)
    assert np.ptp(expected) > 0.01 * np.abs(expected).max()
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4 * np.abs(expected).max())


def test_an_activation_that_is_not_emitted_is_left_to_the_tracer() -> None:
    from transformers import MobileBertForSequenceClassification

    model = MobileBertForSequenceClassification(MOBILEBERT.config({**SIZES, "hidden_act": "silu"}))
    assert MOBILEBERT.blueprint(model) is None

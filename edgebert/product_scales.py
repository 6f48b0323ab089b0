"""Scales of a graph's matrix products, calibrated and tuned by Intel's neural-compressor.

neural-compressor 3 quantizes torch modules that torch.export can read, and of a transformer the Linear modules
alone. So the products of an ONNX graph become a module of Linear modules side by side; what calibration shows it
are the activations that the graph itself has, and what it says of their ranges is written back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from edgebert.onnx_qdq import Scales

Activations = Sequence[NDArray[np.float32]]  # [rows, in] each, one for each tensor that products read


class Products(torch.nn.Module):  # type: ignore[misc]  # torch is not read by mypy here
    """Linear modules side by side.

    `weights` are float32 [out, in], the same array where products share it; `reads` tells which of the
    activations each product reads.
    """

    def __init__(self, weights: Sequence[NDArray[np.float32]], reads: Sequence[int]) -> None:
        super().__init__()
        self.reads = list(reads)
        known: dict[int, torch.nn.Linear] = {}
        for weight in weights:
            if id(weight) not in known:
                known[id(weight)] = torch.nn.Linear(weight.shape[1], weight.shape[0], bias=False)
                known[id(weight)].weight = torch.nn.Parameter(torch.from_numpy(weight.copy()))
        self.linears = torch.nn.ModuleList(known[id(weight)] for weight in weights)

    def forward(self, *activations: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """float32 [rows, out] of each product, for the activations [rows, in]."""
        return tuple(linear(activations[at]) for linear, at in zip(self.linears, self.reads, strict=True))


def tuned(
    products: Products,
    batches: Callable[[], Iterable[Activations]],
    merit: Callable[[list[Scales]], float],
) -> list[Scales]:
    """The scales of each product under the best of neural-compressor's own settings for static int8.

    `batches` gives the activations of one text after the other; `merit`, at most 1, tells how good a file with
    such scales is. Raises RuntimeError where a product was left float.
    """
    from neural_compressor.torch.export import export
    from neural_compressor.torch.quantization import TuningConfig, autotune
    from neural_compressor.torch.quantization.config import INT8StaticQuantConfig

    settings = INT8StaticQuantConfig.get_config_set_for_tuning().expand()
    example = tuple(map(_rows, next(iter(batches()))))
    rows = {"activations": tuple({0: torch.export.Dim.AUTO} for _ in example)}
    exported = export(products, example, dynamic_shapes=rows)

    def calibrate(model: Any) -> None:
        for found in batches():
            model(*map(_rows, found))

    def judge(model: Any) -> float:
        return merit(scales_of(model)) if hasattr(model, "is_quantized") else 1.0

    trials = TuningConfig(config_set=settings, tolerable_loss=0.0, max_trials=len(settings))
    return scales_of(autotune(exported, trials, eval_fn=judge, run_fn=calibrate, example_inputs=example))


def _rows(found: NDArray[np.float32]) -> torch.Tensor:
    """At least two rows: torch.export takes a size of one for a constant."""
    return torch.from_numpy(np.concatenate([found, found]) if len(found) == 1 else found)


def scales_of(converted: Any) -> list[Scales]:
    """What a graph module in which torch's PT2E wrote Q/DQ nodes says of its products, in the order of outputs."""
    found = []
    for product in converted.graph.output_node().args[0]:
        x, weight = product.args[:2]
        if "dequantize_per_tensor" not in str(x.target) or "dequantize_per_channel" not in str(weight.target):
            raise RuntimeError(f"neural-compressor left {product.name} in float: {x.target}, {weight.target}")
        activation, zero, low, high = x.args[1:5]
        if (low, high) != (0, 255):
            raise RuntimeError(f"neural-compressor gave {product.name} activations from {low} to {high}")
        scale = getattr(converted, weight.args[1].target).detach().numpy().astype(np.float32)
        found.append(Scales(float(activation), int(zero), scale))
    return found

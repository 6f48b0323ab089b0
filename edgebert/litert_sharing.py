"""Keep weights that several layers share stored once in a TFLite file.

The converter folds a LayerNorm's factors into the weights of each product behind it. ALBERT's one layer reads its
own LayerNorm in every round but the first, where it reads the embeddings: its projections would be stored twice,
folded and not. Factors of three dimensions are left alone, and cost no more, as the residual needs them anyway.
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any


@contextmanager
def unfolded(module: Any, feeds: Mapping[str, Any]) -> Iterator[None]:
    """Within, each LayerNorm that a torch module runs more than once has factors that are not folded."""
    shared = [norm for norm, runs in _runs(module, feeds).items() if runs > 1]
    for norm in shared:
        norm.forward = functools.partial(_normalized, norm)
    try:
        yield
    finally:
        for norm in shared:
            del norm.forward


def _normalized(norm: Any, x: Any) -> Any:
    """What the LayerNorm `norm` makes of x [batch, tokens, hidden]."""
    import torch

    even = torch.nn.functional.layer_norm(x, norm.normalized_shape, eps=norm.eps)
    return even * norm.weight[None, None] + norm.bias[None, None]


def _runs(module: Any, feeds: Mapping[str, Any]) -> Counter[Any]:
    """How often each LayerNorm runs for one text."""
    import torch

    runs: Counter[Any] = Counter()
    norms = [one for one in module.modules() if isinstance(one, torch.nn.LayerNorm)]
    hooks = [norm.register_forward_hook(lambda norm, *_: runs.update([norm])) for norm in norms]
    with torch.inference_mode():
        module(**feeds)
    for hook in hooks:
        hook.remove()
    return runs

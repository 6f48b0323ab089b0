"""What happens inside an encoder: hidden states, queries, keys and values, and how far two encoders differ.

Hidden states are compared by their direction, as DistilBERT does (Sanh et al. 2019, section 3). Relations are
compared as distributions over tokens, attention (queries with keys) and values with values, as MiniLM does (Wang
et al. 2020, section 3): they need no common width, so a student may be narrower than its teacher.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from edgebert.architectures import Architecture

HIDDEN, QUERY, KEY, VALUE = "hidden", "query", "key", "value"
States = Mapping[str, Sequence[Any]]  # by kind, one tensor [batch, tokens, width] a layer, in the order they ran


@contextmanager
def recorded(model: Any, architecture: Architecture, relations: bool) -> Iterator[dict[str, list[Any]]]:
    """Record what a forward pass within the block computes; queries, keys and values only with `relations`.

    A layer that is shared is recorded each time it runs.
    """
    found: dict[str, list[Any]] = {HIDDEN: [], QUERY: [], KEY: [], VALUE: []}
    handles = []

    def record(kind: str, module: Any) -> None:
        def hook(module: Any, given: Any, output: Any) -> None:
            found[kind].append(output[0] if isinstance(output, tuple) else output)

        handles.append(module.register_forward_hook(hook))

    for layer in architecture.layers(model):
        record(HIDDEN, layer)
        if relations:
            parts = architecture.parts(layer)
            for kind, module in ((QUERY, parts.query), (KEY, parts.key), (VALUE, parts.value)):
                record(kind, module)
    try:
        yield found
    finally:
        for handle in handles:
            handle.remove()


def heads(model: Any, architecture: Architecture) -> int:
    """How many heads the attention has."""
    return architecture.parts(architecture.layers(model)[0]).heads


def hidden_distance(student: Any, teacher: Any, mask: Any) -> Any:
    """One minus the cosine, mean over tokens; [batch, tokens, width], mask float [batch, tokens]."""
    import torch

    found = 1.0 - torch.nn.functional.cosine_similarity(student, teacher, dim=-1)
    return (found * mask).sum() / mask.sum()


def relation_distance(student: tuple[Any, Any], teacher: tuple[Any, Any], mask: Any, heads: int) -> Any:
    """Divergence of how tokens relate to each other, mean over tokens and heads.

    Each of the pairs is (queries, keys) or (values, values), [batch, tokens, width]; widths may differ between
    student and teacher. Both are split into the same number of `heads`.
    """
    import torch

    away = (1.0 - mask)[:, None, None, :] * -1e4

    def log_shares(first: Any, second: Any) -> Any:
        batch, tokens, width = first.shape
        first, second = (x.view(batch, tokens, heads, width // heads).transpose(1, 2) for x in (first, second))
        scores = first @ second.transpose(2, 3) / (width // heads) ** 0.5
        return torch.log_softmax(scores + away, dim=-1)

    ours, theirs = log_shares(*student), log_shares(*teacher)
    found = (theirs.exp() * (theirs - ours)).sum(-1).mean(1)
    return (found * mask).sum() / mask.sum()

"""How far a student's outputs are from a teacher's, for each kind of output a task has: scalar tensors.

Distributions are compared at a temperature, and the result is multiplied by its square, so that gradients keep
their size whatever it is (Hinton et al. 2015, "Distilling the Knowledge in a Neural Network", section 2).
"""

from __future__ import annotations

from typing import Any


def classes(student: Any, teacher: Any, temperature: float) -> Any:
    """Kullback-Leibler divergence of one label of several; logits [batch, labels]."""
    return _divergence(student, teacher, temperature).mean()


def labels(student: Any, teacher: Any, temperature: float) -> Any:
    """Divergence of labels that are each there or not, summed over labels; logits [batch, labels]."""
    return _bernoulli(student, teacher, temperature).sum(-1).mean()


def token_classes(student: Any, teacher: Any, mask: Any, temperature: float) -> Any:
    """Divergence of one label a token; logits [batch, tokens, labels], mask float [batch, tokens]."""
    return _over(_divergence(student, teacher, temperature), mask)


def token_values(student: Any, teacher: Any, mask: Any) -> Any:
    """Mean squared difference of a number of each token; all [batch, tokens]."""
    return _over((student - teacher) ** 2, mask)


def positions(student: Any, teacher: Any, mask: Any, temperature: float) -> Any:
    """Divergence of one position of several, as where a span starts; logits and mask [batch, tokens]."""
    hidden = (1.0 - mask) * -1e4  # beside it no real logit counts, and float16 holds it
    return _divergence(student + hidden, teacher + hidden, temperature).mean()


def values(student: Any, teacher: Any) -> Any:
    """Mean squared difference of numbers, of any shape."""
    return ((student - teacher) ** 2).mean()


def vectors(student: Any, teacher: Any) -> Any:
    """One minus the cosine of vectors [batch, size]."""
    import torch

    return (1.0 - torch.nn.functional.cosine_similarity(student, teacher, dim=-1)).mean()


def _divergence(student: Any, teacher: Any, temperature: float) -> Any:
    """[...] for logits [..., choices]."""
    import torch

    ours = torch.log_softmax(student / temperature, dim=-1)
    theirs = torch.log_softmax(teacher / temperature, dim=-1)
    return (theirs.exp() * (theirs - ours)).sum(-1) * temperature**2


def _bernoulli(student: Any, teacher: Any, temperature: float) -> Any:
    import torch

    asked = torch.sigmoid(teacher / temperature)
    found = torch.nn.functional.binary_cross_entropy_with_logits(student / temperature, asked, reduction="none")
    least = torch.nn.functional.binary_cross_entropy_with_logits(teacher / temperature, asked, reduction="none")
    return (found - least) * temperature**2


def _over(found: Any, mask: Any) -> Any:
    return (found * mask).sum() / mask.sum().clamp(min=1.0)

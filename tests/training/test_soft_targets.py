"""Distances of outputs: none from itself, padding without weight, gradients that lead closer."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

from edgebert.training import soft_targets

T = 2.0
KINDS: dict[str, tuple[tuple[int, ...], Callable[..., Any]]] = {
    "classes": ((4, 3), lambda s, t, mask: soft_targets.classes(s, t, T)),
    "labels": ((4, 3), lambda s, t, mask: soft_targets.labels(s, t, T)),
    "token_classes": ((4, 6, 3), lambda s, t, mask: soft_targets.token_classes(s, t, mask, T)),
    "token_values": ((4, 6), lambda s, t, mask: soft_targets.token_values(s, t, mask)),
    "positions": ((4, 6), lambda s, t, mask: soft_targets.positions(s, t, mask, T)),
    "values": ((4, 1), lambda s, t, mask: soft_targets.values(s, t)),
    "vectors": ((4, 5), lambda s, t, mask: soft_targets.vectors(s, t)),
}
PER_TOKEN = ("token_classes", "token_values", "positions")
MASK = torch.tensor([[1.0] * n + [0.0] * (6 - n) for n in (6, 2, 4, 1)])


def drawn(kind: str, seed: int) -> Any:
    return 2 * torch.randn(KINDS[kind][0], generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_apart_from_itself_and_all_else_is(kind: str) -> None:
    student, teacher = drawn(kind, 1), drawn(kind, 2)
    distance = KINDS[kind][1]
    assert float(distance(teacher, teacher, MASK)) == pytest.approx(0, abs=1e-6)
    assert float(distance(student, teacher, MASK)) > 0.05


@pytest.mark.parametrize("kind", KINDS)
def test_a_step_down_the_gradient_brings_them_closer(kind: str) -> None:
    student, teacher = drawn(kind, 1).requires_grad_(), drawn(kind, 2)
    distance = KINDS[kind][1]
    before = distance(student, teacher, MASK)
    before.backward()
    with torch.no_grad():
        assert float(distance(student - 0.1 * student.grad, teacher, MASK)) < float(before)


@pytest.mark.parametrize("kind", PER_TOKEN)
def test_padding_does_not_count(kind: str) -> None:
    student, teacher = drawn(kind, 1), drawn(kind, 2)
    distance = KINDS[kind][1]
    noise = 5 * torch.randn(student.shape, generator=torch.Generator().manual_seed(3))
    away = noise * (1 - MASK if noise.dim() == 2 else (1 - MASK)[..., None])
    expected = float(distance(student, teacher, MASK))
    assert float(distance(student + away, teacher - away, MASK)) == pytest.approx(expected, rel=1e-5)


def test_classes_are_compared_as_kullback_and_leibler_do() -> None:
    student, teacher = drawn("classes", 1), drawn("classes", 2)
    ours, theirs = torch.log_softmax(student / T, -1), torch.softmax(teacher / T, -1)
    expected = torch.nn.functional.kl_div(ours, theirs, reduction="batchmean") * T**2
    torch.testing.assert_close(soft_targets.classes(student, teacher, T), expected)


def test_gradients_keep_their_size_whatever_the_temperature() -> None:
    sizes = []
    for temperature in (4.0, 16.0):
        student, teacher = (drawn("classes", 1) / 4).requires_grad_(), drawn("classes", 2) / 4
        soft_targets.classes(student, teacher, temperature).backward()
        sizes.append(float(student.grad.norm()))
    assert sizes[0] == pytest.approx(sizes[1], rel=0.1)

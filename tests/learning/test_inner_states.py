"""What is recorded of every architecture's layers, and how far two of them are apart."""

from pathlib import Path
from typing import Any

import pytest
import torch

from edgebert import members
from edgebert.learning import inner_states
from tests import toy

MASK = torch.tensor([[1.0] * n + [0.0] * (5 - n) for n in (5, 3)])


def noise(*shape: int, seed: int) -> Any:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("name", members.names("architectures"))
def test_layers_are_recorded_as_often_as_they_run(name: str, tmp_path: Path) -> None:
    from transformers import AutoModel

    member: Any = members.find("architectures", name)
    model = AutoModel.from_pretrained(toy.write_model(tmp_path, layers=3, architecture=name)).eval()
    ids = torch.tensor([[2, 40, 41, 42, 3], [2, 50, 3, 0, 0]])
    with torch.inference_mode(), inner_states.recorded(model, member, relations=True) as states:
        found = model(input_ids=ids, attention_mask=(ids > 0).long(), output_hidden_states=True)
    assert {kind: len(layers) for kind, layers in states.items()} == dict.fromkeys(states, 3)
    for ours, theirs in zip(states["hidden"], found.hidden_states[1:], strict=True):
        torch.testing.assert_close(ours, theirs)
    heads = inner_states.heads(model, member)
    for kind in ("query", "key", "value"):
        assert all(layer.shape[:2] == (2, 5) and layer.shape[2] % heads == 0 for layer in states[kind])
    with torch.inference_mode():
        model(input_ids=ids)
    assert len(states["hidden"]) == 3  # nothing is recorded behind the block


def test_hidden_states_are_compared_by_direction_and_padding_does_not_count() -> None:
    student, teacher = noise(2, 5, 8, seed=1), noise(2, 5, 8, seed=2)
    assert float(inner_states.hidden_distance(3 * teacher, teacher, MASK)) == pytest.approx(0, abs=1e-6)
    found = float(inner_states.hidden_distance(student, teacher, MASK))
    away = noise(2, 5, 8, seed=3) * (1 - MASK)[..., None]
    assert float(inner_states.hidden_distance(student + away, teacher, MASK)) == pytest.approx(found)
    assert found > 0.5


def test_relations_need_no_common_width_and_padding_does_not_count() -> None:
    narrow, wide = noise(2, 5, 8, seed=1), noise(2, 5, 16, seed=2)
    found = float(inner_states.relation_distance((narrow, narrow), (wide, wide), MASK, 4))
    assert found > 0.01
    assert float(inner_states.relation_distance((wide, wide), (wide, wide), MASK, 4)) == pytest.approx(0, abs=1e-6)
    moved = wide + 9 * noise(2, 5, 16, seed=3) * (1 - MASK)[..., None]
    again = float(inner_states.relation_distance((narrow, narrow), (moved, moved), MASK, 4))
    assert again == pytest.approx(found, rel=1e-4)


def test_relations_with_the_models_own_heads_are_its_attention(toy_model: Path) -> None:
    from transformers import AutoModel

    bert: Any = members.find("architectures", "bert")
    model = AutoModel.from_pretrained(toy_model, attn_implementation="eager").eval()
    ids = torch.tensor([[2, 40, 41, 42, 3]])
    with torch.inference_mode(), inner_states.recorded(model, bert, relations=True) as states:
        attention = model(input_ids=ids, output_attentions=True).attentions[0]
    query, key = (states[kind][0].view(1, 5, 2, 16).transpose(1, 2) for kind in ("query", "key"))
    torch.testing.assert_close(torch.softmax(query @ key.transpose(2, 3) / 4, -1), attention)

"""A student begins with its teacher's own weights: the same answers where it keeps every layer."""

from typing import Any

import pytest
import torch

from edgebert import members
from edgebert.errors import InputError
from edgebert.pretraining import students

NAMES = ["bert", "albert", "distilbert", "mobilebert", "electra"]
SIZES = {"vocab_size": 50, "num_hidden_layers": 4, "hidden_size": 32, "num_attention_heads": 2}
VALUES: dict[str, dict[str, Any]] = {
    "bert": {**SIZES, "intermediate_size": 64},
    "electra": {**SIZES, "intermediate_size": 64, "embedding_size": 16},
    "albert": {**SIZES, "intermediate_size": 64, "embedding_size": 16},
    "distilbert": {"vocab_size": 50, "n_layers": 4, "dim": 32, "n_heads": 2, "hidden_dim": 64},
    "mobilebert": {**SIZES, "intermediate_size": 64, "embedding_size": 16, "intra_bottleneck_size": 32},
}


def find(name: str) -> Any:
    return members.find("architectures", name)


def teacher(name: str) -> Any:
    """A model of four layers for masked pieces whose weights are all far from their first values."""
    from transformers import AutoModelForMaskedLM

    torch.manual_seed(0)
    model = AutoModelForMaskedLM.from_config(find(name).config(VALUES[name]))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model.eval()


def logits(model: Any) -> torch.Tensor:
    ids = torch.randint(5, 50, (3, 17), generator=torch.Generator().manual_seed(1))
    mask = torch.ones_like(ids)
    mask[1, 11:] = 0
    with torch.no_grad():
        found: torch.Tensor = model.eval()(input_ids=ids, attention_mask=mask).logits
    return found[mask.bool()]


def test_a_distilbert_with_all_layers_answers_as_its_bert() -> None:
    model = teacher("bert")
    student = students.begin(model, find("bert"), find("distilbert"), [0, 1, 2, 3])
    assert student.config.model_type == "distilbert"
    torch.testing.assert_close(logits(student), logits(model), rtol=1e-4, atol=1e-4)


def test_it_takes_every_second_layer_unless_told_otherwise() -> None:
    model = teacher("bert")
    theirs = model.bert.encoder.layer
    student = students.begin(model, find("bert"), find("distilbert"), None)
    kept = [layer.ffn.lin1.weight for layer in student.distilbert.transformer.layer]
    assert len(kept) == 2
    assert all(torch.equal(kept[i], theirs[2 * i].intermediate.dense.weight) for i in range(2))
    other = students.begin(model, find("bert"), find("distilbert"), [3, 1])
    kept = [layer.attention.q_lin.weight for layer in other.distilbert.transformer.layer]
    assert torch.equal(kept[0], theirs[3].attention.self.query.weight)
    assert torch.equal(kept[1], theirs[1].attention.self.query.weight)


@pytest.mark.parametrize("name", NAMES)
def test_a_student_of_the_same_kind_answers_as_its_teacher_with_all_layers(name: str) -> None:
    model = teacher(name)
    student = students.begin(model, find(name), find(name), [0, 1, 2, 3])
    torch.testing.assert_close(logits(student), logits(model), rtol=1e-5, atol=1e-5)
    half = students.begin(model, find(name), find(name), None)
    assert getattr(half.config, find(name).KEYS.layers) == 2


def test_the_student_is_a_copy() -> None:
    model = teacher("bert")
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    student = students.begin(model, find("bert"), find("bert"), [0, 1])
    with torch.no_grad():
        for parameter in student.parameters():
            parameter.add_(1.0)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


def test_a_layer_that_is_not_there_is_refused() -> None:
    with pytest.raises(InputError, match=r"keep = \[0, 4\]: the model has no layer 4"):
        students.begin(teacher("bert"), find("bert"), find("distilbert"), [0, 4])


def test_only_bert_has_students_of_another_kind() -> None:
    assert students.fault("bert", "distilbert") is None
    assert all(students.fault(name, name) is None for name in NAMES)
    assert "known: bert, distilbert" in str(students.fault("bert", "albert"))
    assert "cannot begin with layers of a teacher of architecture 'albert'; known: albert" in str(
        students.fault("albert", "distilbert")
    )

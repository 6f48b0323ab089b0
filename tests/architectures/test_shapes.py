"""The published sizes are what was published, to the parameter."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from transformers import AutoModel

from edgebert import architectures, members
from edgebert.errors import InputError

MEMBERS = {name: members.find("architectures", name) for name in members.names("architectures")}
# Of the bare model with its pooler, where it has one, and the vocabulary it was published with.
PARAMETERS = {
    "albert-base-v1": 11_683_584,
    "albert-base-v2": 11_683_584,
    "albert-large-v1": 17_683_968,
    "albert-large-v2": 17_683_968,
    "albert-xlarge-v1": 58_724_864,
    "albert-xlarge-v2": 58_724_864,
    "albert-xxlarge-v1": 222_595_584,
    "albert-xxlarge-v2": 222_595_584,
    "bert-base": 109_482_240,
    "bert-large": 335_141_888,
    "bert-medium": 41_373_184,
    "bert-mini": 11_170_560,
    "bert-small": 28_763_648,
    "bert-tiny": 4_385_920,
    "distilbert-base": 66_362_880,
    "electra-base": 108_891_648,
    "electra-small": 13_483_008,
    "minilm-l12-h384": 33_360_000,
    "minilm-l6-h384": 22_713_216,
    "mobilebert": 24_581_888,
    "mobilebert-tiny": 15_485_696,
    "tinybert-4": 14_350_248,
    "tinybert-6": 66_955_008,
}


def built(config: Any) -> Any:
    """A model without memory: its sizes alone."""
    with torch.device("meta"):
        return AutoModel.from_config(config)


@pytest.mark.parametrize("shape", PARAMETERS)
def test_a_published_size_has_exactly_its_parameters(shape: str) -> None:
    name, values = architectures.named(shape)
    model = built(MEMBERS[name].config(values))
    assert sum(parameter.numel() for parameter in model.parameters()) == PARAMETERS[shape]


def test_every_published_size_is_counted_and_no_name_is_of_two_architectures() -> None:
    assert sorted(name for member in MEMBERS.values() for name in member.SHAPES) == sorted(PARAMETERS)


def test_a_size_that_nobody_published_is_told_with_the_nearest_name() -> None:
    with pytest.raises(InputError, match=r"unknown shape 'albert-base-v3'; did you mean 'albert-base-v"):
        architectures.named("albert-base-v3")


@pytest.mark.parametrize("name", MEMBERS)
def test_the_values_of_a_size_are_ones_that_the_library_knows(name: str) -> None:
    known = set(MEMBERS[name].config({}).to_dict())
    for values in MEMBERS[name].SHAPES.values():
        assert set(values) <= known


@pytest.mark.parametrize("name", MEMBERS)
def test_another_size_keeps_all_but_what_was_asked_for(name: str) -> None:
    member = MEMBERS[name]
    source = next(iter(member.SHAPES.values()))
    before = member.config(source)
    narrow = member.config(architectures.sized(member, source, 2, before.hidden_size // 2))
    assert (narrow.num_hidden_layers, narrow.hidden_size) == (2, before.hidden_size // 2)
    assert narrow.num_attention_heads == before.num_attention_heads // 2
    [first] = member.layers(built(narrow))[:1]
    [wide] = member.layers(built(before))[:1]
    for one, other in zip(member.parts(first).ffn, member.parts(wide).ffn, strict=True):
        assert [2 * size for size in one[0].weight.shape] == list(other[0].weight.shape)
    same = architectures.sized(member, source, None, None)
    assert member.config(same).to_dict() == before.to_dict()


def test_a_hidden_size_that_whole_heads_do_not_fill_is_told() -> None:
    bert = MEMBERS["bert"]
    with pytest.raises(InputError, match="hidden = 100: must be a multiple of 32"):
        architectures.sized(bert, bert.SHAPES["minilm-l6-h384"], None, 100)

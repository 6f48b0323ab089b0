"""Each architecture knows where its parts are, and what of it a task learns anew."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import pytest
import torch
import transformers

from edgebert import members
from edgebert.errors import InputError

MEMBERS = {name: members.find("architectures", name) for name in members.names("architectures")}
HIDDEN, FFN, LAYERS, HEADS = 32, 48, 4, 2
SMALL: dict[str, dict[str, Any]] = {
    name: {
        "vocab_size": 60,
        "hidden_size": HIDDEN,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS,
        "intermediate_size": FFN,
    }
    for name in MEMBERS
}
SMALL["distilbert"] = {"vocab_size": 60, "dim": HIDDEN, "n_layers": LAYERS, "n_heads": HEADS, "hidden_dim": FFN}
SMALL["albert"] |= {"embedding_size": 16}
SMALL["electra"] |= {"embedding_size": 16}
SMALL["mobilebert"] |= {"embedding_size": 16, "intra_bottleneck_size": 16}
TASKS = ("SequenceClassification", "TokenClassification", "QuestionAnswering")
BODIES = ("Model", "ForMaskedLM", *(f"For{task}" for task in TASKS))


@pytest.fixture(params=MEMBERS)
def member(request: pytest.FixtureRequest) -> ModuleType:
    return MEMBERS[request.param]


def made(member: ModuleType, kind: str, **more: Any) -> Any:
    """A small model with random weights; `kind` is how its class ends."""
    torch.manual_seed(0)
    config = member.config({**SMALL[member.NAME], **more})
    model = getattr(transformers, f"AutoModel{kind.removeprefix('Model')}").from_config(config)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.1)  # many are 0 or 1 when new, and would not be missed
    return model.eval()


def last_hidden(model: Any) -> Any:
    """The encoder's output [1, tokens, hidden]."""
    ids = torch.arange(5, 14)[None]
    with torch.inference_mode():
        return model.base_model(input_ids=ids, attention_mask=torch.ones_like(ids)).last_hidden_state


@pytest.mark.parametrize("kind", BODIES)
def test_the_parts_of_a_layer_are_found_under_every_head(member: ModuleType, kind: str) -> None:
    model = made(member, kind)
    layers = member.layers(model)
    assert len(layers) == (1 if member.NAME == "albert" else LAYERS)
    assert len(set(map(id, layers))) == len(layers)
    for layer in layers:
        parts = member.parts(layer)
        assert parts.heads == HEADS
        attention = [parts.query, parts.key, parts.value, parts.out]
        matrices = [*attention, *(matrix for pair in parts.ffn for matrix in pair)]
        assert len(set(map(id, matrices))) == len(matrices)
        for one in (parts.query, parts.key, parts.value):
            assert one.out_features == parts.out.in_features
        for up, down in parts.ffn:
            assert (up.out_features, down.in_features) == (FFN, FFN)
            assert up.in_features == down.out_features


def test_a_layers_parts_are_all_its_matrices(member: ModuleType) -> None:
    """What is left beside them widens or narrows (MobileBERT's bottlenecks)."""
    layer = member.layers(made(member, "Model"))[0]
    parts = member.parts(layer)
    listed = {id(parts.query), id(parts.key), id(parts.value), id(parts.out)}
    listed |= {id(matrix) for pair in parts.ffn for matrix in pair}
    linear = {name: one for name, one in layer.named_modules() if isinstance(one, torch.nn.Linear)}
    assert listed <= {id(one) for one in linear.values()}
    assert [name for name, one in linear.items() if id(one) not in listed and "bottleneck" not in name] == []


def test_the_feed_forward_networks_are_in_the_order_they_run(member: ModuleType) -> None:
    model = made(member, "Model")
    ran: list[int] = []
    pairs = member.parts(member.layers(model)[0]).ffn
    for number, (up, _) in enumerate(pairs):
        up.register_forward_hook(lambda *_, number=number: ran.append(number))
    last_hidden(model)
    assert ran[: len(pairs)] == list(range(len(pairs)))


def test_the_embeddings_are_found_under_every_head(member: ModuleType) -> None:
    for kind in BODIES:
        model = made(member, kind)
        assert member.embeddings(model).word_embeddings is model.get_input_embeddings()


def test_the_masked_lm_head_gives_the_logits_of_the_model(member: ModuleType) -> None:
    model = made(member, "ForMaskedLM")
    ids = torch.arange(5, 14)[None]
    hidden = last_hidden(model)
    with torch.inference_mode():
        expected = model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits
        found = member.masked_lm_head(model, hidden)
        few = member.masked_lm_head(model, hidden[0, [2, 5]])
    assert found.shape == (1, 9, 60)
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(few, expected[0, [2, 5]])


@pytest.mark.parametrize("kind", BODIES)
def test_a_cut_model_runs_the_kept_layers_alone(member: ModuleType, kind: str) -> None:
    model = made(member, kind)
    keep = [0, 3]
    values, weights = member.cut(model.config.to_dict(), model.state_dict(), keep)
    config = member.config(values)
    assert config.num_hidden_layers == len(keep)
    student = type(model)(config).eval()
    student.load_state_dict(weights)  # strict: none missing, none left over
    shorten(member, model, keep)
    torch.testing.assert_close(last_hidden(student), last_hidden(model), rtol=0, atol=0)


def shorten(member: ModuleType, model: Any, keep: list[int]) -> None:
    """Take layers out of a built model."""
    if member.NAME == "albert":
        model.config.num_hidden_layers = len(keep)
        return
    body = model.base_model
    encoder = body.transformer if member.NAME == "distilbert" else body.encoder
    encoder.layer = torch.nn.ModuleList([encoder.layer[number] for number in keep])


def test_keeping_every_layer_changes_nothing(member: ModuleType) -> None:
    model = made(member, "ForSequenceClassification")
    before = model.config.to_dict()
    values, weights = member.cut(before, model.state_dict(), range(LAYERS))
    assert values == before
    assert weights.keys() == model.state_dict().keys()
    assert all(torch.equal(weights[name], tensor) for name, tensor in model.state_dict().items())


@pytest.mark.parametrize("keep", [[], [0, 4], [-1], [1, 1]])
def test_layers_that_cannot_be_kept_are_told(member: ModuleType, keep: list[int]) -> None:
    with pytest.raises(InputError, match="keep = "):
        member.cut(SMALL[member.NAME], {}, keep)


def test_an_albert_of_several_groups_is_not_cut() -> None:
    values = {**SMALL["albert"], "num_hidden_groups": 2}
    with pytest.raises(InputError, match="2 groups"):
        MEMBERS["albert"].cut(values, {}, [0, 1])


@pytest.mark.parametrize("task", TASKS)
def test_the_head_is_all_that_a_pretrained_body_does_not_bring(member: ModuleType, task: str) -> None:
    model = made(member, f"For{task}")
    head = {name for name in model.state_dict() if any(part in name for part in member.HEAD)}
    body = f"{model.base_model_prefix}."
    outside = {name for name in model.state_dict() if not name.startswith(body)}
    assert outside
    assert outside <= head
    assert all(name.startswith(f"{body}pooler.") for name in head - outside)


def test_every_part_of_the_head_is_in_a_name_that_occurs(member: ModuleType) -> None:
    names = [name for task in TASKS for name in made(member, f"For{task}").state_dict()]
    for part in member.HEAD:
        assert any(part in name for name in names)


def test_the_model_reads_what_the_architecture_says(member: ModuleType) -> None:
    ids = torch.arange(5, 14)[None]
    feeds = {"input_ids": ids, "attention_mask": torch.ones_like(ids), "token_type_ids": torch.ones_like(ids)}
    model = made(member, "Model")
    with torch.inference_mode():
        found = model(**feeds).last_hidden_state
    read = not torch.equal(found, last_hidden(model))
    assert read == ("token_type_ids" in member.INPUTS)

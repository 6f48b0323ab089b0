"""The losses against transformers' own and against formulas written out."""

from typing import Any

import numpy as np
import pytest
import torch

from edgebert.pretraining.masking import NOT_ASKED
from edgebert.pretraining.objective import Objective, soft_targets
from tests.pretraining.test_students import VALUES, find, teacher


def batch(pairs: bool) -> dict[str, torch.Tensor]:
    """Three rows of different lengths with five, two and one masked pieces."""
    draw = torch.Generator().manual_seed(2)
    ids = torch.randint(5, 50, (3, 16), generator=draw)
    mask, labels = torch.ones_like(ids), torch.full_like(ids, NOT_ASKED)
    mask[1, 9:], mask[2, 12:] = 0, 0
    for row, places in enumerate(([1, 4, 5, 9, 13], [2, 7], [3])):
        labels[row, places] = torch.randint(5, 50, (len(places),), generator=draw)
    types = torch.zeros_like(ids)
    types[:, 6:] = mask[:, 6:] if pairs else 0
    return {
        "input_ids": ids,
        "attention_mask": mask,
        "token_type_ids": types,
        "labels": labels,
        "sentence": torch.tensor([0, 1, 1]),
    }


@pytest.mark.parametrize(("name", "label"), [("bert", "next_sentence_label"), ("albert", "sentence_order_label")])
def test_masked_pieces_and_pairs_are_judged_as_transformers_does(name: str, label: str) -> None:
    from transformers import AutoModelForPreTraining

    torch.manual_seed(0)
    model = AutoModelForPreTraining.from_config(find(name).config(VALUES[name])).eval()
    feeds = batch(pairs=True)
    sums = Objective(model, find(name), pair=True)(**feeds)
    theirs = model(**{k: v for k, v in feeds.items() if k != "sentence"}, **{label: feeds["sentence"]})
    torch.testing.assert_close(sums["masked"] / 8 + sums["pair"] / 3, theirs.loss, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ["bert", "albert", "distilbert", "mobilebert", "electra"])
def test_masked_pieces_alone_are_judged_as_transformers_does(name: str) -> None:
    model, feeds = teacher(name), batch(pairs=False)
    sums = Objective(model, find(name), pair=False)(**feeds)
    theirs = model(**{k: feeds[k] for k in (*find(name).INPUTS, "labels")})
    assert set(sums) == {"masked", "masked_hits"}
    torch.testing.assert_close(sums["masked"] / 8, theirs.loss, rtol=1e-4, atol=1e-5)
    asked = feeds["labels"] != NOT_ASKED
    right = theirs.logits[asked].argmax(-1) == feeds["labels"][asked]
    assert int(sums["masked_hits"]) == int(right.sum())


def test_soft_targets_are_the_divergence_of_softened_distributions() -> None:
    draw = np.random.default_rng(0)
    ours, theirs, temperature = draw.normal(size=(4, 9)), draw.normal(size=(4, 9)), 2.0

    def softened(logits: Any) -> Any:
        powers = np.exp(logits / temperature)
        return powers / powers.sum(-1, keepdims=True)

    wanted = (softened(theirs) * np.log(softened(theirs) / softened(ours))).sum() * temperature**2
    found = soft_targets(torch.tensor(ours), torch.tensor(theirs), temperature)
    assert float(found) == pytest.approx(wanted, rel=1e-5)
    assert float(soft_targets(torch.tensor(ours), torch.tensor(ours), 2.0)) == pytest.approx(0, abs=1e-5)


def test_the_triple_loss_looks_at_all_pieces_but_padding() -> None:
    student, wise, feeds = teacher("distilbert"), teacher("bert"), batch(pairs=False)
    objective = Objective(student, find("distilbert"), pair=False).taught_by(wise, find("bert"), 3.0)
    sums = objective(**feeds)
    seen = feeds["attention_mask"].bool()
    with torch.no_grad():
        named = {name: feeds[name] for name in ("input_ids", "attention_mask")}
        ours, theirs = student(**named, output_hidden_states=True), wise(**named, output_hidden_states=True)
    wanted = soft_targets(ours.logits[seen], theirs.logits[seen], 3.0)
    torch.testing.assert_close(sums["soft"], wanted, rtol=1e-4, atol=1e-4)
    a, b = ours.hidden_states[-1][seen].numpy(), theirs.hidden_states[-1][seen].numpy()
    cosine = (a * b).sum(-1) / np.linalg.norm(a, axis=-1) / np.linalg.norm(b, axis=-1)
    assert sums["cosine"].item() == pytest.approx(float((1 - cosine).sum()), rel=1e-4)
    alone = Objective(student, find("distilbert"), pair=False)(**feeds)
    torch.testing.assert_close(sums["masked"], alone["masked"], rtol=1e-5, atol=1e-5)


def test_the_teacher_is_neither_trained_nor_saved() -> None:
    student, wise = teacher("distilbert"), teacher("bert").train()
    objective = Objective(student, find("distilbert"), pair=False).taught_by(wise, find("bert"), 2.0)
    assert {id(one) for one in objective.parameters()} == {id(one) for one in student.parameters()}
    assert not any("bert.encoder" in name for name in objective.state_dict())
    sums = objective(**batch(pairs=False))
    (sums["soft"] + sums["cosine"]).backward()
    assert all(one.grad is None for one in wise.parameters())
    assert all(one.grad is not None for one in student.distilbert.transformer.parameters())
    assert not wise.training

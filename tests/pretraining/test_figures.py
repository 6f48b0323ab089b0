"""Every architecture learns masked pieces and pairs from text, and a student learns from its teacher."""

from pathlib import Path
from typing import Any

import pytest

from edgebert import members
from edgebert.pipeline import Unwatched
from edgebert.pretraining import project, recipe, run
from tests.pretraining import prose

pytestmark = pytest.mark.slow

VALUES = {
    "bert": prose.BERT,
    "albert": prose.ALBERT
    + ", initializer_range = 0.1, hidden_dropout_prob = 0.0, attention_probs_dropout_prob = 0.0",
    "distilbert": "n_layers = 2, dim = 32, n_heads = 2, hidden_dim = 64",
    "mobilebert": prose.BERT + ", embedding_size = 16, intra_bottleneck_size = 32",
    "electra": prose.BERT + ", embedding_size = 16",
}


def train(folder: Path, architecture: str, sentence: str, steps: int = 300) -> dict[str, Any]:
    path = prose.project(folder, steps, sentence, architecture, VALUES[architecture])
    quick = [
        "train.checkpoint_every=1000",
        "tokenizer.train.kind=wordpiece",
    ]  # the toy's words are whole ones then
    found = run.run(project.read(recipe.load(path, quick)), folder, Unwatched())
    assert found is not None
    return found


@pytest.mark.parametrize("architecture", members.names("architectures"))
def test_every_architecture_learns_from_text(architecture: str, tmp_path: Path) -> None:
    pairs = members.find("architectures", architecture).PAIR_HEAD is not None
    found = train(tmp_path, architecture, "sop" if pairs else "none")
    assert found["perplexity"]["last"] < 0.5 * found["perplexity"]["first"]
    if pairs:
        assert found["sop_accuracy"]["ci95"][0] > 0.5
    else:
        assert (found["sop_accuracy"], found["nsp_accuracy"]) == (None, None)


def test_next_sentences_are_learned(tmp_path: Path) -> None:
    found = train(tmp_path, "bert", "nsp", 600)
    assert found["nsp_accuracy"]["ci95"][0] > 0.5  # the two name the same thing
    assert found["sop_accuracy"] is None


def test_alberts_layer_is_one_and_its_embeddings_are_narrow(tmp_path: Path) -> None:
    from safetensors.torch import load_file

    found = train(tmp_path, "albert", "sop", 10)
    weights = load_file(tmp_path / "toy" / "model.safetensors")
    assert sum(name.endswith("ffn.weight") for name in weights) == 1
    table = weights["albert.embeddings.word_embeddings.weight"]
    assert table.shape[1] == 16
    assert weights["albert.encoder.embedding_hidden_mapping_in.weight"].shape == (32, 16)
    assert found["parameters"] == sum(tensor.numel() for tensor in weights.values())


def test_a_student_learns_from_its_teacher(tmp_path: Path) -> None:
    teacher = train(tmp_path, "bert", "none")
    text = (tmp_path / "toy.toml").read_text()
    start, end = text.index("[tokenizer]"), text.index("[train]")
    lesson = '[objective.distil]\nteacher = "toy"\n'
    path = tmp_path / "student.toml"
    path.write_text(text[:start].replace('"toy"', '"student"') + lesson + text[end:], encoding="utf-8")
    found = run.run(project.read(recipe.load(path, ["train.steps=100"])), tmp_path, Unwatched())
    assert found is not None
    assert found["from"] == "teacher"
    assert found["architecture"] == "distilbert"
    assert found["perplexity"]["last"] < 1.2 * teacher["perplexity"]["last"]
    assert found["perplexity"]["last"] < found["perplexity"]["first"]
    losses = [one["loss"] for one in found["curve"]]  # of one batch each: single ones tell nothing
    fifth = len(losses) // 5
    assert sum(losses[-fifth:]) < sum(losses[:fifth])


def test_a_training_begins_with_a_checkpoint(tmp_path: Path) -> None:
    first = train(tmp_path, "bert", "none")
    text = (tmp_path / "toy.toml").read_text()
    start, end = text.index("[tokenizer]"), text.index("[train]")
    path = tmp_path / "more.toml"
    more = '[model]\nsource = "toy"\n[objective]\nsentence = "sop"\n'
    path.write_text(text[:start].replace('"toy"', '"more"') + more + text[end:], encoding="utf-8")
    found = run.run(project.read(recipe.load(path, ["train.steps=20"])), tmp_path, Unwatched())
    assert found is not None
    assert found["from"] == "source"
    assert "cls.seq_relationship.weight" in found["new_weights"]
    assert not any("encoder" in name or "predictions" in name for name in found["new_weights"])
    assert found["held_out"][0]["masked_accuracy"] > 0.2 > 0.1 > first["held_out"][0]["masked_accuracy"]

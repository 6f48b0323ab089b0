"""augment: other words in the place of whole ones, by a masked-language model of the same tokenizer."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer

from edgebert import members
from edgebert.artifact import Artifact
from edgebert.data import Split, Splits
from edgebert.distillation import Augment
from edgebert.errors import InputError
from edgebert.learning import syllabus
from edgebert.learning.lessons import Lesson
from edgebert.learning.syllabus import Syllabus
from edgebert.stages import augment
from edgebert.stages.augment import Words
from tests import toy

TASK: Any = members.find("tasks", "text-classification")
BERT: Any = members.find("architectures", "bert")
ROWS = toy.rows(40, 1)


@pytest.fixture(scope="module")
def masked(tmp_path_factory: pytest.TempPathFactory, toy_model: Path) -> Artifact:
    """A masked-language model that always says 'piano': its output bias knows nothing else."""
    from transformers import AutoConfig, AutoModelForMaskedLM

    folder = tmp_path_factory.mktemp("masked")
    for path in toy_model.glob("token*"):
        (folder / path.name).write_bytes(path.read_bytes())
    model = AutoModelForMaskedLM.from_config(AutoConfig.from_pretrained(toy_model))
    with torch.no_grad():
        model.cls.predictions.bias[number(folder, "piano")] = 1000.0
    model.save_pretrained(folder)
    return Artifact(form="torch", architecture="bert", folder=folder)


def number(folder: Path, piece: str) -> int:
    found = Tokenizer.from_file(str(folder / "tokenizer.json")).token_to_id(piece)
    assert found is not None
    return int(found)


def rows() -> Syllabus:
    split = Split(list(ROWS), "", "rows")
    return Syllabus(Lesson(TASK, BERT, Splits(split, split, split, {}), sorted(toy.WORDS), {}), [])


def changed(masked: Artifact, out: Path, settings: Augment, seed: int = 1) -> list[Any]:
    out.mkdir(exist_ok=True)
    augment.run(masked, rows(), 32, settings, seed, out, lambda *_: None)
    return syllabus.read(out, BERT.INPUTS)


def test_whole_words_are_replaced_by_what_the_model_says(masked: Artifact, tmp_path: Path) -> None:
    from edgebert.tokenization import Encoder

    settings = Augment(model="masked", copies=2, share=0.4)
    copies = changed(masked, tmp_path, settings)
    before = rows().examples(Encoder(masked.folder, 32, BERT.INPUTS))
    piano, by_name = number(masked.folder, "piano"), {one.name: one.example for one in before}
    assert len(copies) == 2 * len(ROWS)
    replaced = total = 0
    for name, example, _ in copies:
        _, _, _, original = name.split(" ", 3)
        ids = by_name[original]["input_ids"]
        assert len(example["input_ids"]) == len(ids) and "target" not in example
        assert example["input_ids"][0] == ids[0] and example["input_ids"][-1] == ids[-1]  # [CLS] and [SEP]
        for old, new in zip(ids, example["input_ids"], strict=True):
            assert new in (old, piano)
            replaced, total = replaced + (new != old), total + 1
        assert example["attention_mask"] == by_name[original]["attention_mask"]
    assert 0.2 < replaced / (total - 2 * len(copies)) < 0.6


def test_the_same_seed_gives_the_same_copies_and_another_does_not(masked: Artifact, tmp_path: Path) -> None:
    settings = Augment(model="masked", copies=1)
    first, same, other = (changed(masked, tmp_path / str(i), settings, seed) for i, seed in enumerate((1, 1, 2)))
    assert first == same != other


def test_only_whole_words_of_one_piece_are_masked(masked: Artifact) -> None:
    words = Words(masked.folder / "tokenizer.json")
    tokenizer = Tokenizer.from_file(str(masked.folder / "tokenizer.json"))
    encoded = tokenizer.encode("sunny bridge, today piano")  # 'bridge' is none of the toy's words
    ids = np.asarray([encoded.ids])
    drawn = words.draw(ids, 1.0, np.random.default_rng(0))[0]
    assert [piece for piece, there in zip(encoded.tokens, drawn, strict=True) if there] == [
        "sunny",
        "today",
        "piano",
    ]


def test_a_tokenizer_of_sentencepiece_has_whole_words_too(tmp_path: Path) -> None:
    folder = toy.write_model(tmp_path, architecture="albert")
    words = Words(folder / "tokenizer.json")
    encoded = Tokenizer.from_file(str(folder / "tokenizer.json")).encode("sunny bridge today")
    drawn = words.draw(np.asarray([encoded.ids]), 1.0, np.random.default_rng(0))[0]
    assert [piece for piece, there in zip(encoded.tokens, drawn, strict=True) if there] == [
        "\u2581sunny",
        "\u2581today",
    ]


def test_a_model_without_a_masked_lm_head_is_refused(toy_model: Path, tmp_path: Path) -> None:
    bare = Artifact(form="torch", architecture="bert", folder=toy_model)
    with pytest.raises(InputError, match=r"distil\.augment\.model: has no trained masked-LM head \('cls\."):
        changed(bare, tmp_path, Augment(model="bare"))


def test_a_tokenizer_without_a_mask_is_refused(masked: Artifact, tmp_path: Path) -> None:
    tokenizer = json.loads((masked.folder / "tokenizer.json").read_text())
    del tokenizer["model"]["vocab"]["[MASK]"]
    tokenizer["added_tokens"] = [one for one in tokenizer["added_tokens"] if one["content"] != "[MASK]"]
    (tmp_path / "tokenizer.json").write_text(json.dumps(tokenizer))
    with pytest.raises(InputError, match=r"has no mask token \(\[MASK\]\)"):
        Words(tmp_path / "tokenizer.json")

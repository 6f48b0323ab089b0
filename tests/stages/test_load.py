"""load: whatever is safe to read becomes fp32 weights in one file, with a bare tokenizer and its vocabulary."""

import io
import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sentencepiece
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from transformers import AutoModel

from edgebert import sources
from edgebert.artifact import Artifact
from edgebert.errors import InputError, SurroundingsError
from edgebert.stages import load
from tests import toy

WEIGHTS = "model.safetensors"
KNOWN: dict[str, tuple[str, ...]] = {"bert": ("bert",), "albert": ("albert",)}


@pytest.fixture
def source(tmp_path: Path, toy_model: Path) -> Path:
    """A copy of the toy model that a test may change."""
    return shutil.copytree(toy_model, tmp_path / "source")


def loaded(source: Path) -> Artifact:
    """The artifact that load makes of a folder, in a folder beside it."""
    out = source.with_name("loaded")
    out.mkdir()
    return load.run(source, "bert", out)


def checked_and_loaded(source: Path) -> Artifact:
    """As a build does it: the source is looked at before any step runs."""
    sources.check(source, None, KNOWN)
    return loaded(source)


def change_weights(source: Path, change: Callable[[torch.Tensor], torch.Tensor]) -> dict[str, torch.Tensor]:
    """Rewrite a folder's weights, each tensor changed; what was written."""
    tensors = {name: change(tensor).contiguous() for name, tensor in load_file(source / WEIGHTS).items()}
    save_file(tensors, source / WEIGHTS, metadata={"format": "pt"})
    return tensors


def shard(source: Path, names: tuple[str, str] = ("first.safetensors", "second.safetensors")) -> None:
    """Split the weights into two files with an index, as transformers writes big models."""
    tensors = load_file(source / WEIGHTS)
    (source / WEIGHTS).unlink()
    index = {name: names[i % 2] for i, name in enumerate(sorted(tensors))}
    for file in names:
        save_file({name: tensors[name] for name in index if index[name] == file}, source / file)
    write_json(source / f"{WEIGHTS}.index.json", {"metadata": {}, "weight_map": index})


def write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value), encoding="utf-8")


def read_json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_weights_of_any_float_type_become_fp32(source: Path, dtype: torch.dtype) -> None:
    written = change_weights(source, lambda tensor: tensor.to(dtype))
    config = read_json(source / "config.json")
    write_json(source / "config.json", {**config, "dtype": str(dtype).removeprefix("torch.")})
    made = loaded(source)
    found = load_file(made.folder / WEIGHTS)
    assert {tensor.dtype for tensor in found.values()} == {torch.float32}
    assert found.keys() == written.keys()
    assert all(torch.equal(found[name], tensor.to(torch.float32)) for name, tensor in written.items())
    assert read_json(made.folder / "config.json")["dtype"] == "float32"
    assert made.parameters == sum(tensor.numel() for tensor in written.values())


def test_the_loaded_model_answers_as_the_source_does(source: Path) -> None:
    ids = torch.arange(5, 25)[None]
    with torch.inference_mode():
        before = AutoModel.from_pretrained(source).eval()(ids).last_hidden_state
        after = AutoModel.from_pretrained(loaded(source).folder).eval()(ids).last_hidden_state
    assert torch.equal(before, after)


@pytest.mark.parametrize("wrong", [float("nan"), float("inf"), float("-inf")])
def test_a_weight_that_is_no_number_is_refused_by_name(source: Path, wrong: float) -> None:
    tensors = load_file(source / WEIGHTS)
    tensors["pooler.dense.weight"][3, 4] = wrong
    save_file(tensors, source / WEIGHTS)
    with pytest.raises(InputError, match=r"'pooler\.dense\.weight' holds NaN or infinite weights"):
        loaded(source)


def test_a_weight_too_large_for_fp32_is_refused(source: Path) -> None:
    change_weights(source, lambda tensor: tensor.to(torch.float64).fill_(1e300))
    with pytest.raises(InputError, match="infinite"):
        loaded(source)


def test_shards_become_one_file_with_the_same_weights(source: Path) -> None:
    whole = load_file(source / WEIGHTS)
    shard(source)
    assert sources.check(source, None, KNOWN) == "bert"
    merged = load_file(loaded(source).folder / WEIGHTS)
    assert merged.keys() == whole.keys()
    assert all(torch.equal(merged[name], tensor) for name, tensor in whole.items())


def test_a_shard_that_is_not_there_is_told(source: Path) -> None:
    shard(source)
    (source / "second.safetensors").unlink()
    with pytest.raises(InputError, match=r"names 'second\.safetensors', which is not beside it"):
        checked_and_loaded(source)


@pytest.mark.parametrize("index", ["not json", "[]", "{}", '{"weight_map": {"a": "../away.safetensors"}}'])
def test_a_faulty_index_of_shards_is_told(source: Path, index: str) -> None:
    shutil.move(source / WEIGHTS, source.with_name("away.safetensors"))
    (source / f"{WEIGHTS}.index.json").write_text(index)
    with pytest.raises(InputError, match=r"model\.safetensors\.index\.json"):
        checked_and_loaded(source)


def test_a_truncated_weight_file_is_told(source: Path) -> None:
    (source / WEIGHTS).write_bytes((source / WEIGHTS).read_bytes()[:5000])
    with pytest.raises(InputError, match="not safetensors"):
        loaded(source)


def test_a_pin_holds_for_every_shard(source: Path) -> None:
    shard(source)
    with pytest.raises(InputError, match=r"pins model\.sha256") as told:
        sources.check(source, "0" * 64, KNOWN)
    pin = str(told.value).partition("sha256 is ")[2][:64]
    assert sources.check(source, pin, KNOWN) == "bert"
    tensors = load_file(source / "second.safetensors")
    save_file({name: tensor + 1 for name, tensor in tensors.items()}, source / "second.safetensors")
    with pytest.raises(InputError, match=r"pins model\.sha256"):
        sources.check(source, pin, KNOWN)


@pytest.mark.parametrize(
    ("config", "told"),
    [
        ({"model_type": "bart"}, r"model_type = 'bart' is not supported; did you mean 'bert'\?"),
        ({}, "model_type = 'None' is not supported"),
        ([], r"config\.json"),
    ],
)
def test_a_model_of_another_kind_is_told(source: Path, config: Any, told: str) -> None:
    write_json(source / "config.json", config)
    with pytest.raises(InputError, match=told):
        sources.check(source, None, KNOWN)


def test_pickled_weights_are_refused_with_the_reason(source: Path) -> None:
    (source / WEIGHTS).rename(source / "pytorch_model.bin")
    with pytest.raises(InputError, match=r"holds pytorch_model\.bin .* can run code when read"):
        sources.check(source, None, KNOWN)
    (source / "pytorch_model.bin").unlink()
    with pytest.raises(InputError, match="a model folder without weights"):
        sources.check(source, None, KNOWN)


def test_what_the_model_is_made_of_decides_its_fingerprint_and_nothing_else(source: Path) -> None:
    before = sources.fingerprint(source)
    (source / "README.md").write_text("---\nlicense: apache-2.0\n---\n")
    (source / "training.log").write_text("epoch 1")
    assert sources.fingerprint(source) == before
    assert sources.licence(source) == "apache-2.0"
    (source / "tokenizer.json").write_text((source / "tokenizer.json").read_text() + "\n")
    assert sources.fingerprint(source) != before


def test_the_tokenizer_leaves_its_padding_and_truncation_behind(source: Path) -> None:
    tokenizer = Tokenizer.from_file(str(source / "tokenizer.json"))
    tokenizer.enable_padding(length=20)
    tokenizer.enable_truncation(8)
    tokenizer.save(str(source / "tokenizer.json"))
    bare = Tokenizer.from_file(str(loaded(source).folder / "tokenizer.json"))
    assert (bare.padding, bare.truncation) == (None, None)
    text = "the day is very bright and warm and sunny here now"
    assert len(bare.encode(text).ids) == 13
    assert bare.encode(text).tokens == ["[CLS]", *text.split(), "[SEP]"]


def test_vocab_txt_is_the_vocabulary_in_the_order_of_its_ids(source: Path) -> None:
    folder = loaded(source).folder
    vocabulary = Tokenizer.from_file(str(folder / "tokenizer.json")).get_vocab(with_added_tokens=False)
    pieces = (folder / "vocab.txt").read_text(encoding="utf-8").splitlines()
    assert {piece: number for number, piece in enumerate(pieces)} == vocabulary


def test_a_tokenizer_of_the_older_kind_is_converted(source: Path) -> None:
    (source / "tokenizer.json").rename(source / "old.json")
    pieces = read_json(source / "old.json")["model"]["vocab"]
    (source / "vocab.txt").write_text("".join(f"{piece}\n" for piece in pieces), encoding="utf-8")
    found = Tokenizer.from_file(str(loaded(source).folder / "tokenizer.json"))
    expected = Tokenizer.from_file(str(source / "old.json"))
    assert found.encode("the snowy winter day").ids == expected.encode("the snowy winter day").ids


@pytest.mark.parametrize("text", ["not json", "{}", "[]", None])
def test_a_faulty_tokenizer_is_told(source: Path, text: str | None) -> None:
    (source / "tokenizer.json").unlink()
    if text is not None:
        (source / "tokenizer.json").write_text(text)
    with pytest.raises(InputError, match="tokenizer"):
        checked_and_loaded(source)


def test_a_tokenizer_with_pieces_that_the_model_has_no_row_for_is_told(source: Path) -> None:
    tokenizer = Tokenizer.from_file(str(source / "tokenizer.json"))
    tokenizer.add_tokens(["piano-lawyer"])
    tokenizer.save(str(source / "tokenizer.json"))
    with pytest.raises(InputError, match="tokenizer"):
        checked_and_loaded(source)


@pytest.fixture
def albert(tmp_path: Path) -> Path:
    """A toy ALBERT whose tokenizer is a SentencePiece model alone, as those of the first release."""
    folder = toy.write_model(tmp_path / "albert", architecture="albert")
    (folder / "tokenizer.json").unlink()
    lines = [row["text"] for row in toy.rows(300, 5)]
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines),
        model_writer=model,
        model_type="unigram",
        vocab_size=56,
        pad_id=0,
        unk_id=1,
        bos_id=-1,
        eos_id=-1,
        pad_piece="<pad>",
        user_defined_symbols=["[CLS]", "[SEP]", "[MASK]"],
        minloglevel=2,
    )
    (folder / "spiece.model").write_bytes(model.getvalue())
    return folder


def test_a_sentencepiece_model_becomes_a_tokenizer_that_cuts_as_it_does(albert: Path) -> None:
    pieces = sentencepiece.SentencePieceProcessor(model_file=str(albert / "spiece.model"))
    folder = loaded(albert).folder
    found = Tokenizer.from_file(str(folder / "tokenizer.json"))
    assert found.get_vocab_size() == len(pieces) == 56
    for text in [row["text"] for row in toy.rows(60, 6)] + ["sunnier than rain", "snow , ice", "a day"]:
        assert found.encode(text).ids == [2, *pieces.encode(text), 3]
    first, second = pieces.encode("the day"), pieces.encode("more rain")
    pair = found.encode("the day", "more rain")
    assert pair.ids == [2, *first, 3, *second, 3]
    assert pair.type_ids == [0] * (len(first) + 2) + [1] * (len(second) + 1)
    assert (folder / "spiece.model").read_bytes() == (albert / "spiece.model").read_bytes()


def test_a_sentencepiece_model_that_cannot_be_read_here_is_told_before_any_step(
    albert: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "sentencepiece", None)
    with pytest.raises(SurroundingsError, match=r"spiece\.model: .*pip install sentencepiece"):
        sources.check(albert, None, KNOWN)


@pytest.mark.parametrize("content", [b"", b"no model", bytes(1000)])
def test_a_damaged_sentencepiece_model_is_told(albert: Path, content: bytes) -> None:
    (albert / "spiece.model").write_bytes(content)
    with pytest.raises(InputError, match="tokenizer"):
        loaded(albert)


def test_a_tokenizer_of_five_pieces_is_not_taken_for_a_models_own(source: Path) -> None:
    tokenizer = read_json(source / "tokenizer.json")
    vocabulary = tokenizer["model"]["vocab"]
    tokenizer["model"]["vocab"] = {piece: number for piece, number in vocabulary.items() if number < 5}
    write_json(source / "tokenizer.json", tokenizer)
    with pytest.raises(InputError, match=f"has 5 pieces, its model embeddings for {len(vocabulary)}"):
        loaded(source)


def test_a_vocabulary_that_the_models_library_does_not_look_for_is_not_replaced_by_five_pieces(
    source: Path, albert: Path
) -> None:
    (source / "tokenizer.json").unlink()
    shutil.copyfile(albert / "spiece.model", source / "spiece.model")  # beside a BERT
    with pytest.raises(InputError, match="tokenizer"):
        loaded(source)


def test_loading_twice_gives_the_same_bytes(source: Path) -> None:
    first = {path.name: path.read_bytes() for path in loaded(source).folder.iterdir()}
    shutil.rmtree(source.with_name("loaded"))
    assert {path.name: path.read_bytes() for path in loaded(source).folder.iterdir()} == first

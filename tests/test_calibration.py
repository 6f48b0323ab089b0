from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from edgebert import calibration
from edgebert.calibration import Spec
from edgebert.errors import InputError

SENTENCES = [f"sentence {i}" for i in range(40)]
TRAIN = [f"row {i}" for i in range(200)]


def write(folder: Path, spec: str, sentences: list[str] = SENTENCES) -> Path:
    (folder / "own.txt").write_text("\n\n".join(f" {sentence} " for sentence in sentences), encoding="utf-8")
    path = folder / "own.toml"
    path.write_text(spec, encoding="utf-8")
    return path


def test_the_shipped_specs_load(tmp_path: Path) -> None:
    assert "default" in calibration.names()
    for name in calibration.names():
        spec, sentences = calibration.load(name, tmp_path)
        assert spec.name == name
        assert len(sentences) >= 64, "golden rows of our own sentences need as many"
        assert len(set(sentences)) == len(sentences)


def test_a_spec_of_the_users_own_reads_the_sentences_beside_it(tmp_path: Path) -> None:
    folder = tmp_path / "specs"
    folder.mkdir()
    write(folder, 'name = "own"\nfile = "own.txt"\nrows = 16\n')
    spec, sentences = calibration.load("specs/own.toml", tmp_path)
    assert (spec.source, spec.rows) == ("both", 16)
    assert sentences == SENTENCES
    assert calibration.check("specs/own.toml", tmp_path) is None


def test_a_spec_of_train_rows_needs_no_file(tmp_path: Path) -> None:
    write(tmp_path, 'name = "own"\nsource = "train"\n')
    assert calibration.load("./own.toml", tmp_path) == (Spec(name="own", source="train"), [])


@pytest.mark.parametrize(
    ("spec", "sentences", "message"),
    [
        ('name = "own"\n', SENTENCES, "source = 'both' needs `file`"),
        ('name = "own"\nfile = "absent.txt"\n', SENTENCES, "file = 'absent.txt': "),
        ('name = "own"\nfile = "."\n', SENTENCES, "file = '.': "),
        ('name = "own"\nfile = "own.txt"\n', SENTENCES[:7], "own.txt holds 7 sentences; ranges need at least 8"),
        ('name = "own"\nrow = 3\n', SENTENCES, "unknown key 'row'; did you mean 'rows'?"),
        ('name = "own"\nrows = 3\n', SENTENCES, "rows = 3: "),
        ('name = "own"\nsource = "test"\n', SENTENCES, "source = 'test': "),
        ("name = ", SENTENCES, "not TOML"),
    ],
)
def test_a_faulty_spec_is_told_with_its_file(
    tmp_path: Path, spec: str, sentences: list[str], message: str
) -> None:
    path = write(tmp_path, spec, sentences)
    with pytest.raises(InputError) as caught:
        calibration.load("./own.toml", tmp_path)
    assert message in str(caught.value) and str(path) in str(caught.value)
    assert calibration.check("./own.toml", tmp_path) == str(caught.value)


def test_too_few_rows_of_train_are_told() -> None:
    with pytest.raises(InputError, match=r"calibration 'own': data.train holds 7 rows; ranges need at least 8"):
        calibration.rows(Spec(name="own", source="train"), [], TRAIN[:7])


def test_sentences_that_are_not_utf8_are_told(tmp_path: Path) -> None:
    write(tmp_path, 'name = "own"\nfile = "own.txt"\n')
    (tmp_path / "own.txt").write_bytes(b"caf\xe9\n" * 10)
    assert "own.txt" in str(calibration.check("./own.toml", tmp_path))


@pytest.mark.parametrize(
    ("name", "hint"), [("defalt", "did you mean 'default'?"), ("qq", "known: default"), ("./no.toml", "known: ")]
)
def test_an_unknown_name_is_told_with_its_neighbour(tmp_path: Path, name: str, hint: str) -> None:
    fault = str(calibration.check(name, tmp_path))
    assert f"unknown calibration '{name}'; {hint}" in fault


@pytest.mark.parametrize(
    ("source", "rows", "from_train", "from_file"),
    [("both", 32, 16, 16), ("both", 33, 16, 17), ("train", 32, 32, 0), ("file", 32, 0, 32), ("both", 100, 50, 40)],
)
def test_texts_come_from_where_the_spec_says(source: str, rows: int, from_train: int, from_file: int) -> None:
    spec = Spec.model_validate({"name": "own", "source": source, "rows": rows})
    texts = calibration.rows(spec, SENTENCES, TRAIN)
    assert (len(set(texts) & set(TRAIN)), len(set(texts) & set(SENTENCES))) == (from_train, from_file)
    assert len(texts) == from_train + from_file


def test_texts_are_spread_over_the_file_and_always_the_same() -> None:
    spec = Spec(name="own", source="train", rows=10)
    texts = calibration.rows(spec, [], TRAIN)
    assert texts == calibration.rows(spec, [], list(TRAIN))
    places = [TRAIN.index(text) for text in texts]
    assert [b - a for a, b in itertools.pairwise(places)] == [20] * 9


def test_few_train_rows_are_all_taken() -> None:
    spec = Spec(name="own", source="train", rows=128)
    assert calibration.rows(spec, [], TRAIN[:9]) == TRAIN[:9]

"""A text on disk: rows of units of one document, in order, and nothing lost on the way."""

import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from edgebert.errors import InputError
from edgebert.pretraining import corpus, text, vocabulary
from edgebert.pretraining.corpus import Corpus
from tests.pretraining import prose

ROOM = 29
LONG = " ".join(f"{thing} {thing}" for thing in prose.THINGS * 6) + "."


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a tokenizer that knows the toy's words."""
    folder = tmp_path_factory.mktemp("tokenizer")
    path = prose.write(folder / "text.txt", 100, 1)
    vocabulary.train("wordpiece", 100, True, lambda: text.contents([path]), folder / "made", 32)
    return folder / "made"


def written(tokenizer: Path, folder: Path, content: str, pairs: bool = True) -> Corpus:
    (folder / "text.txt").write_text(content)
    made = folder / "made"
    corpus.write([folder / "text.txt"], vocabulary.opened(tokenizer), ROOM, pairs, made, lambda *_: None)
    return corpus.read(made)


def content() -> str:
    """Documents of one to nine sentences, one sentence far longer than a segment."""
    short = [f"The {thing} is {quality}." for thing in prose.THINGS for quality in prose.QUALITIES]
    documents = [short[i : i + i % 9 + 1] for i in range(0, 40)]
    documents[7] = [short[0], LONG, short[1]]
    return "\n\n".join(" ".join(one) for one in documents)


@pytest.mark.parametrize("pairs", [True, False])
def test_all_pieces_of_the_text_are_there_in_order(tokenizer: Path, tmp_path: Path, pairs: bool) -> None:
    found = written(tokenizer, tmp_path, content(), pairs)
    known = vocabulary.opened(tokenizer)
    wanted = [
        piece
        for paragraph in content().split("\n\n")
        for sentence in text.sentences(paragraph)
        for piece in known.encode(sentence, add_special_tokens=False).ids
    ]
    assert found.pieces(0, len(found.units) - 1).tolist() == wanted
    assert len(found.documents) - 1 == 40


def test_a_single_segment_holds_as_many_units_of_a_document_as_fit(tokenizer: Path, tmp_path: Path) -> None:
    found = written(tokenizer, tmp_path, content(), pairs=False)
    assert found.rows[0][0] == 0
    assert (found.rows[1:, 0] == found.rows[:-1, 1]).all()  # one after the other, none left out
    assert found.rows[-1][1] == len(found.units) - 1
    for first, end in found.rows:
        assert len(found.pieces(first, end)) <= ROOM
        assert found.document_of(first) == found.document_of(end - 1)
        if end not in found.documents:
            assert len(found.pieces(first, end + 1)) > ROOM


def test_a_pair_can_be_cut_between_any_two_sentences_of_a_document(tokenizer: Path, tmp_path: Path) -> None:
    found = written(tokenizer, tmp_path, content())
    cuts = [unit for first, end in found.rows for unit in range(first, end)]
    assert cuts == sorted(set(range(len(found.units) - 1)) - set(found.documents.tolist()))
    assert all(found.document_of(first) == found.document_of(end - 1) for first, end in found.rows)
    average = len(found.ids) / (len(found.units) - 1)
    assert max(end - first for first, end in found.rows) == round(ROOM / average)
    assert found.reach == np.ceil(1.5 * round(ROOM / average))


def test_the_same_text_gives_the_same_rows(tokenizer: Path, tmp_path: Path) -> None:
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        written(tokenizer, tmp_path / name, content())
    for name in corpus.FILES:
        assert (tmp_path / "one" / "made" / name).read_bytes() == (tmp_path / "other" / "made" / name).read_bytes()


@pytest.mark.slow
def test_memory_does_not_grow_with_the_text(tokenizer: Path, tmp_path: Path) -> None:
    def peak(times: int) -> int:
        folder = tmp_path / str(times)
        folder.mkdir()
        (folder / "text.txt").write_text((content() + "\n\n") * times)
        tracemalloc.start()
        try:
            corpus.write(
                [folder / "text.txt"], vocabulary.opened(tokenizer), ROOM, True, folder / "made", lambda *_: None
            )
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak(1)
    assert peak(120) < 1.3 * peak(12)


@pytest.mark.parametrize(
    ("content", "wanted"),
    [
        ("Too short. Far too short.", r"shorter than a segment: \d+ pieces of text, a segment holds 29"),
        ("The river is old.\n\n" * 30, r"no document has two sentences"),
        ("", r"shorter than a segment: 0 pieces"),
    ],
)
def test_a_text_that_fills_no_segment_is_refused(
    tokenizer: Path, tmp_path: Path, content: str, wanted: str
) -> None:
    with pytest.raises(InputError, match=wanted):
        written(tokenizer, tmp_path, content)

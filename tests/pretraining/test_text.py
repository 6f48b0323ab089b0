"""Raw text: documents between blank lines, sentences by a plain rule, faults with file and line."""

from pathlib import Path

import pytest

from edgebert.errors import InputError
from edgebert.pretraining import text


def test_a_document_ends_at_a_blank_line_and_at_the_end_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"\xef\xbb\xbf\n\nOne.\r\nTwo.\n\n \t\nThree.")
    (tmp_path / "b.txt").write_text("Four.\n\n")
    found = list(text.paragraphs([tmp_path / "a.txt", tmp_path / "b.txt"]))
    assert found == ["One.", "Two.", None, "Three.", None, "Four.", None]


@pytest.mark.parametrize(
    ("paragraph", "wanted"),
    [
        ("He went. She stayed.", ["He went.", "She stayed."]),
        ('"Go!" he said. "Now."', ['"Go!" he said.', '"Now."']),
        ('"Go." He went.', ['"Go."', "He went."]),
        ("Mr. Brown met J. Smith and Mrs. Hall.", ["Mr. Brown met J. Smith and Mrs. Hall."]),
        ("It cost 3.50 then... and now?", ["It cost 3.50 then... and now?"]),
        ("你好。再见！", ["你好。", "再见！"]),
        ("no end at all", ["no end at all"]),
    ],
)
def test_a_paragraph_is_cut_into_sentences(paragraph: str, wanted: list[str]) -> None:
    assert text.sentences(paragraph) == wanted


def test_nothing_of_a_paragraph_is_lost_but_space() -> None:
    paragraph = "  “Yes?” She (who knew.) nodded!   “No.”  He left… Then 1. Then (2.) Done "
    assert "".join("".join(text.sentences(paragraph)).split()) == "".join(paragraph.split())


def test_what_is_not_utf8_is_told_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes("fine\nnaïve\n".encode() + "naïve\n".encode("latin-1"))
    with pytest.raises(InputError, match=r"a\.txt: line 3: not UTF-8 at byte 3 of the line"):
        list(text.paragraphs([path]))


def test_a_file_that_is_no_text_is_told(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"fine\nab\0cd\n")
    with pytest.raises(InputError, match=r"line 2: holds a NUL character"):
        list(text.paragraphs([path]))


def test_a_line_that_no_paragraph_can_be_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text, "LONGEST_LINE", 20)
    (tmp_path / "a.txt").write_text("short\n" + "long " * 5)
    with pytest.raises(InputError, match=r"line 2: longer than .*one paragraph a line"):
        list(text.paragraphs([tmp_path / "a.txt"]))

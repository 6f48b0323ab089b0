"""Token classification: as many overlapping windows as the text needs, and the words that begin in each."""

from typing import Any, Dict, Iterator, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from ..decoding.token_classification import text_of
from . import Window


class Word(NamedTuple):
    """Where a word of a text is, in code points."""

    start: int
    end: int


def columns(row: Mapping[str, Any], settings: Mapping[str, Any]) -> Tuple[str, ...]:
    """The texts that a row must have."""
    return ("tokens",) if "text" not in row and "tokens" in row else ("text",)


def windows(row: Mapping[str, Any], encoder: Any, settings: Mapping[str, Any]) -> List[Window]:
    """The windows; nothing is cut. `align` has the words' places among the tokens."""
    return [window for window, _ in read(text_of(row), encoder, settings)]


def read(text: str, encoder: Any, settings: Mapping[str, Any]) -> List[Tuple[Window, List[Word]]]:
    """Each window with the words that begin in it."""
    encoded = encoder.encode_windows(text, settings["doc_stride"])
    words = words_of(text, encoded, encoder)
    found = []
    for window in encoded:
        here = places(text, window, words)
        align = {"words": [[place, *word] for place, word in here]}
        found.append((Window(window.feeds, align), [word for _, word in here]))
    return found


def words_of(text: str, encoded: Sequence[Any], encoder: Any) -> List[Word]:
    """The words of a text, from the windows that hold all of it.

    A word begins where the tokenizer's own pre-tokenizer says so, and at and after every punctuation mark or
    symbol (the encoder's `is_sign`); but an underscore parts nothing, it is a letter of names. So words are a
    matter of the text alone: a device that is given no tokens finds the same.
    """
    words: List[Word] = []
    behind = 0
    before: Optional[int] = None
    for window in encoded:
        numbers = window.encoding.word_ids
        for i, start, end in _pieces(text, window):
            if end <= behind:
                continue  # in the window before too, or one of several pieces of one character
            whole = numbers[i] == before
            if words and _goes_on(text[start - 1 : start + 1], start == words[-1].end, whole, encoder):
                words[-1] = Word(words[-1].start, end)
            else:
                words.append(Word(start, end))
            behind, before = end, numbers[i]
    return words


def places(text: str, window: Any, words: Sequence[Word]) -> List[Tuple[int, Word]]:
    """(position of its first piece among the window's tokens, word) of each word that begins in a window."""
    first: Dict[int, int] = {}
    for i, start, _ in _pieces(text, window):
        first.setdefault(start, i)
    return [(first[word.start], word) for word in words if word.start in first]


def trimmed(text: str, start: int, end: int) -> Tuple[int, int]:
    """A range of a text without the white space at its ends."""
    inner = text[start:end]
    return start + len(inner) - len(inner.lstrip()), end - len(inner) + len(inner.rstrip())


def _pieces(text: str, window: Any) -> Iterator[Tuple[int, int, int]]:
    """(position, start, end) of the pieces of a window that are more than white space."""
    encoding = window.encoding
    for i, (sequence, offsets) in enumerate(zip(encoding.sequence_ids, encoding.offsets)):
        start, end = trimmed(text, *offsets)
        if sequence is not None and start < end:
            yield i, start, end


def _goes_on(beside: str, touches: bool, whole: bool, encoder: Any) -> bool:
    """Whether a piece goes on with the word before it, `whole` to the splitter; they meet between `beside`."""
    if touches and "_" in beside:
        return True
    return whole and not any(map(encoder.is_sign, beside))

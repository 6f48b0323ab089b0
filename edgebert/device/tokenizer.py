"""The model's tokenizer without its library, token for token the same, from `tokenizer.bin` and `vocab.txt`.

Special tokens that stand in a text are themselves, as the model's own tokenizer has them. Texts are cut to
`max_tokens`, [CLS] and [SEP] among them; of a pair the longer text gives way first.
"""

import os
import re
from typing import Any, Dict, List, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from . import characters, pieces
from .characters import TableUnreadable

TABLE, VOCABULARY = "tokenizer.bin", "vocab.txt"
_LSTRIP, _RSTRIP, _WHOLE_WORD = 1, 2, 4
_WORD_CHARACTER = re.compile(r"\w")

Piece = Tuple[int, int, int, int]  # number, first code point, the one behind the last, word


class Encoding(NamedTuple):
    """Tokens of a window: `offsets` in code points of their text; words and sequences None for special ones."""

    ids: List[int]
    type_ids: List[int]
    offsets: List[Tuple[int, int]]
    word_ids: List[Optional[int]]
    sequence_ids: List[Optional[int]]


class Encoded(NamedTuple):
    """Token ids of one window: int64 [1, tokens] by input name, and whether its text was cut.

    `encoding` tells where the tokens are; None where nobody asked.
    """

    feeds: Dict[str, Any]
    truncated: bool
    encoding: Optional[Encoding]


class Tokenizer:
    """A bundle's tokenizer. Raises TableUnreadable for files that are not one."""

    def __init__(self, folder: str, max_tokens: int, inputs: Sequence[str]) -> None:
        self.max_tokens, self.inputs = max_tokens, list(inputs)
        path = os.path.join(folder, TABLE)
        try:
            with open(path, "rb") as file:
                reader = characters.opened(file.read())
            with open(os.path.join(folder, VOCABULARY), encoding="utf-8", newline="\n") as lines:
                vocabulary = lines.read().split("\n")[:-1]
            self._read(reader, vocabulary)
        except OSError as error:
            raise TableUnreadable("{}: {}".format(error.filename, error.strerror)) from None
        except TableUnreadable as error:
            raise TableUnreadable("{}: {}".format(path, error)) from None
        except (IndexError, ValueError):
            raise TableUnreadable("{}: is cut short, or damaged".format(path)) from None

    def _read(self, reader: characters.Reader, vocabulary: List[str]) -> None:
        kind, self._cls, self._sep, unknown = (reader.number() for _ in range(4))
        self._second = reader.number()
        added = [(reader.text(), reader.number(), reader.number()) for _ in range(reader.number())]
        self._added = {text: (number, flags) for text, number, flags in added}
        longest_first = sorted(self._added, key=len, reverse=True)
        self._special = re.compile("|".join(map(re.escape, longest_first))) if longest_first else None
        self._characters = characters.Characters(reader)
        self._model = pieces.Pieces(reader, kind, vocabulary, unknown)
        self._signs = characters.Ranges(reader)
        self.pieces = vocabulary + [""] * (
            1 + max((number for _, number, _ in added), default=-1) - len(vocabulary)
        )
        for text, number, _ in added:
            self.pieces[number] = text
        if not 0 <= max(self._cls, self._sep, unknown) < len(self.pieces):
            raise IndexError

    def is_sign(self, character: str) -> bool:
        """Whether a character is a punctuation mark or a symbol."""
        return self._signs.at(ord(character)) >= 0

    def number(self, piece: str) -> int:
        """The number of a piece. Raises ValueError where the vocabulary lacks it."""
        return self.pieces.index(piece)

    def ids(self, text: str, most: float = float("inf")) -> List[int]:
        """The first `most` tokens of a text, without special ones around it."""
        found = []  # type: List[int]
        for begin, end, number in self._parts(text):
            if number is not None:
                found.append(number)
            else:
                numbers = self._model.numbers
                for word in self._characters.words(text[begin:end] if begin or end < len(text) else text):
                    found += numbers(word)
                    if len(found) >= most:
                        break
            if len(found) >= most:
                return found[: int(most)]
        return found

    def encode(self, text: str, pair: Optional[str] = None) -> Encoded:
        """Token ids of a text, or of a pair of texts."""
        room = self.max_tokens - (2 if pair is None else 3)
        if pair is None:
            found = self.ids(text, room + 1)
            return Encoded(self._feeds(*self._around(found[:room])), len(found) > room, None)
        first, second = self.ids(text), self.ids(pair)  # of texts that both are too long, the longer gets more
        keep, also = _kept(len(first), len(second), room)
        ids, types = self._around(first[:keep], second[:also])
        return Encoded(self._feeds(ids, types), keep + also < len(first) + len(second), None)

    def encode_windows(self, text: str, stride: int, question: Optional[str] = None) -> List[Encoded]:
        """Token ids of a text of any length, in as many windows as it takes, each with the question before it.

        Neighbours share `stride` tokens of the text, but no more than half of what a window holds of it. A
        question of more than half a window is cut, which alone is told as `truncated`.
        """
        room = self.max_tokens - (2 if question is None else 3)
        asked = None if question is None else self.placed(question)
        cut = False
        while asked is not None and question is not None and len(asked) > room // 2:
            question = question[: asked[room // 2][1]]
            asked, cut = self.placed(question), True
        taken = len(asked or ())
        found = self.placed(text)
        step = room - taken - min(stride, (room - taken) // 2)
        windows: List[Encoded] = []
        start = 0
        while not windows or start - step + room - taken < len(found):
            windows.append(self._window(asked, found[start : start + room - taken], cut))
            start += step
        return windows

    def placed(self, text: str) -> List[Piece]:
        """All tokens of a text with their places, without special ones around it."""
        found = []  # type: List[Piece]
        word = 0
        for begin, end, number in self._parts(text):
            if number is not None:
                found.append((number, begin, end, word))
                word += 1
                continue
            for spelled, places in self._characters.placed(text[begin:end]):
                for number, first, behind in self._model.cut(spelled):
                    last = places[max(first, behind - 1)] + 1
                    found.append((number, begin + places[first], begin + last, word))
                word += 1
        return found

    def _parts(self, text: str) -> List[Tuple[int, int, Optional[int]]]:
        """The text between added tokens, and those: first code point, the one behind the last, number."""
        if self._special is None or self._special.search(text) is None:
            return [(0, len(text), None)]
        found = []  # type: List[Tuple[int, int, Optional[int]]]
        behind = 0
        for match in self._special.finditer(text):
            number, flags = self._added[match.group()]
            begin, end = match.span()
            if flags & _WHOLE_WORD and _inside(text, begin, end):
                continue
            if flags & _LSTRIP:
                begin = max(len(text[:begin].rstrip(_WHITE)), behind)
            if flags & _RSTRIP:
                end = len(text) - len(text[end:].lstrip(_WHITE))
            if behind < begin:
                found.append((behind, begin, None))
            found.append((begin, end, number))
            behind = end
        return found + ([(behind, len(text), None)] if behind < len(text) else [])

    def _window(self, asked: Optional[List[Piece]], found: List[Piece], cut: bool) -> Encoded:
        parts = [found] if asked is None else [asked, found]
        ids, types = self._around(*([one[0] for one in part] for part in parts))
        offsets, words, sequences = [(0, 0)], [None], [None]  # type: Any, Any, Any
        for number, part in enumerate(parts):
            offsets += [*(one[1:3] for one in part), (0, 0)]
            words += [*(one[3] for one in part), None]
            sequences += [*([number] * len(part)), None]
        return Encoded(self._feeds(ids, types), cut, Encoding(ids, types, offsets, words, sequences))

    def _around(self, first: List[int], second: Optional[List[int]] = None) -> Tuple[List[int], List[int]]:
        """Ids and types of [CLS] text [SEP], or [CLS] text [SEP] second [SEP]."""
        ids = [self._cls, *first, self._sep]
        types = [0] * len(ids)
        if second is not None:
            ids += [*second, self._sep]
            types += [self._second] * (len(second) + 1)
        return ids, types

    def _feeds(self, ids: List[int], types: List[int]) -> Dict[str, Any]:
        known = {"input_ids": ids, "attention_mask": [1] * len(ids), "token_type_ids": types}
        return {name: np.asarray([known[name]], dtype=np.int64) for name in self.inputs}


_WHITE = "\t\n\x0b\x0c\r \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000" + "".join(map(chr, range(0x2000, 0x200B)))


def _inside(text: str, begin: int, end: int) -> bool:
    """Whether a letter or digit touches a part of a text."""
    before, behind = text[begin - 1 : begin], text[end : end + 1]
    return bool(_WORD_CHARACTER.match(before) or _WORD_CHARACTER.match(behind))


def _kept(first: int, second: int, room: int) -> Tuple[int, int]:
    """How many tokens of two texts are kept where both must fit: the shorter whole, if it takes half at most."""
    if first + second <= room:
        return first, second
    short = min(first, second)
    long = short if short > room else max(short, room - short)
    if short + long > room:
        short, long = room // 2, room // 2 + room % 2
    return (long, short) if first > second else (short, long)

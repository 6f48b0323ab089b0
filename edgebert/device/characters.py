"""What a tokenizer's normalizer and splitter make of text, code point by code point: from `tokenizer.bin`.

The table was filled by the model's own tokenizer, so it needs no Unicode data of the machine it is read on.
`edgebert.tokenizer_table` describes the file.
"""

import bisect
import re
import struct
from typing import Any, Callable, Dict, List, Optional, Tuple

MAGIC, VERSION = b"EBTK", 1
WORD, SPACE, ALONE, MARK = 0, 1, 2, 3  # what a character is to the splitter; a mark is one that may change places
IS_SPACE, IS_ALONE, DROPPED, BREAKS, SHIFTED, SPELLED, HANGUL, IS_MARK = range(8)  # what a range holds
_HANGUL, _LEAD, _VOWEL, _TAIL, _VOWELS, _TAILS = 0xAC00, 0x1100, 0x1161, 0x11A7, 21, 28

Placed = List[Tuple[str, List[int]]]  # words, and where in the text each of their characters comes from


class TableUnreadable(Exception):
    """The file is not a tokenizer's table, or one of a newer kind."""


class Reader:
    """Numbers and texts of a table, one after the other."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def number(self) -> int:
        """An unsigned number: seven bits a byte, the lowest first."""
        found = shift = 0
        while True:
            byte = self.data[self.at]
            self.at += 1
            found |= (byte & 127) << shift
            if byte < 128:
                return found
            shift += 7

    def signed(self) -> int:
        """A signed number: its sign in the lowest bit."""
        found = self.number()
        return -(found >> 1) - 1 if found & 1 else found >> 1

    def text(self) -> str:
        """A text in UTF-8, its length before it."""
        return self.bytes(self.number()).decode("utf-8")

    def bytes(self, count: int) -> bytes:
        """As many bytes."""
        if self.at + count > len(self.data):
            raise IndexError
        self.at += count
        return self.data[self.at - count : self.at]

    def floats(self, count: int) -> List[float]:
        """Numbers of four bytes each, or of eight."""
        width = self.number()
        return list(struct.unpack("<%d%s" % (count, "f" if width == 4 else "d"), self.bytes(width * count)))


class Ranges:
    """Ranges of code points, ascending, none of which touches another's.

    A table has their count, and of each the code points since the end of the last one and their number - 1;
    `payload` reads what else it has of one, from its first code point and the one behind its last.
    """

    def __init__(self, reader: Reader, payload: Optional[Callable[[int, int], Any]] = None) -> None:
        self.starts: List[int] = []
        self.ends: List[int] = []
        self.payloads: List[Any] = []
        behind = 0
        for _ in range(reader.number()):
            start = behind + reader.number()
            behind = start + reader.number() + 1
            self.starts.append(start)
            self.ends.append(behind)
            if payload is not None:
                self.payloads.append(payload(start, behind))

    def at(self, code: int) -> int:
        """The number of the range that holds a code point; -1 where none does."""
        number = bisect.bisect_right(self.starts, code) - 1
        return number if number >= 0 and code < self.ends[number] else -1


class Characters:
    """The table's part that splits text into normalized words."""

    def __init__(self, reader: Reader) -> None:
        self._replaced = [(reader.text(), reader.text()) for _ in range(reader.number())]
        self._swallowed = {(chr(reader.number()), chr(reader.number())) for _ in range(reader.number())}
        self._ranges = Ranges(reader, lambda start, behind: _payload(reader, start, behind))
        odd = {first for first, _ in self._swallowed}
        for start, behind, (kind, payload) in zip(self._ranges.starts, self._ranges.ends, self._ranges.payloads):
            if kind == IS_MARK:
                odd.update(map(chr, range(start, behind)))
            if kind == SPELLED:
                odd.update(chr(start + i) for i, one in enumerate(payload) if any(c == MARK for _, c in one))
        patterns = [re.escape(pattern) for pattern, _ in self._replaced]
        patterns += ["[%s]" % "".join(map(re.escape, sorted(odd)))] if odd else []
        self._odd = re.compile("|".join(patterns)) if patterns else None
        self._spelled = _Spelled(self)

    def words(self, text: str) -> List[str]:
        """The normalized words of a text."""
        if self._odd is None or self._odd.search(text) is None:
            return [word for word in text.translate(self._spelled).split(" ") if word]
        return [word for word, _ in self.placed(text)]

    def placed(self, text: str) -> Placed:
        """The normalized words of a text, with the code point that each of their characters comes from."""
        found = []  # type: Placed
        word, places, marks = [], [], []  # type: List[str], List[int], List[Tuple[int, str, int]]

        def flush() -> None:
            for _, character, place in sorted(marks, key=lambda one: one[0]):
                word.append(character)
                places.append(place)
            del marks[:]

        def end() -> None:
            flush()
            if word:
                found.append(("".join(word), list(places)))
                del word[:], places[:]

        before = ""
        for character, place in self._read(text):
            kind, outputs = self._outputs(character)
            if kind == DROPPED:
                continue
            if (before, character) in self._swallowed:
                before = character
                continue
            before = character
            if kind == BREAKS:
                flush()
            for output, what in outputs:
                if what == MARK:
                    marks.append((self._order(output), output, place))
                    continue
                flush()
                if what != WORD:
                    end()
                if what != SPACE:
                    word.append(output)
                    places.append(place)
                if what == ALONE:
                    end()
        end()
        return found

    def _read(self, text: str) -> List[Tuple[str, int]]:
        """The characters of a text and their places, after what is replaced before all else."""
        read = [(character, place) for place, character in enumerate(text)]
        for pattern, other in self._replaced:
            at, made = 0, []  # type: int, List[Tuple[str, int]]
            hit = text.find(pattern)
            while hit >= 0:
                last = read[hit + len(pattern) - 1][1]
                made += read[at:hit] + [(character, last) for character in other]
                at = hit + len(pattern)
                hit = text.find(pattern, at)
            if at:
                read = made + read[at:]
                text = "".join(character for character, _ in read)
        return read

    def _order(self, mark: str) -> int:
        return int(self._ranges.payloads[self._ranges.at(ord(mark))][1])

    def _outputs(self, character: str) -> Tuple[int, List[Tuple[str, int]]]:
        """What its range is, and what becomes of a character: (character, what it is to the splitter) each."""
        code = ord(character)
        at = self._ranges.at(code)
        if at < 0:
            return SHIFTED, [(character, WORD)]
        kind, payload = self._ranges.payloads[at]
        if kind == IS_SPACE:
            return kind, [(" ", SPACE)]
        if kind in (IS_ALONE, SHIFTED):
            return kind, [(chr(code + payload), ALONE if kind == IS_ALONE else WORD)]
        if kind == SPELLED:
            return kind, payload[code - self._ranges.starts[at]]
        if kind == HANGUL:
            return kind, [(one, WORD) for one in decomposed(code)]
        return kind, [(character, MARK)] if kind == IS_MARK else []


class _Spelled(Dict[int, str]):
    """For str.translate: a code point's outputs, spaces around those that stand alone; found when first asked."""

    def __init__(self, characters: Characters) -> None:
        super().__init__()
        self._characters = characters

    def __missing__(self, code: int) -> str:
        _, outputs = self._characters._outputs(chr(code))
        self[code] = "".join(" %s " % one if what == ALONE else one for one, what in outputs)
        return self[code]


def _payload(reader: Reader, start: int, behind: int) -> Tuple[int, Any]:
    """A range's kind, and what that needs."""
    kind = reader.number()
    if kind in (IS_ALONE, SHIFTED):
        return kind, reader.signed()
    if kind == IS_MARK:
        return kind, reader.number()
    if kind != SPELLED:
        return kind, None
    found = []
    for code in range(start, behind):
        outputs = []
        for _ in range(reader.number()):
            packed = reader.number()
            outputs.append((chr(code + _signed(packed >> 2)), packed & 3))
        found.append(outputs)
    return kind, found


def _signed(number: int) -> int:
    return -(number >> 1) - 1 if number & 1 else number >> 1


def decomposed(code: int) -> List[str]:
    """The letters of a Hangul syllable (Unicode, section 3.12)."""
    number = code - _HANGUL
    tail = number % _TAILS
    found = [chr(_LEAD + number // (_VOWELS * _TAILS)), chr(_VOWEL + number % (_VOWELS * _TAILS) // _TAILS)]
    return [*found, chr(_TAIL + tail)] if tail else found


def opened(data: bytes) -> Reader:
    """A table's reader behind its head. Raises TableUnreadable for another kind of file, or a newer one."""
    if data[:4] != MAGIC or len(data) < 5:
        raise TableUnreadable("is not a tokenizer's table")
    if data[4] > VERSION:
        raise TableUnreadable("is a tokenizer's table of version %d; this EdgeBERT reads %d" % (data[4], VERSION))
    reader = Reader(data)
    reader.at = 5
    return reader

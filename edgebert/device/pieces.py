"""From a normalized word to the numbers of its pieces: WordPiece's longest match first, or unigram's likeliest."""

from typing import Any, Dict, List, Sequence, Tuple

from .characters import Reader

WORDPIECE, UNIGRAM = 0, 1
REMEMBERED = 50000  # words whose pieces are kept
_UNKNOWN = 10.0  # what an unknown character scores below the rarest piece: sentencepiece's kUnkPenalty

Cut = List[Tuple[int, int, int]]  # number of a piece, its first character in the word, the one behind its last


class WordPiece:
    """BERT's: from the left, the longest piece that there is; a word with a part that is none is unknown."""

    def __init__(self, reader: Reader, vocabulary: Sequence[str], unknown: int) -> None:
        self._longest_word, self._prefix, self._unknown = reader.number(), reader.text(), unknown
        self._first: Dict[str, int] = {}
        self._inner: Dict[str, int] = {}
        for number, piece in enumerate(vocabulary):
            self._first[piece] = number
            if piece.startswith(self._prefix):
                self._inner[piece[len(self._prefix) :]] = number
        self._reach = max(map(len, self._first), default=0)

    def cut(self, word: str) -> Cut:
        """The pieces of a word, and where they are in it."""
        size = len(word)
        if size > self._longest_word:
            return [(self._unknown, 0, size)]
        found = []  # type: Cut
        start, known = 0, self._first
        while start < size:
            end = min(size, start + self._reach)
            while end > start and word[start:end] not in known:
                end -= 1
            if end == start:
                return [(self._unknown, 0, size)]
            found.append((known[word[start:end]], start, end))
            start, known = end, self._inner
        return found


class Unigram:
    """SentencePiece's: the cut of the largest sum of scores (Viterbi); unknown characters side by side are one.

    A word has `prefix` in front of it, for the space it stands for, and is cut before each that it holds.
    """

    def __init__(self, reader: Reader, vocabulary: Sequence[str], unknown: int) -> None:
        self._prefix, self._prepended, self._unknown = reader.text(), bool(reader.number()), unknown
        scores = reader.floats(reader.number())
        self._numbers = {piece: number for number, piece in enumerate(vocabulary)}
        self._scores = scores
        self._worst = min(scores, default=0.0) - _UNKNOWN
        self._reach = max(map(len, vocabulary), default=0)

    def cut(self, word: str) -> Cut:
        """The pieces of a word, and where they are in it; a piece that is the prefix alone is nowhere."""
        added = len(self._prefix) if self._prepended and not word.startswith(self._prefix) else 0
        whole = self._prefix + word if added else word
        found = []  # type: Cut
        start = 0
        while start < len(whole):
            end = whole.find(self._prefix, start + 1)
            end = len(whole) if end < 0 else end
            for number, first, behind in self._best(whole[start:end]):
                found.append((number, max(0, start + first - added), max(0, start + behind - added)))
            start = end
        return found

    def _best(self, part: str) -> Cut:
        size = len(part)
        sums, came, numbers = [0.0] * (size + 1), [-1] * (size + 1), [0] * (size + 1)

        def reach(end: int, start: int, score: float, number: int) -> None:
            total = score + sums[start]
            if came[end] < 0 or total > sums[end]:
                sums[end], came[end], numbers[end] = total, start, number

        for start in range(size):
            alone = False
            for end in range(start + 1, min(size, start + self._reach) + 1):
                number = self._numbers.get(part[start:end])
                if number is not None:
                    reach(end, start, self._scores[number], number)
                    alone = alone or end == start + 1
            if not alone:
                reach(start + 1, start, self._worst, self._unknown)
        found = []  # type: Cut
        end = size
        while end:
            start = came[end]
            if found and numbers[end] == self._unknown == found[-1][0]:
                found[-1] = (self._unknown, start, found[-1][2])
            else:
                found.append((numbers[end], start, end))
            end = start
        return found[::-1]


class Pieces:
    """A model of a table, which remembers the pieces of words."""

    def __init__(self, reader: Reader, kind: int, vocabulary: Sequence[str], unknown: int) -> None:
        self._model: Any = (WordPiece, Unigram)[kind](reader, vocabulary, unknown)
        self._known: Dict[str, List[int]] = {}

    def cut(self, word: str) -> Cut:
        """The pieces of a word, and where they are in it."""
        found: Cut = self._model.cut(word)
        return found

    def numbers(self, word: str) -> List[int]:
        """The numbers of a word's pieces."""
        found = self._known.get(word)
        if found is None:
            if len(self._known) >= REMEMBERED:
                self._known.clear()
            found = self._known[word] = [number for number, _, _ in self.cut(word)]
        return found

"""What a Hugging Face tokenizer makes of every code point, found by asking it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from edgebert.device import characters
from edgebert.device.characters import ALONE, MARK, SPACE, WORD

_HANGUL = range(0xAC00, 0xD7A4)
_SURROGATES = range(0xD800, 0xE000)
CODES, _BLOCK = 0x110000, 256
# Marks that accents' removal leaves: combining classes 226 and 6, above and below almost all others.
_HIGH, _LOW = "\U0001d16d", "\U00016ff0"


class NoTable(Exception):
    """The tokenizer does something that no table of code points can tell; the message says what."""


@dataclass(frozen=True)
class Code:
    """What becomes of a code point: a kind of `characters`, and that kind's payload."""

    kind: int
    payload: Any = None


def made_of(tokenizer: Any) -> dict[int, Code]:
    """What becomes of each code point between two letters, but of those that stay as they are."""
    normalize = tokenizer.normalizer.normalize_str if tokenizer.normalizer is not None else str
    kinds: dict[str, int] = {}

    def kind(character: str) -> int:
        if character not in kinds:
            kinds[character] = _kind(tokenizer.pre_tokenizer, character)
        return kinds[character]

    found, orders = {}, _orders(normalize)
    for block in _blocks():
        between = f"a{'a'.join(map(chr, block))}a"
        normalized = normalize(between)
        if normalized == between and len(tokenizer.pre_tokenizer.pre_tokenize_str(between)) == 1:
            continue
        for number in block:
            character = chr(number)
            whole = normalize(f"a{character}a")
            if whole[:1] != "a" or whole[-1:] != "a":
                raise NoTable(f"U+{number:04X} changes the letters beside it")
            outputs = [(one, MARK if one in orders else kind(one)) for one in whole[1:-1]]
            if outputs != [(character, WORD)]:
                found[number] = _code(number, outputs, orders, normalize)
    return found


def _blocks() -> Iterator[range]:
    """All code points, side by side; most of Unicode is alike."""
    for start in range(0, CODES, _BLOCK):
        if start not in _SURROGATES:
            yield range(start, start + _BLOCK)


def _code(number: int, outputs: list[tuple[str, int]], orders: dict[str, int], normalize: Any) -> Code:
    if not outputs:
        breaks = orders and normalize(f"a{_HIGH}{chr(number)}{_LOW}a") != f"a{_LOW}{_HIGH}a"
        return Code(characters.BREAKS if breaks else characters.DROPPED)
    kinds = [what for _, what in outputs]
    if set(kinds) == {SPACE}:
        return Code(characters.IS_SPACE)
    if kinds == [ALONE] or (len(kinds) == 3 and kinds[::2] == [SPACE, SPACE] and kinds[1] in (WORD, ALONE)):
        return Code(characters.IS_ALONE, ord(outputs[len(kinds) // 2][0]) - number)
    if kinds == [WORD]:
        return Code(characters.SHIFTED, ord(outputs[0][0]) - number)
    if outputs == [(chr(number), MARK)]:
        return Code(characters.IS_MARK, orders[chr(number)])
    letters = [(one, WORD) for one in characters.decomposed(number)] if number in _HANGUL else []
    return Code(characters.HANGUL) if outputs == letters else Code(characters.SPELLED, tuple(outputs))


def _kind(splitter: Any, character: str) -> int:
    """What a normalized character is to the splitter, told by two letters around it."""
    found = [word.lstrip("\u2581") for word, _ in splitter.pre_tokenize_str(f"a{character}a")]
    if character == "\u2581" or found == [f"a{character}a"]:
        return WORD
    if found == ["a", "a"]:
        return SPACE
    if found == ["a", character, "a"]:
        return ALONE
    raise NoTable(f"its splitter makes {found} of 'a{character}a'")


def _orders(normalize: Any) -> dict[str, int]:
    """Marks that stay in the text and change places with others, with the order that they are put in."""
    if normalize(f"a{_HIGH}{_LOW}a") != f"a{_LOW}{_HIGH}a":
        return {}
    moved = []
    for block in _blocks():
        among = "".join(f"a{_HIGH}{chr(number)}{_LOW}" for number in block)
        if normalize(among) != among:
            moved += [chr(number) for number in block if _moves(normalize, chr(number))]
    return {one: sum(normalize(f"a{one}{other}a") == f"a{other}{one}a" for other in moved) for one in moved}


def _moves(normalize: Any, mark: str) -> bool:
    """Whether a character stays, and lets a low mark pass to a high one, whichever side of that it belongs to."""
    if normalize(f"a{mark}a") != f"a{mark}a":
        return False
    return bool(normalize(f"a{_HIGH}{mark}{_LOW}a") not in (f"a{_HIGH}{mark}{_LOW}a", f"a{_HIGH}{_LOW}{mark}a"))


def swallowed(tokenizer: Any, codes: dict[int, Code]) -> list[tuple[int, int]]:
    """Pairs of which the second goes: sentencepiece's table replaces a short grapheme by what its first one gives.

    Short is below six bytes, so a second of two bytes follows a first of three at most.
    """
    normalize = tokenizer.normalizer.normalize_str

    def given(text: str) -> str:
        return str(normalize(f"a{text}a")[1:-1])

    joiner = "\u200c"
    extenders = [one for one in map(chr, range(0x800)) if given(joiner + one) != given(joiner) + given(one)]
    pairs = [("\r", "\n")]
    pairs += [(chr(number), c) for c in extenders for number in codes if 0x20 < number < 0x10000]
    found = []
    for first, second in pairs:
        if given(first + second) == given(first) != given(first) + given(second):
            found.append((ord(first), ord(second)))
    return found

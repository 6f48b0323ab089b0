"""`tokenizer.bin`: what a Hugging Face tokenizer does, as a table that any language reads in a page of code.

The tokenizer itself is asked what it makes of every code point, so that no device needs Unicode data, which differ
from one platform to the next (java.text.Normalizer from this library's on 367 code points). Numbers are unsigned,
seven bits a byte and the lowest first, the top bit on all bytes but the last; a signed one has its sign in the
lowest bit (n >= 0 as 2n, n < 0 as -2n - 1); a text is its length in bytes and its UTF-8. In this order:

    "EBTK", a byte: the version, 1
    the model (0 WordPiece, 1 unigram), [CLS], [SEP], the unknown piece, the type of a second text's tokens
    added tokens, a count: text, number, flags (1 takes the white space before it, 2 behind it, 4 whole words only)
    replacements, a count: text, other text; done first, one after the other
    swallowed, a count: two code points; the second is dropped where it follows the first (dropped ones apart)
    ranges, a count, ascending: code points since the end of the last one, their number - 1, a kind, its payload:
        0 space    1 stands alone: shift    2 dropped    3 dropped, no mark passes it    4 other character: shift
        5 spelled, for each code point: a count of 4 * signed shift (as above) + what it is: 0 part of a word,
          1 space, 2 stands alone, 3 mark
        6 Hangul, decomposed to letters    7 mark: its order; marks side by side are sorted by it, stably
      what is in no range is part of a word as it is
    WordPiece: longest word, prefix of a piece within a word
    unigram: prefix, whether every word gets one, then scores: a count, 4 or 8 bytes, as many little-endian floats
    signs: ranges as above, of punctuation marks and symbols, where words of entities end

Pieces are the lines of vocab.txt, in order.
"""

from __future__ import annotations

import functools
import json
import struct
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edgebert import code_points
from edgebert.code_points import CODES, Code, NoTable as NoTable
from edgebert.device import characters
from edgebert.device.pieces import UNIGRAM, WORDPIECE
from edgebert.device.tokenizer import TABLE, VOCABULARY


@dataclass
class _Written:
    """A table being written."""

    data: bytearray = field(default_factory=bytearray)

    def number(self, value: int) -> None:
        while value > 127:
            self.data.append(value & 127 | 128)
            value >>= 7
        self.data.append(value)

    def signed(self, value: int) -> None:
        self.number(_packed(value))

    def text(self, value: str) -> None:
        self.number(len(value.encode()))
        self.data += value.encode()


def write(source: Path, out: Path) -> None:
    """Write the table and the pieces of the tokenizer.json `source` to the folder `out`. Raises NoTable."""
    table, pieces = made(source.read_text(encoding="utf-8"))
    (out / TABLE).write_bytes(table)
    (out / VOCABULARY).write_text("".join(f"{piece}\n" for piece in pieces), encoding="utf-8", newline="\n")


@functools.lru_cache(maxsize=4)
def made(text: str) -> tuple[bytes, tuple[str, ...]]:
    """The table and the pieces of the tokenizer that a tokenizer.json describes. Raises NoTable."""
    from tokenizers import Tokenizer

    told, tokenizer = json.loads(text), Tokenizer.from_str(text)
    model = told["model"]
    kind = {"WordPiece": WORDPIECE, "Unigram": UNIGRAM}.get(model["type"])
    if kind is None:
        raise NoTable(f"its model is {model['type']}; WordPiece and unigram are read")
    _check(told, kind)
    pieces = _pieces(model)
    out = _Written()
    out.data += characters.MAGIC + bytes([characters.VERSION])
    out.number(kind)
    for number in _template(tokenizer, told):
        out.number(number)
    _write_added(out, told["added_tokens"])
    _write_characters(out, tokenizer, told)
    if kind == WORDPIECE:
        out.number(model["max_input_chars_per_word"])
        out.text(model["continuing_subword_prefix"])
    else:
        metaspace = _parts(told["pre_tokenizer"])[-1]
        out.text(metaspace["replacement"])
        out.number(int(metaspace["prepend_scheme"] == "always"))
        _write_scores(out, [score for _, score in model["vocab"]])
    _write_signs(out)
    return bytes(out.data), tuple(pieces)


def _check(told: dict[str, Any], kind: int) -> None:
    """Raise NoTable for parts that are not read: their effect is not one of code points."""
    normalizers = [part["type"] for part in _parts(told["normalizer"])]
    splitters = [part["type"] for part in _parts(told["pre_tokenizer"])]
    known = {"BertNormalizer", "Replace", "NFKD", "NFD", "StripAccents", "Lowercase", "Precompiled"}
    if strange := [name for name in normalizers if name not in known]:
        raise NoTable(f"its normalizer {strange[0]} is not read")
    if "Precompiled" in normalizers and "StripAccents" not in normalizers:
        raise NoTable("its normalizer keeps accents and joins them to letters; no table of code points tells that")
    wanted = ["BertPreTokenizer"] if kind == WORDPIECE else ["WhitespaceSplit", "Metaspace"]
    if splitters != wanted:
        raise NoTable(f"its pre-tokenizer is {' + '.join(splitters) or 'none'}; {' + '.join(wanted)} is read")
    if kind == UNIGRAM and _parts(told["pre_tokenizer"])[-1]["prepend_scheme"] not in ("always", "never"):
        raise NoTable("its Metaspace treats the first word apart")
    if told["model"].get("byte_fallback"):
        raise NoTable("its unigram model falls back to bytes")
    if any(token["normalized"] for token in told["added_tokens"]):
        raise NoTable("it has added tokens that are looked for in normalized text")
    for part in _parts(told["normalizer"]):
        if part["type"] == "Replace" and "String" not in part["pattern"]:
            raise NoTable("its normalizer replaces a regular expression")


def _parts(told: dict[str, Any] | None) -> list[dict[str, Any]]:
    """The members of a sequence of normalizers or pre-tokenizers; of a single one, itself."""
    if told is None:
        return []
    return [part for one in told.get("normalizers", told.get("pretokenizers", [told])) for part in _of(one, told)]


def _of(one: dict[str, Any], whole: dict[str, Any]) -> list[dict[str, Any]]:
    return [one] if one is whole or one["type"] != "Sequence" else _parts(one)


def _pieces(model: dict[str, Any]) -> list[str]:
    vocabulary = model["vocab"]
    if isinstance(vocabulary, dict):
        found = sorted(vocabulary, key=vocabulary.__getitem__)
        if [vocabulary[piece] for piece in found] != list(range(len(found))):
            raise NoTable("its pieces are not numbered from 0 without gaps")
    else:
        found = [piece for piece, _ in vocabulary]
    if broken := [piece for piece in found if "\n" in piece]:
        raise NoTable(f"its piece {broken[0]!r} holds a line break")
    return found


def _template(tokenizer: Any, told: dict[str, Any]) -> list[int]:
    """Numbers of [CLS], [SEP] and the unknown piece, and the type of a second text's tokens."""
    tokenizer.no_padding()
    tokenizer.no_truncation()
    found = tokenizer.encode("a", "a")
    inner = tokenizer.encode("a", add_special_tokens=False).ids
    single = tokenizer.encode("a").ids
    cls, sep, second = found.ids[0], found.ids[-1], found.type_ids[-1]
    if found.ids != [cls, *inner, sep, *inner, sep] or single != [cls, *inner, sep]:
        raise NoTable("it puts something else around texts than [CLS] and [SEP]")
    rest = len(inner)
    if found.type_ids != [0] * (rest + 2) + [second] * (rest + 1):
        raise NoTable("it numbers the types of tokens in another way than 0 and 1")
    model = told["model"]
    unknown = tokenizer.token_to_id(model["unk_token"]) if "unk_token" in model else model["unk_id"]
    if unknown is None:
        raise NoTable("it has no piece for what it does not know")
    return [cls, sep, unknown, second]


def _write_added(out: _Written, tokens: Sequence[dict[str, Any]]) -> None:
    out.number(len(tokens))
    for token in tokens:
        out.text(token["content"])
        out.number(token["id"])
        out.number(token["lstrip"] + 2 * token["rstrip"] + 4 * token["single_word"])


def _write_scores(out: _Written, scores: Sequence[float]) -> None:
    short = all(struct.unpack("<f", struct.pack("<f", score))[0] == score for score in scores)
    out.number(len(scores))
    out.number(4 if short else 8)
    out.data += struct.pack(f"<{len(scores)}{'f' if short else 'd'}", *scores)


def _write_signs(out: _Written) -> None:
    """Unicode's categories P and S, in the version that texts are read with here."""
    signs = [code for code in range(CODES) if unicodedata.category(chr(code))[0] in "PS"]
    ranges = list(_ranges({code: Code(0) for code in signs}))
    out.number(len(ranges))
    behind = 0
    for start, end, _ in ranges:
        out.number(start - behind)
        out.number(end - start - 1)
        behind = end


def _write_characters(out: _Written, tokenizer: Any, told: dict[str, Any]) -> None:
    parts = _parts(told["normalizer"])
    replaced = [(one["pattern"]["String"], one["content"]) for one in parts if one["type"] == "Replace"]
    out.number(len(replaced))
    for pattern, other in replaced:
        out.text(pattern)
        out.text(other)
    codes = code_points.made_of(tokenizer)
    swallowed = (
        code_points.swallowed(tokenizer, codes) if any(one["type"] == "Precompiled" for one in parts) else []
    )
    out.number(len(swallowed))
    for first, second in swallowed:
        out.number(first)
        out.number(second)
    ranges = list(_ranges(codes))
    out.number(len(ranges))
    behind = 0
    for start, end, code in ranges:
        out.number(start - behind)
        out.number(end - start - 1)
        out.number(code.kind)
        if code.kind in (characters.IS_ALONE, characters.SHIFTED):
            out.signed(code.payload)
        elif code.kind == characters.IS_MARK:
            out.number(code.payload)
        elif code.kind == characters.SPELLED:
            for number in range(start, end):
                outputs = codes[number].payload
                out.number(len(outputs))
                for character, what in outputs:
                    out.number(4 * _packed(ord(character) - number) + what)
        behind = end


def _packed(value: int) -> int:
    return 2 * value if value >= 0 else -2 * value - 1


def _ranges(codes: dict[int, Code]) -> Iterator[tuple[int, int, Code]]:
    """First code point, the one behind the last, and what they have in common; spelled ones side by side."""
    start, end, held = 0, 0, Code(-1)
    for number, code in codes.items():
        alike = code.kind == held.kind and (code.kind == characters.SPELLED or code == held)
        if alike and number == end:
            end += 1
            continue
        if held.kind >= 0:
            yield start, end, held
        start, end, held = number, number + 1, code
    if held.kind >= 0:
        yield start, end, held

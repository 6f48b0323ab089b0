"""Texts that tokenizers differ on, and tokenizers of every kind that a table is made of."""

from __future__ import annotations

import json
import random
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Any

SURROGATES = range(0xD800, 0xE000)
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
TEXTS = json.loads((Path(__file__).parent / "stress.json").read_text(encoding="utf-8"))
WORDS = TEXTS.pop("words")

BLOCKS = (
    (0x20, 0x7E), (0xA0, 0xFF), (0x100, 0x24F), (0x250, 0x2FF), (0x300, 0x36F), (0x370, 0x52F), (0x590, 0x6FF),
    (0x900, 0xDFF), (0xE00, 0xFFF), (0x10A0, 0x11FF), (0x1C80, 0x1CFF), (0x1E00, 0x1FFF), (0x2000, 0x206F),
    (0x2070, 0x218F), (0x2190, 0x27BF), (0x2C00, 0x2DFF), (0x2E80, 0x30FF), (0x3100, 0x34FF), (0xA640, 0xA69F),
    (0xAC00, 0xD7A3), (0xF900, 0xFAFF), (0xFB00, 0xFFEF), (0x10000, 0x100FF), (0x1D100, 0x1D7FF),
    (0x1F300, 0x1FAFF), (0x20000, 0x200FF), (0x2F800, 0x2FA1F), (0xE0000, 0xE01FF),
)  # fmt: skip
WHOLE_UNICODE = ("uncased", "cased without CJK", "albert")  # kinds that every code point is tried on
SEASONING = " ab.\n\r\t[]'`\U0001d16d\U00016ff0\u0301\u302e\u200c\u200d"


def stress() -> list[str]:
    """More than three hundred texts, each of which some tokenizer of the field gets wrong."""
    found = [text for group in TEXTS.values() for text in group]
    found += ["a" * n for n in (99, 100, 101, 200)] + [
        "é" * 100,
        "e\u0301" * 60,
        "e\u0301" * 100,
        "İ" * 60,
        "İ" * 99,
    ]
    found += ["word " * 600, "x" * 5000, "supercalifragilistic" * 20, "中" * 700, "😀" * 300, "hello " * 126]
    found += ["hello " * 127, "ab, " * 200, "ß" * 100, "test " * 10 + "q" * 100 + " end"]
    found += ["``" * 300, "\r\n" * 300]
    chance = random.Random(7)
    for low, high in BLOCKS:
        for _ in range(2):
            codes = [chance.randint(low, high) for _ in range(24)]
            found.append("".join(chr(code) + (" " if chance.random() < 0.25 else "") for code in codes))
    return found


def random_texts(count: int, seed: int = 5) -> Iterator[str]:
    """Texts of random code points, assigned or not, mixed with what tokenizers treat apart."""
    chance = random.Random(seed)
    blocks = [*BLOCKS, *[(0x20, 0x7E)] * 8, (0, 0xD7FF), (0xE000, 0xFFFF), (0x10000, 0x1FFFF), (0x20000, 0x323AF)]
    for _ in range(count):
        low, high = chance.choice(blocks)
        length = chance.randint(1, 30)
        yield "".join(
            chr(chance.randint(low, high)) if chance.random() < 0.8 else chance.choice(SEASONING)
            for _ in range(length)
        )


def code_points(each: int = 64, unassigned: bool = True) -> Iterator[str]:
    """Every code point between letters, some in a text; those that Unicode does not know too, or not."""
    codes = [code for code in range(0x110000) if code not in SURROGATES]
    if not unassigned:
        codes = [code for code in codes if unicodedata.category(chr(code)) not in ("Cn", "Co")]
    for start in range(0, len(codes), each):
        yield "".join(f"a{chr(code)}b " for code in codes[start : start + each])


def whole_unicode(name: str) -> list[str]:
    """The code points that a kind of tokenizer is tried on in every language; none for some kinds.

    Those that Unicode does not know are left to plain Python's test for unigram, whose original takes half a
    minute for them.
    """
    return list(code_points(unassigned=name != "albert")) if name in WHOLE_UNICODE else []


def tokenizers() -> dict[str, str]:
    """A tokenizer.json of each kind, by name: WordPiece with BertNormalizer's switches, ALBERT's unigram."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

    pieces = list(dict.fromkeys([*SPECIAL, *WORDS, *(f"##{chr(code)}" for code in range(97, 123))]))
    switches: dict[str, dict[str, Any]] = {
        "uncased": {},
        "cased": {"lowercase": False},
        "cased without CJK": {"lowercase": False, "strip_accents": False, "handle_chinese_chars": False},
        "keeps accents": {"strip_accents": False},
    }
    found = {}
    for name, given in switches.items():
        tokenizer = Tokenizer(models.WordPiece({piece: i for i, piece in enumerate(pieces)}, unk_token="[UNK]"))
        tokenizer.normalizer = normalizers.BertNormalizer(**given)
        tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        tokenizer.post_processor = processors.TemplateProcessing(
            single="[CLS] $A [SEP]",
            pair="[CLS] $A [SEP] $B:1 [SEP]:1",
            special_tokens=[("[CLS]", pieces.index("[CLS]")), ("[SEP]", pieces.index("[SEP]"))],
        )
        tokenizer.add_special_tokens(SPECIAL)
        found[name] = tokenizer.to_str()
    return {**found, "albert": albert()}


def albert(charsmap: bytes | None = None) -> str:
    """The tokenizer.json of an ALBERT; `charsmap` is sentencepiece's own table of normalization."""
    from tokenizers import AddedToken, Tokenizer, models, normalizers, pre_tokenizers, processors

    chance = random.Random(3)
    special = ["<pad>", "<unk>", "[CLS]", "[SEP]", "[MASK]"]
    rest = [word[2:] if word.startswith("##") else f"\u2581{word}" for word in WORDS] + ["\u2581"]
    rest += [chr(code) for code in range(97, 123)]
    scores = [(piece, 0.0) for piece in special]
    scores += [(piece, -5 - 12 * chance.random()) for piece in dict.fromkeys(rest) if piece]
    tokenizer = Tokenizer(models.Unigram(scores, unk_id=1, byte_fallback=False))
    steps: list[Any] = [normalizers.Replace("``", '"'), normalizers.Replace("''", '"')]
    steps += [normalizers.NFKD(), normalizers.StripAccents(), normalizers.Lowercase()]
    steps += [] if charsmap is None else [normalizers.Precompiled(charsmap)]
    tokenizer.normalizer = normalizers.Sequence(steps)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace(prepend_scheme="always")]
    )
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS]:0 $A:0 [SEP]:0",
        pair="[CLS]:0 $A:0 [SEP]:0 $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 2), ("[SEP]", 3)],
    )
    tokenizer.add_special_tokens([*special[:4], AddedToken("[MASK]", lstrip=True, special=True)])
    found = json.loads(tokenizer.to_str())
    return json.dumps(found, ensure_ascii=False)

"""A tokenizer learned from raw text, WordPiece as BERT's or unigram as ALBERT's, and what rows need of one."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgebert.errors import InputError

SPECIAL = {
    "wordpiece": ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"),
    "unigram": ("<pad>", "<unk>", "[CLS]", "[SEP]", "[MASK]"),
}
LARGEST_ALPHABET = 1000  # characters that have pieces of their own
_PADS = ("[PAD]", "<pad>")


@dataclass(frozen=True)
class Pieces:
    """Numbers of the special pieces, the `ordinary` ones (int64 [n]), and how many rows embeddings need."""

    cls: int
    sep: int
    mask: int
    pad: int
    ordinary: NDArray[np.int64]
    count: int


def train(
    kind: str, size: int, lowercase: bool, texts: Callable[[], Iterator[str]], out: Path, max_tokens: int
) -> None:
    """Learn a "wordpiece" or "unigram" tokenizer from paragraphs and write its files to `out`.

    The same text gives the same tokenizer; `texts` is called for each time that the text is gone through.
    `max_tokens` is where callers of the model are to cut texts. Raises InputError where the text is too little for
    the vocabulary asked for.
    """
    tokenizer = _wordpiece(size, lowercase, texts) if kind == "wordpiece" else _unigram(size, lowercase, texts)
    found = tokenizer.get_vocab_size()
    if found < size / 2:
        raise InputError(
            f"[tokenizer] train.vocabulary = {size}; the training text gives only {found} pieces: "
            "take a smaller vocabulary or more text"
        )
    special = {name: tokenizer.token_to_id(name) for name in SPECIAL[kind]}
    from tokenizers.processors import TemplateProcessing

    tokenizer.post_processor = TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[(name, special[name]) for name in ("[CLS]", "[SEP]")],
    )
    out.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(out / "tokenizer.json"))
    names = ("pad_token", "unk_token", "cls_token", "sep_token", "mask_token")
    config: dict[str, Any] = dict(zip(names, SPECIAL[kind], strict=True))
    config |= {"tokenizer_class": "BertTokenizer" if kind == "wordpiece" else "AlbertTokenizer"}
    config |= {"do_lower_case": lowercase, "model_max_length": max_tokens}
    if kind == "unigram":
        config |= {"bos_token": "[CLS]", "eos_token": "[SEP]"}
    (out / "tokenizer_config.json").write_text(json.dumps(config, indent=1, sort_keys=True), encoding="utf-8")
    if kind == "wordpiece":
        vocabulary = tokenizer.get_vocab()
        pieces = sorted(vocabulary, key=vocabulary.__getitem__)
        (out / "vocab.txt").write_text("".join(f"{piece}\n" for piece in pieces), encoding="utf-8")


def pieces(folder: Path) -> Pieces:
    """The special and ordinary pieces of a tokenizer's folder.

    Raises InputError for a tokenizer without [CLS], [SEP], [MASK] or padding.
    """
    tokenizer = opened(folder)
    names = ("[CLS]", "[SEP]", "[MASK]")
    found = {name: tokenizer.token_to_id(name) for name in names}
    found["[PAD]"] = next((one for name in _PADS if (one := tokenizer.token_to_id(name)) is not None), None)
    if missing := [name for name, number in found.items() if number is None]:
        raise InputError(f"{folder / 'tokenizer.json'}: has no piece {', '.join(missing)}; masking needs it")
    special = {number for number, piece in tokenizer.get_added_tokens_decoder().items() if piece.special}
    special |= set(found.values()) | {tokenizer.token_to_id(name) for name in ("[UNK]", "<unk>")}
    numbers = sorted(tokenizer.get_vocab().values())
    ordinary = np.asarray([number for number in numbers if number not in special], dtype=np.int64)
    return Pieces(found["[CLS]"], found["[SEP]"], found["[MASK]"], found["[PAD]"], ordinary, numbers[-1] + 1)


def opened(folder: Path) -> Any:
    """The tokenizer of a folder, without padding and truncation. Raises InputError where there is none."""
    from tokenizers import Tokenizer

    path = folder / "tokenizer.json"
    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises bare Exception for a faulty file
        raise InputError(f"{path}: not a tokenizer: {error}") from None
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer


def same(one: Path, other: Path) -> bool:
    """Whether the tokenizers of two folders cut every text alike into pieces of the same numbers."""
    parts = ("normalizer", "pre_tokenizer", "model")

    def of(folder: Path) -> Any:
        return [json.loads(opened(folder).to_str()).get(part) for part in parts]

    return bool(of(one) == of(other))


def _wordpiece(size: int, lowercase: bool, texts: Callable[[], Iterator[str]]) -> Any:
    """BERT's WordPiece. The library numbers "##c" pieces by chance, and ties by number; here they are sorted."""
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

    normalizer = normalizers.BertNormalizer(lowercase=lowercase)
    splitter = pre_tokenizers.BertPreTokenizer()
    alphabet = _alphabet(normalizer.normalize_str(one) for one in texts())
    inner = [f"##{c}" for c in alphabet if len(splitter.pre_tokenize_str(f"a{c}")) == 1]
    learner = Tokenizer(models.WordPiece(unk_token=SPECIAL["wordpiece"][1]))
    learner.normalizer, learner.pre_tokenizer = normalizer, splitter
    trainer = trainers.WordPieceTrainer(
        vocab_size=size,
        special_tokens=[*SPECIAL["wordpiece"], *inner],
        initial_alphabet=alphabet,
        limit_alphabet=len(alphabet),
        show_progress=False,
    )
    learner.train_from_iterator(texts(), trainer)
    tokenizer = Tokenizer(models.WordPiece(learner.get_vocab(), unk_token=SPECIAL["wordpiece"][1]))
    tokenizer.normalizer, tokenizer.pre_tokenizer = normalizer, splitter
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.add_special_tokens(list(SPECIAL["wordpiece"]))
    return tokenizer


def _alphabet(texts: Iterator[str]) -> list[str]:
    """The most frequent characters of a text, sorted."""
    counts: Counter[str] = Counter()
    for one in texts:
        counts.update(one)
    common = sorted((c for c in counts if not c.isspace()), key=lambda c: (-counts[c], c))
    return sorted(common[:LARGEST_ALPHABET])


def _unigram(size: int, lowercase: bool, texts: Callable[[], Iterator[str]]) -> Any:
    """SentencePiece's unigram model (Kudo 2018) behind the normalization of ALBERT's tokenizer."""
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

    learner = Tokenizer(models.Unigram())
    steps: list[Any] = [normalizers.Replace("``", '"'), normalizers.Replace("''", '"')]
    steps += [normalizers.NFKD(), normalizers.StripAccents()] + ([normalizers.Lowercase()] if lowercase else [])
    learner.normalizer = normalizers.Sequence(steps)
    learner.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace(prepend_scheme="always")]
    )
    special = list(SPECIAL["unigram"])
    trainer = trainers.UnigramTrainer(
        vocab_size=size, special_tokens=special, unk_token=special[1], show_progress=False
    )
    learner.train_from_iterator(texts(), trainer)
    scores = dict(json.loads(learner.to_str())["model"]["vocab"])
    learned = _settled({piece: score for piece, score in scores.items() if piece not in special})
    tokenizer = Tokenizer(models.Unigram([(piece, 0.0) for piece in special] + learned, unk_id=1))
    tokenizer.normalizer, tokenizer.pre_tokenizer = learner.normalizer, learner.pre_tokenizer
    tokenizer.decoder = decoders.Metaspace(prepend_scheme="always")
    tokenizer.add_special_tokens(special)
    return tokenizer


def _settled(scores: dict[str, float]) -> list[tuple[str, float]]:
    """Pieces by falling score, without what the library leaves to chance.

    That is the last digits of sums, the order of equals, and characters no word needed: it gives those the lowest
    score and 0.0001, 0.0002 ... in whatever order they come.
    """
    lowest = min(scores.values())
    reach = lowest + 1e-4 * (1 + sum(len(piece) == 1 for piece in scores))
    settled = {p: round(lowest if len(p) == 1 and s < reach else s, 6) for p, s in scores.items()}
    return sorted(settled.items(), key=lambda one: (-one[1], one[0]))

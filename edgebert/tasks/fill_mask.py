"""Fill-mask: the piece of the vocabulary that a [MASK] stands for (masked language modelling)."""

from __future__ import annotations

import dataclasses
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from edgebert import intervals, masking
from edgebert.architectures import Architecture
from edgebert.data import Row
from edgebert.device.reading import fill_mask as reading
from edgebert.emission import Blueprint, Bottlenecks, Head
from edgebert.errors import InputError
from edgebert.masking import MASK, NOT_ASKED
from edgebert.plain import (
    group as group,
    labels as labels,
    labels_fault as labels_fault,
    misfit as misfit,
    places as places,
    tune as tune,
    tuned as tuned,
    unknown as unknown,
)
from edgebert.tables import Table
from edgebert.tasks import Answer, Decoding, Example, Window
from edgebert.tokenization import Encoded, Encoder, ill_formed
from edgebert.training import soft_targets
from edgebert.verdict import Score

NAME = "fill-mask"
COLUMNS = ("text", "masked")
TRUTH = "masked"
METRIC = "accuracy"
OUTPUTS = ("logits",)
PER_TOKEN = False
LABELLED = False
OUT_OF_SCOPE = False

TOP = 5  # of the accuracy beside the gated one


class Settings(Table):
    """What an answer lists."""

    top_k: int = Field(default=5, ge=1, le=1000, description="pieces that are listed")


def fault(row: Row) -> str | None:
    """What is wrong with a row to train on or score, or None."""
    if (wrong := _text_fault(row)) is not None:
        return wrong
    masks, word = row["text"].count(MASK), row.get("masked")
    if masks > 1:
        return f"text holds {masks} {MASK}; one is scored at a time"
    if masks and (wrong := ill_formed(word)) is not None:
        return f"text holds a {MASK}, and masked {wrong}: name the word that it stands for"
    if not masks and word:
        return f"masked = {word!r}, and text holds no {MASK} that stands for it"
    return None


def question_fault(row: Row) -> str | None:
    """What is wrong with a row to answer, or None."""
    if (wrong := _text_fault(row)) is not None:
        return wrong
    masks = row["text"].count(MASK)
    return None if masks == 1 else f"text holds {masks or 'no'} {MASK}; write one, where a word is to be found"


def _text_fault(row: Row) -> str | None:
    if "text" not in row:
        return f"no column 'text'; here are: {', '.join(row)}; name it: [data.columns] text = \"...\""
    wrong = ill_formed(row["text"])
    return None if wrong is None else f"text {wrong}"


def question(text: str) -> Row | None:
    """A text is a whole question."""
    return {"text": text}


def sample(text: str) -> Row:
    """A row of which a word is yet to be masked."""
    return {"text": text}


def truth(row: Row) -> Any:
    """What is masked: {token, id} or a user's word; where a word is yet to be masked, the text itself."""
    return row.get("masked") or (None if MASK in row["text"] else row["text"])


def decoding(settings: Settings, rows: Sequence[Row]) -> Decoding:
    """The settings."""
    return settings.model_dump()


def windows(row: Row, encoder: Encoder, decoding: Decoding) -> list[Window]:
    """One window: of a long text the part in whose middle the mask is. `align` tells what the row does not."""
    found = fitted(row, encoder, decoding)
    align = {} if found is row or "masked" not in found else {"masked": found["masked"]}
    return [dataclasses.replace(window, align=align) for window in reading.windows(found, encoder, decoding)]


def fitted(row: Row, encoder: Encoder, decoding: Decoding) -> Row:
    """The row with one word masked, and what is masked as {token, id}; `id` is None for a word of several pieces.

    In a text without a mask the text's hash chooses among the words that are one piece each; where there is none,
    a mask behind the text stands for nothing that is known.
    """
    text, word = row["text"], row.get("masked")
    if MASK in text:
        return {**row, "masked": _piece(word, encoder)} if isinstance(word, str) else row
    words = masking.words(text, encoder)
    if not words:
        return {**row, "text": f"{text} {MASK}"}
    start, end, number = words[masking.seed_of(text) % len(words)]
    return {**row, "text": text[:start] + MASK + text[end:], "masked": {"token": text[start:end], "id": number}}


def _piece(word: str, encoder: Encoder) -> dict[str, Any]:
    encoding = encoder.encode(word).encoding
    ids = [i for i, special in zip(encoding.ids, encoding.special_tokens_mask, strict=True) if not special]
    return {"token": word, "id": ids[0] if len(ids) == 1 else None}


def model(folder: Path, labels: Sequence[str] | None, decoding: Decoding) -> Any:
    """A transformers model with a masked-LM head in fp32, plain attention; it knows its mask as `mask_number`.

    A source without such a head gets one whose last matrix is that of the embeddings.
    """
    import torch
    from tokenizers import Tokenizer
    from transformers import AutoModelForMaskedLM

    found = AutoModelForMaskedLM.from_pretrained(
        folder, use_safetensors=True, dtype=torch.float32, attn_implementation="eager"
    )
    ids = Tokenizer.from_file(str(folder / "tokenizer.json")).encode(MASK, add_special_tokens=False).ids
    if len(ids) != 1:
        raise InputError(
            f"{folder}: its tokenizer reads {MASK} as {len(ids)} pieces; a mask must be one of its own"
        )
    found.mask_number = ids[0]
    return found


def forward(model: Any, feeds: Mapping[str, Any], mask: Any, architecture: Architecture) -> Mapping[str, Any]:
    """`logits` float32 [batch, vocabulary] at the first mask alone; and what training needs for more of a text.

    `hidden` are the encoder's states [batch, tokens, hidden], `head` takes any of them to logits.
    """
    hidden = model.base_model(**feeds)[0]
    masks = (feeds["input_ids"] == model.mask_number).to(hidden.dtype)
    first = masks * (masks.cumsum(1) < 1.5).to(hidden.dtype)

    def head(states: Any) -> Any:
        return architecture.masked_lm_head(model, states)

    return {"logits": head((hidden * first[:, :, None]).sum(1)), "hidden": hidden, "head": head}


def head(model: Any, blueprint: Blueprint | Bottlenecks) -> Head:
    """Logits of the first masked token."""
    return Head("masked", blueprint.masked, mask_number=model.mask_number)


def examples(row: Row, encoder: Encoder, labels: Sequence[str], decoding: Decoding) -> list[Example]:
    """The whole text, part by part; in each 15 % of the pieces are to be predicted, always the same ones.

    The target holds the number of such a piece in its place, and -100 in all others.
    """
    text = row["text"].replace(MASK, row.get("masked") or MASK)
    return [_example(one, encoder) for one in encoder.encode_windows(text, stride=0)]


def _example(one: Encoded, encoder: Encoder) -> Example:
    ordinary = np.flatnonzero(np.asarray(one.encoding.special_tokens_mask) == 0)
    random = np.random.default_rng(masking.seed_of(str(one.encoding.ids)))
    ids, target = masking.mask(
        np.asarray(one.encoding.ids), ordinary, encoder.number(MASK), len(encoder.pieces), random
    )
    feeds = {name: array[0].tolist() for name, array in one.feeds.items()}
    return {**feeds, "input_ids": ids.tolist(), "target": target.tolist()}


def collate(targets: Sequence[Any], tokens: int) -> Any:
    """Numbers of the pieces to be predicted, int64 [batch, tokens], -100 in all other places."""
    import torch

    return torch.tensor([target + [NOT_ASKED] * (tokens - len(target)) for target in targets])


def loss(outputs: Mapping[str, Any], targets: Any) -> Any:
    """Mean cross-entropy of the pieces to be predicted; the head sees no others."""
    import torch

    chosen = targets != NOT_ASKED
    logits = outputs["head"](outputs["hidden"][chosen])
    return torch.nn.functional.cross_entropy(logits, targets[chosen], reduction="sum") / chosen.sum().clamp(min=1)


def soft_loss(
    outputs: Mapping[str, Any], taught: Mapping[str, Any], mask: Any, temperature: float, decoding: Decoding
) -> Any:
    """The piece behind the first mask, one of several."""
    return soft_targets.classes(outputs["logits"], taught["logits"], temperature)


def quality(rows: Sequence[Row], answers: Sequence[Answer]) -> float:
    """Accuracy."""
    return float((_ranks(answers) == 0).mean())


def _ranks(answers: Sequence[Answer]) -> NDArray[np.float64]:
    """The rank of what is masked, from 0, where that is known; inf for a word of several pieces."""
    known = [one["masked"]["rank"] for one in answers if "masked" in one]
    if not known:
        raise InputError(
            "none of the texts has a word that is a single piece of the vocabulary: nothing is masked"
        )
    return np.asarray([np.inf if rank is None else rank for rank in known])


def chance(rows: Sequence[Row]) -> float:
    """The expected share of the most frequent word, where any word of a text may be the masked one."""
    shares: Counter[str] = Counter()
    for row in rows:
        words = [row["masked"]] if row.get("masked") else re.findall(r"\w+", row["text"].lower())
        for word in words:
            shares[word] += 1 / len(words)  # type: ignore[assignment]  # a share, not a count
    return max(shares.values(), default=0) / len(rows)


def scores(rows: Sequence[Row], split: str, answered: Mapping[str, Sequence[Answer]]) -> list[Score]:
    """Accuracy (the likeliest piece is the masked one), the same among the five likeliest, and perplexity.

    Texts of which nothing was masked are not counted. Perplexity is exp of the mean negative log-likelihood.
    Answers agree where the likeliest piece is the same.
    """
    ranks = {which: _ranks(answers) for which, answers in answered.items()}
    found = [_share(METRIC, split, {which: rank < 1 for which, rank in ranks.items()})]
    found.append(_share(f"top{TOP}_accuracy", split, {which: rank < TOP for which, rank in ranks.items()}))
    if "reference" in answered and "shipped" in answered:
        pairs = zip(answered["reference"], answered["shipped"], strict=True)
        same = [one["tokens"][0]["id"] == other["tokens"][0]["id"] for one, other in pairs]
        found[0].agreement = intervals.proportion(np.asarray(same))
    told = [
        {which: one["masked"]["nll"] for which, one in zip(answered, row, strict=True) if "masked" in one}
        for row in zip(*answered.values(), strict=True)
    ]
    whole = [row for row in told if row and None not in row.values()]
    if whole:
        tables = {which: np.asarray([[row[which]] for row in whole]) for which in answered}
        perplexity = intervals.of_sums("perplexity", split, tables, lambda sums: np.exp(sums[:, 0] / len(whole)))
        found.append(perplexity.model_copy(update={"drop": None}))  # it is no share, and has no points
    return found


def _share(metric: str, split: str, hits: Mapping[str, NDArray[np.bool_]]) -> Score:
    score = Score(metric=metric, split=split)
    for which, hit in hits.items():
        setattr(score, which, intervals.proportion(hit))
    if "teacher" in hits and "shipped" in hits:
        score.drop = intervals.paired_drop(hits["teacher"], hits["shipped"])
    return score

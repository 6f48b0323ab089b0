"""augment: copies of the examples in which a masked-language model has filled in other words.

As in TinyBERT (Jiao et al. 2019, algorithm 1), a share of the words is replaced by one of the most likely pieces;
here the words of a copy are masked together, which needs one forward pass a copy instead of one a word. Copies are
made of token ids, so that they serve every task, and have no truth: the teacher says what they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edgebert import members
from edgebert.artifact import Artifact
from edgebert.distillation import Augment
from edgebert.errors import InputError
from edgebert.learning import syllabus
from edgebert.learning.lessons import Numbered, padded
from edgebert.learning.syllabus import Syllabus
from edgebert.tokenization import Encoder

if TYPE_CHECKING:
    from edgebert.steps import Tell

BATCH = 64


def run(
    masked: Artifact, rows: Syllabus, max_tokens: int, settings: Augment, seed: int, out: Path, tell: Tell
) -> None:
    """Write `settings.copies` of every example to `out`. Raises InputError for a model without masked-LM head."""
    import torch

    model = _model(masked)
    inputs = members.find("architectures", masked.architecture).INPUTS
    words = Words(masked.folder / "tokenizer.json")
    examples = rows.examples(Encoder(masked.folder, max_tokens, rows.lesson.architecture.INPUTS))
    draw = np.random.default_rng(seed)
    order = sorted(range(len(examples)), key=lambda i: len(examples[i].example["input_ids"]))
    changed: list[Numbered] = []
    for start in range(0, len(order), BATCH):
        some = [examples[i] for i in order[start : start + BATCH]]
        for copy in range(settings.copies):
            batch = padded([one.example for one in some])
            ids = batch["input_ids"].numpy().copy()
            places = words.draw(ids, settings.share, draw)
            batch["input_ids"] = torch.from_numpy(np.where(places, words.mask, ids))
            with torch.inference_mode():
                logits = model(**{name: batch[name].to(model.device) for name in inputs}).logits
            ids[places] = _filled(logits[torch.from_numpy(places)], words, settings.choices, draw)
            changed += [_changed(one, ids[i], copy + 1) for i, one in enumerate(some)]
        tell(min(start + BATCH, len(order)), len(order))
    syllabus.write(out, changed)


class Words:
    """Which pieces of a tokenizer are whole words."""

    def __init__(self, path: Path) -> None:
        from tokenizers import Tokenizer

        tokenizer = Tokenizer.from_file(str(path))
        vocabulary = tokenizer.get_vocab(with_added_tokens=True)
        special = {int(number) for number in tokenizer.get_added_tokens_decoder()}
        special |= {
            number for piece, number in vocabulary.items() if piece in ("[PAD]", "<pad>", "[UNK]", "<unk>")
        }
        masks = [vocabulary[piece] for piece in ("[MASK]", "<mask>") if piece in vocabulary]
        if not masks:
            raise InputError(
                f"{path}: has no mask token ([MASK]), so it is no tokenizer of a masked-language model"
            )
        self.mask = masks[0]
        size = max(vocabulary.values()) + 1
        self.whole = np.zeros(size, bool)
        self.goes_on = np.zeros(size, bool)
        unigram = any(piece.startswith("▁") for piece in vocabulary)
        for piece, number in vocabulary.items():
            body = piece.removeprefix("▁").removeprefix("##")
            begins = piece.startswith("▁") if unigram else not piece.startswith("##")
            is_special = number in special or number == self.mask
            self.goes_on[number] = not begins and not is_special
            self.whole[number] = begins and not is_special and body.isalpha()

    def draw(self, ids: NDArray[np.int64], share: float, draw: np.random.Generator) -> NDArray[np.bool_]:
        """Places [batch, tokens] of whole words of one piece, each chosen with the chance `share`."""
        follows = np.zeros(ids.shape, bool)
        follows[:, :-1] = self.goes_on[ids[:, 1:]]
        found: NDArray[np.bool_] = self.whole[ids] & ~follows & (draw.random(ids.shape) < share)
        return found


def _filled(logits: Any, words: Words, choices: int, draw: np.random.Generator) -> NDArray[np.int64]:
    """One of the most likely whole words for each place, by its probability; logits [places, pieces]."""
    import torch

    wrong = torch.ones(logits.shape[-1], dtype=torch.bool)
    wrong[: len(words.whole)] = torch.from_numpy(~words.whole)
    best, pieces = logits.cpu().float().masked_fill(wrong, -torch.inf).topk(min(choices, int((~wrong).sum())))
    noise = torch.from_numpy(draw.gumbel(size=tuple(best.shape)))  # the largest of logits and it is a fair draw
    return np.asarray(pieces.gather(1, (best + noise).argmax(-1, keepdim=True))[:, 0], np.int64)


def _changed(one: Numbered, ids: Sequence[int], copy: int) -> Numbered:
    tokens = len(one.example["input_ids"])
    feeds = {name: values for name, values in one.example.items() if name != "target"}
    changed = {**feeds, "input_ids": [int(i) for i in ids[:tokens]]}
    return Numbered(f"copy {copy} of {one.name}", changed, one.places)


def _model(masked: Artifact) -> Any:
    """The masked-language model. Raises InputError where its head was not trained."""
    import torch
    from transformers import AutoModelForMaskedLM

    model, loaded = AutoModelForMaskedLM.from_pretrained(
        masked.folder, use_safetensors=True, dtype=torch.float32, output_loading_info=True
    )
    if missing := sorted(loaded["missing_keys"]):
        raise InputError(f"distil.augment.model: has no trained masked-LM head ('{missing[0]}' is missing)")
    return model.eval().to("cuda" if torch.cuda.is_available() else "cpu")

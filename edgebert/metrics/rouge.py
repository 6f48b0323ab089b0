"""ROUGE (Lin 2004, "ROUGE: a package for automatic evaluation of summaries"): words that two texts share.

F1 with precision and recall of equal weight, of lower-cased words without stemming or stop words. ROUGE-L takes
each text as one sequence of words (section 3.1, the sentence-level definition).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

WORD = re.compile(r"\w+")


def words(text: str) -> list[str]:
    """The words that are counted: runs of letters, digits and underscores, lower-cased."""
    return WORD.findall(text.lower())


def rouge_n(found: Sequence[str], truth: Sequence[str], n: int) -> float:
    """F1 of the n-grams of two lists of words, each counted as often as both have it."""
    return _overlap(_grams(found, n), _grams(truth, n))


def rouge_l(found: Sequence[str], truth: Sequence[str]) -> float:
    """F1 of the longest common subsequence of two lists of words."""
    return _f1(longest_common(found, truth), len(found), len(truth))


def longest_common(one: Sequence[str], other: Sequence[str]) -> int:
    """The length of the longest common subsequence, a bit for each word of `one` (Hyyrö 2004)."""
    places: dict[str, int] = {}
    for i, word in enumerate(one):
        places[word] = places.get(word, 0) | 1 << i
    full = (1 << len(one)) - 1
    row = full
    for word in other:
        met = row & places.get(word, 0)
        row = (row + met | row - met) & full
    return len(one) - row.bit_count()


def oracle(sentences: Sequence[str], summary: str, most: int) -> list[int]:
    """The sentences that a model should choose: greedily those that raise ROUGE-1 + ROUGE-2 most, in their order.

    As Nallapati et al. 2017 and Liu and Lapata 2019 make their targets; it ends where none raises it any more.
    """
    truth = [_grams(words(summary), n) for n in (1, 2)]
    grams = [[_grams(words(one), n) for n in (1, 2)] for one in sentences]
    chosen: list[int] = []
    held: list[Counter[tuple[str, ...]]] = [Counter(), Counter()]
    best = 0.0
    while len(chosen) < most:
        tried = {
            i: sum(_overlap(have + new, want) for have, new, want in zip(held, grams[i], truth, strict=True))
            for i in range(len(sentences))
            if i not in chosen
        }
        pick = max(tried, key=tried.__getitem__, default=None)
        if pick is None or tried[pick] <= best:
            break
        chosen.append(pick)
        best, held = tried[pick], [have + new for have, new in zip(held, grams[pick], strict=True)]
    return sorted(chosen)


def _grams(found: Sequence[str], n: int) -> Counter[tuple[str, ...]]:
    return Counter(zip(*(found[i:] for i in range(n)), strict=False))


def _overlap(found: Counter[tuple[str, ...]], truth: Counter[tuple[str, ...]]) -> float:
    return _f1((found & truth).total(), found.total(), truth.total())


def _f1(shared: int, found: int, truth: int) -> float:
    return 2 * shared / (found + truth) if shared else 0.0

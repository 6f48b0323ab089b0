"""ROUGE held against its published definition: worked examples, and plain counting."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, strategies as st

from edgebert.metrics import rouge

WORDS = st.lists(st.sampled_from("abcd"), max_size=9)


@pytest.mark.parametrize(
    ("found", "recall", "precision"),
    [  # Lin 2004, section 3.1: against "police killed the gunman", S2 is nearer by the sequence, S3 is not
        ("police kill the gunman", 3 / 4, 3 / 4),
        ("the gunman kill police", 2 / 4, 2 / 4),
        ("the gunman police killed", 2 / 4, 2 / 4),
    ],
)
def test_rouge_l_of_the_papers_example(found: str, recall: float, precision: float) -> None:
    truth = rouge.words("Police killed the gunman.")
    wanted = 2 * recall * precision / (recall + precision)
    assert rouge.rouge_l(rouge.words(found), truth) == pytest.approx(wanted)


def test_f1_of_a_summary_that_is_worked_by_hand() -> None:
    found, truth = rouge.words("The cat sat on the mat"), rouge.words("the cat, the cat lay on a mat!")
    assert (len(found), len(truth)) == (6, 8)
    # shared: the 2, cat 1, on 1, mat 1; one bigram, "the cat"; in sequence: the cat on mat (or the ... on mat)
    assert rouge.rouge_n(found, truth, 1) == pytest.approx(2 * (5 / 6) * (5 / 8) / (5 / 6 + 5 / 8))
    assert rouge.rouge_n(found, truth, 2) == pytest.approx(2 * (1 / 5) * (1 / 7) / (1 / 5 + 1 / 7))
    assert rouge.rouge_l(found, truth) == pytest.approx(2 * (4 / 6) * (4 / 8) / (4 / 6 + 4 / 8))


@pytest.mark.parametrize(("one", "other"), [("", ""), ("a", ""), ("", "a"), ("a b", "c d"), ("a", "b")])
def test_texts_that_share_nothing_score_nought(one: str, other: str) -> None:
    pair = rouge.words(one), rouge.words(other)
    assert rouge.rouge_l(*pair) == rouge.rouge_n(*pair, 1) == rouge.rouge_n(*pair, 2) == 0


def test_words_are_lower_cased_runs_of_letters_and_digits() -> None:
    assert rouge.words("Don't — ÉTÉ, 5pm: 東京!") == ["don", "t", "été", "5pm", "東京"]


def longest_common(one: list[str], other: list[str]) -> int:
    """The textbook's table (Lin 2004 cites Cormen et al.)."""
    table = {(-1, k): 0 for k in range(-1, len(other))} | {(i, -1): 0 for i in range(len(one))}
    for i, k in itertools.product(range(len(one)), range(len(other))):
        table[i, k] = table[i - 1, k - 1] + 1 if one[i] == other[k] else max(table[i - 1, k], table[i, k - 1])
    return table[len(one) - 1, len(other) - 1]


@given(WORDS, WORDS)
def test_the_longest_common_subsequence_is_the_textbooks(one: list[str], other: list[str]) -> None:
    assert rouge.longest_common(one, other) == longest_common(one, other)


def test_the_longest_common_subsequence_of_long_texts() -> None:
    one, other = ["x", *map(str, range(300))], [*map(str, range(0, 300, 3)), "x"] * 2
    assert rouge.longest_common(one, other) == longest_common(one, other) == 101


def test_the_oracle_takes_what_raises_the_score_and_no_more() -> None:
    sentences = ["the sun is out", "rain fell on rome", "a dog barked", "rome had rain and sun"]
    assert rouge.oracle(sentences, "rain fell on rome", 3) == [1]
    assert rouge.oracle(sentences, "rain fell on rome; a dog barked", 3) == [1, 2]
    assert rouge.oracle(sentences, "rain fell on rome; a dog barked", 1) == [1]
    assert rouge.oracle(sentences, "nothing of this", 3) == []
    assert rouge.oracle(["a b", "a b"], "a b", 3) == [0], "the same again would lower the score"
    assert rouge.oracle([], "a", 3) == []


@given(st.lists(WORDS, max_size=5), WORDS, st.integers(1, 4))
def test_no_single_sentence_would_raise_the_oracles_score(
    sentences: list[list[str]], summary: list[str], most: int
) -> None:
    def score(chosen: list[int]) -> float:
        grams = [
            [tuple(sentences[i][k : k + n]) for i in chosen for k in range(len(sentences[i]) - n + 1)]
            for n in (1, 2)
        ]
        truth = [[tuple(summary[k : k + n]) for k in range(len(summary) - n + 1)] for n in (1, 2)]
        shared = [
            sum(min(g.count(one), t.count(one)) for one in set(g)) for g, t in zip(grams, truth, strict=True)
        ]
        return sum(2 * s / max(1, len(g) + len(t)) for s, g, t in zip(shared, grams, truth, strict=True))

    chosen = rouge.oracle([" ".join(one) for one in sentences], " ".join(summary), most)
    assert chosen == sorted(set(chosen)) and len(chosen) <= most
    if len(chosen) < most:
        others = [i for i in range(len(sentences)) if i not in chosen]
        assert all(score([*chosen, i]) <= score(chosen) + 1e-12 for i in others)

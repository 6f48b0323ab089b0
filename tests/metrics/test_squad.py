"""How answers are compared, held against the published definition, worked by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, strategies as some

from edgebert.metrics import squad

PAIRS = [
    ("October 1973", ["October 1973", "1973"], 1.0, True),
    ("the October, 1973!", ["october 1973"], 1.0, True),
    ("in October 1973", ["October 1973", "October"], 2 * 2 / (3 + 2), False),
    ("October", ["1973"], 0.0, False),
    ("a an the", ["October"], 0.0, False),
    ("US$3 per barrel", ["3 barrel"], 2 * 1 / (3 + 2), False),  # us3 is another word than 3
    ("to to be", ["to be to be"], 2 * 3 / (3 + 4), False),  # a word counts as often as both have it
    ("", [], 1.0, True),
    ("something", [], 0.0, False),
    ("", ["something"], 0.0, False),
    ("The", [], 1.0, True),
    ("", ["the", "An"], 1.0, True),  # answers of which nothing is left are none
    ("theatre", ["atre"], 0.0, False),  # an article is a word
    ("cat-like", ["catlike"], 1.0, True),
    ("the\u00a0Äpfel ", ["äpfel"], 1.0, True),
]


@pytest.mark.parametrize(("answer", "truths", "f1", "exact"), PAIRS)
def test_answers_are_compared_as_the_official_script_does(
    answer: str, truths: list[str], f1: float, exact: bool
) -> None:
    assert squad.f1(answer, truths) == pytest.approx(f1, abs=1e-12)
    assert squad.exact(answer, truths) is exact


@given(
    some.lists(
        some.tuples(some.integers(-4, 4), some.sampled_from([0.0, 0.5, 1.0]), some.booleans()),
        min_size=1,
        max_size=12,
    )
)
def test_no_threshold_scores_better_than_the_best_one(rows: list[tuple[int, float, bool]]) -> None:
    leads = [float(lead) for lead, _, _ in rows]
    answered = [score for _, score, _ in rows]
    unanswered = [float(missing) for _, _, missing in rows]

    def total(threshold: float) -> float:
        return sum(
            without if lead > threshold else score
            for lead, score, without in zip(leads, answered, unanswered, strict=True)
        )

    found = squad.best_threshold(leads, answered, unanswered)
    assert total(found) == max(total(threshold) for threshold in np.arange(-5.5, 6, 0.5))
    assert found not in leads, "it is between two questions, or beyond all"

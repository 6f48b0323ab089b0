from __future__ import annotations

from typing import Any

import pytest

from edgebert import lines


@pytest.mark.parametrize(
    ("row", "example"),
    [
        ({"text": "it is cold"}, "your text"),
        ({"text": "it is [MASK]"}, "your [MASK] text"),
        (
            {"id": "7", "question": "what", "context": "it"},
            {"question": "your question", "context": "your context"},
        ),
        ({"text": "a", "text_pair": "b"}, {"text": "your text", "text_pair": "your text pair"}),
        ({"tokens": ["it", "is"]}, {"tokens": ["your", "tokens"]}),
    ],
)
def test_an_example_has_the_columns_that_a_user_gives(row: dict[str, Any], example: Any) -> None:
    assert lines.example(row) == example

from __future__ import annotations

from typing import Any

from rich.console import Console

from edgebert.report import terminal


def printed(answers: list[dict[str, Any]]) -> list[str]:
    console = Console(width=100)
    with console.capture() as captured:
        console.print(terminal.predictions(answers))
    return captured.get().splitlines()


def test_a_span_is_told_with_its_place_and_score_and_its_absence_in_words() -> None:
    found = {"answer": "[snow]", "start": 9, "end": 15, "score": 0.75, "n_best": [], "truncated": True}
    none: dict[str, Any] = {
        "answer": "",
        "start": None,
        "end": None,
        "score": 0.5,
        "n_best": [],
        "truncated": False,
    }
    lines = printed([found, none])
    [one] = [line for line in lines if "[snow]" in line]
    assert one.split() == ["[snow]", "9-15", "0.750", "question", "was", "cut"]
    [other] = [line for line in lines if "no answer in this context" in line]
    assert "0.500" in other

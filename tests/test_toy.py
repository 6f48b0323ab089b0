import json
from pathlib import Path

from edgebert import open_bundle
from tests.conftest import Built


def test_every_target_of_the_toy_passes(built: Built) -> None:
    assert {name: o.verdict.passed for name, o in built.outcomes.items()} == dict.fromkeys(built.outcomes, True)


def test_the_toy_bundle_answers(bundle: Path) -> None:
    answers = open_bundle(bundle).predict(["the very warm sunny day", {"text": "white snowy ice"}])
    assert [answer["label"] for answer in answers] == ["sun", "snow"]
    assert len(json.loads((bundle / "manifest.json").read_text())["labels"]) == 3

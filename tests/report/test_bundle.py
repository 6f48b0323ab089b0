"""What `show` tells of a bundle's files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from edgebert.manifest import Manifest
from edgebert.report import terminal

BEFORE = {"agreement": 0.91, "drop_points": 1.5}
AFTER = {"agreement": 0.98, "drop_points": None}


def shown(bundle: Path, control: dict[str, Any], precision: str = "int8") -> str:
    manifest = Manifest.model_validate_json((bundle / "manifest.json").read_text(encoding="utf-8"))
    file = manifest.models[0].model_copy(update={"control": control, "precision": precision})
    console = Console(width=300)
    with console.capture() as capture:
        console.print(terminal.bundle(manifest.model_copy(update={"models": [file]}), "0" * 64, bundle, []))
    return capture.get()


@pytest.mark.parametrize(
    ("done", "told"),
    [
        ((True, [], True), "accuracy control evened out ranges: agreement 0.910 to 0.980, on 80 dev rows"),
        ((True, ["a", "b"], True), "evened out ranges and gave 2 products back in float: agreement"),
        (
            (False, [], False),
            "found nothing that helps: agreement 0.910 to 0.980, on 80 dev rows; the gates do not",
        ),
    ],
)
def test_what_accuracy_control_did_is_told(bundle: Path, done: tuple[bool, list[str], bool], told: str) -> None:
    equalized, given, holds = done
    dev = {"before": {**BEFORE, "drop_points": None}, "after": AFTER}
    control = {"equalized": equalized, "given_back": given, "rows": 80, "dev": dev, "holds": holds}
    assert told in shown(bundle, control)


def test_what_an_npu_must_have_for_16_bit_weights_is_told(bundle: Path) -> None:
    dev = {"before": {**BEFORE, "drop_points": None}, "after": AFTER}
    control = {"equalized": False, "given_back": ["a"], "rows": 80, "dev": dev, "holds": True}
    told = shown(bundle, control, "a16w8")
    assert "accuracy control gave 1 products back with 16-bit weights (HTP v73 or newer): agreement" in told


def test_a_file_that_needed_none_says_nothing_of_it(bundle: Path) -> None:
    assert "accuracy control" not in shown(bundle, {})

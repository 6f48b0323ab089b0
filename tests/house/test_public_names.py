"""What people may rely on: the public names, the verbs, and that neither loads what it does not need."""

from __future__ import annotations

import inspect
import json
import subprocess
import sys

import pytest
import typer

import edgebert
from edgebert import cli, opening, pipeline
from tests.conftest import ROOT

VERBS = [
    "answer", "build", "doctor", "export-client", "init", "plan", "predict", "pretrain", "show", "targets",
    "validate", "verify",
]  # fmt: skip
HEAVY = {"torch", "transformers", "onnx", "litert_torch", "onnxruntime", "sklearn"}
REPORT = "import json, sys; print(json.dumps(sorted({name.split('.')[0] for name in sys.modules})))"


def test_the_public_names_are_these() -> None:
    assert sorted(edgebert.__all__) == ["Bundle", "__version__", "build", "open_bundle"]
    assert edgebert.build is pipeline.build
    assert edgebert.open_bundle is opening.open_bundle
    assert edgebert.Bundle is opening.Bundle
    assert all(getattr(edgebert, name) is not None for name in edgebert.__all__)


def test_another_name_is_not_there() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'biuld'"):
        getattr(edgebert, "biuld")  # noqa: B009  # mypy would not let it pass as an attribute


def test_the_version_is_the_one_that_is_packaged() -> None:
    from edgebert import tables

    assert tables.read(ROOT / "pyproject.toml")["project"]["version"] == edgebert.__version__


def test_build_and_open_bundle_take_what_the_design_says() -> None:
    assert list(inspect.signature(edgebert.build).parameters)[:3] == ["source", "targets", "out"]
    assert next(iter(inspect.signature(edgebert.open_bundle).parameters)) == "path"


def test_the_verbs_are_exactly_these() -> None:
    command = typer.main.get_command(cli.app)
    assert sorted(getattr(command, "commands")) == VERBS  # noqa: B009


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_says_what_it_does_and_can_answer_in_json(verb: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "edgebert", verb, "--help"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert "--json" in done.stdout
    assert done.stderr == ""


def loaded_by(code: str) -> set[str]:
    """Top-level modules in a fresh process that ran `code`."""
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\n{REPORT}"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return set(json.loads(done.stdout.splitlines()[-1]))


def test_importing_edgebert_loads_next_to_nothing() -> None:
    loaded = loaded_by("import edgebert")
    assert "edgebert" in loaded
    assert not loaded & (HEAVY | {"numpy", "pydantic", "typer"})


@pytest.mark.parametrize("arguments", [["targets"], ["targets", "--json"], ["show", "raspberry-pi-5"]])
def test_questions_about_targets_load_no_heavy_library(arguments: list[str]) -> None:
    code = (
        f"import sys\nsys.argv = {['edgebert', *arguments]!r}\n"
        "from edgebert.cli import main\n"
        "try:\n    main()\nexcept SystemExit as end:\n    assert not end.code, end.code"
    )
    loaded = loaded_by(code)
    assert "pydantic" in loaded
    assert not loaded & HEAVY


def test_opening_a_bundle_needs_no_training_library() -> None:
    loaded = loaded_by("from edgebert import open_bundle")
    assert "edgebert" in loaded
    assert not loaded & (HEAVY - {"onnxruntime"})

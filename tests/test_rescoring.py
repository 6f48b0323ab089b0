"""verify: a finished bundle on rows of the user's, with and without something to compare it with."""

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edgebert import opening, rescoring
from edgebert.errors import InputError
from tests import toy
from tests.conftest import Built

PI, PHONE, JETSON = "raspberry-pi-5", "android-cpu", "jetson-orin-nano"
Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def data(built: Built) -> Path:
    """The toy's test file."""
    return built.recipe.parent / "test.jsonl"


def alone(built: Built, target: str, tmp_path: Path) -> Path:
    """A copy of a bundle with no store beside it, as it is on another machine."""
    return shutil.copytree(built.bundle(target), tmp_path / "elsewhere" / "toy" / target)


def step(built: Built, target: str, stage: str) -> Path:
    """A step's folder in the store of the build."""
    key = opening.read_manifest(built.bundle(target)).provenance.steps[stage]
    return built.out / ".store" / f"{stage}-{key}"


def manifest_scores(built: Built, target: str, model: str | None = None) -> list[dict[str, Any]]:
    return [score.model_dump() for score in opening.read_manifest(built.bundle(target)).file(model).scores]


@pytest.mark.parametrize(("target", "model"), [(PI, ""), (PHONE, ""), (JETSON, "int8")])
def test_the_tests_own_rows_give_the_manifests_scores(built: Built, data: Path, target: str, model: str) -> None:
    found = rescoring.verify(built.bundle(target), data, model=model)
    expected = [{**score, "split": "data"} for score in manifest_scores(built, target, model or None)]
    assert found["scores"] == expected
    assert found["rows"] == 120
    assert found["passed"]
    assert found["digest"] == built.outcomes[target].verdict.digest
    assert found["not_measured"] == {}
    assert found["speedup"]["against"] == "reference"
    assert {row["which"] for row in found["latency"]} == {"shipped", "reference"}


def test_rows_are_told_by_a_column_of_theirs(built: Built, data: Path, tmp_path: Path) -> None:
    rows = [json.loads(line) for line in data.read_text().splitlines()]
    path = tmp_path / "told.jsonl"
    path.write_text("".join(json.dumps({**row, "half": i % 2}) + "\n" for i, row in enumerate(rows)))
    found = rescoring.verify(built.bundle(PI), path, by="half")
    assert {one["rows"] for one in found["groups"].values()} == {60}
    mean = sum(one["value"] for one in found["groups"].values()) / 2
    assert mean == pytest.approx(found["scores"][0]["shipped"]["value"])
    assert rescoring.verify(built.bundle(PI), path)["groups"] is None
    with pytest.raises(InputError, match=r"--by haf: no such column .* did you mean 'half'"):
        rescoring.verify(built.bundle(PI), path, by="haf")


def test_without_a_reference_the_shipped_file_is_scored_and_the_rest_has_reasons(
    built: Built, data: Path, tmp_path: Path
) -> None:
    found = rescoring.verify(alone(built, PI, tmp_path), data)
    for score, expected in zip(found["scores"], manifest_scores(built, PI), strict=True):
        assert score["shipped"] == expected["shipped"]
        assert {score[name] for name in ("teacher", "reference", "drop", "agreement")} == {None}
    assert found["speedup"] is None
    assert [check["name"] for check in found["checks"]] == ["above_chance"]
    assert set(found["not_measured"]) == {"drop", "agreement", "speedup"}
    assert all("no --reference given" in reason for reason in found["not_measured"].values())


@pytest.mark.slow
@pytest.mark.parametrize("target", [PI, pytest.param(PHONE, marks=pytest.mark.slow)])
def test_a_checkpoint_is_teacher_and_exported_for_the_reference(
    built: Built, data: Path, tmp_path: Path, run_edgebert: Run, target: str
) -> None:
    checkpoint = shutil.copytree(step(built, target, "finetune"), tmp_path / "checkpoint")
    (checkpoint / "artifact.json").unlink()  # as transformers writes it
    copy = alone(built, target, tmp_path)
    done = run_edgebert("verify", copy, "--data", data, "--reference", checkpoint, "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    score = json.loads(json.dumps(manifest_scores(built, target)[0]))
    assert {**found["scores"][0], "split": "test"} == score
    assert found["speedup"] is not None
    assert found["not_measured"] == {}
    assert [check["name"] for check in found["checks"]] == ["drop_points", "agreement", "above_chance"]


@pytest.mark.parametrize("target", [PI, PHONE])
def test_an_exported_file_is_the_reference_alone(built: Built, data: Path, tmp_path: Path, target: str) -> None:
    found = rescoring.verify(alone(built, target, tmp_path), data, step(built, target, "export"))
    score, expected = found["scores"][0], manifest_scores(built, target)[0]
    assert (score["reference"], score["agreement"]) == (expected["reference"], expected["agreement"])
    assert (score["teacher"], score["drop"]) == (None, None)
    assert found["speedup"] is not None
    assert found["not_measured"] == {"drop": "--reference is a graph file, not a trained checkpoint"}


def test_the_store_is_found_where_the_environment_names_it(
    built: Built, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGEBERT_STORE", str(built.out / ".store"))
    assert rescoring.verify(alone(built, PI, tmp_path), data)["not_measured"] == {}


def test_rows_the_model_gets_wrong_fail_the_bundle(built: Built, tmp_path: Path, run_edgebert: Run) -> None:
    turned = {"sun": "rain", "rain": "snow", "snow": "sun"}
    rows = [{**row, "label": turned[row["label"]]} for row in toy.rows(60, 9)]
    wrong = toy.write_rows(tmp_path / "wrong.jsonl", rows)
    done = run_edgebert("verify", alone(built, PI, tmp_path), "--data", wrong, "--json")
    told = json.loads(done.stdout)
    assert done.returncode == 1
    assert not told["passed"]
    assert [check["name"] for check in told["checks"] if check["status"] == "fail"] == ["above_chance"]
    assert told["scores"][0]["shipped"]["value"] < 0.1


def test_progress_counts_each_row_once_a_model(built: Built, data: Path) -> None:
    told: list[tuple[int, int]] = []
    rescoring.verify(built.bundle(PI), data, tell=lambda *at: told.append(at))
    assert told == [(i, 360) for i in range(1, 361)]  # shipped, reference and teacher on 120 rows


def test_verifying_changes_nothing(built: Built, data: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in built.out.rglob("*")}
    rescoring.verify(built.bundle(PI), data)
    assert {path: path.stat().st_mtime_ns for path in built.out.rglob("*")} == before


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        ([{"text": "the day", "label": "fog"}], "labels this bundle does not know: fog"),
        ([{"text": "the day"}], "line 1: no column 'label'"),
        ([{"text": " ", "label": "sun"}], "line 1: text is empty"),
        ([], "has no rows"),
    ],
)
def test_faulty_rows_are_told(built: Built, tmp_path: Path, rows: list[dict[str, str]], told: str) -> None:
    with pytest.raises(InputError, match=told):
        rescoring.verify(built.bundle(PI), toy.write_rows(tmp_path / "rows.jsonl", rows))


def _empty(built: Built, room: Path) -> Path:
    return room


def _no_folder(built: Built, room: Path) -> Path:
    return room / "nowhere"


def _config_alone(built: Built, room: Path) -> Path:
    shutil.copyfile(step(built, PI, "finetune") / "config.json", room / "config.json")
    return room


def _without_head(built: Built, room: Path) -> Path:
    return built.recipe.parent / "model"


def _other_labels(built: Built, room: Path) -> Path:
    folder = shutil.copytree(step(built, PI, "finetune"), room / "other")
    config = json.loads((folder / "config.json").read_text())
    names = ["rain", "snow", "hail"]
    config |= {"id2label": dict(enumerate(names)), "label2id": {name: i for i, name in enumerate(names)}}
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def _quantized(built: Built, room: Path) -> Path:
    return next(path for path in (built.out / ".store").glob("quantize-*") if (path / "onnx").is_dir())


def _other_format(built: Built, room: Path) -> Path:
    return step(built, PHONE, "export")


@pytest.mark.parametrize(
    "make", [_empty, _no_folder, _config_alone, _without_head, _other_labels, _quantized, _other_format]
)
def test_what_is_no_fp32_model_of_these_labels_is_refused_as_a_reference(
    built: Built, data: Path, tmp_path: Path, make: Callable[[Built, Path], Path]
) -> None:
    room = tmp_path / "reference"
    room.mkdir()
    with pytest.raises(InputError, match="--reference"):
        rescoring.verify(built.bundle(PI), data, make(built, room))

"""The wheel in an empty environment: what the base install does, and what it says of the parts that are absent."""

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

import edgebert
from edgebert import environments, opening, target
from tests import toy
from tests.conftest import ROOT, Built

pytestmark = pytest.mark.slow

PI = "raspberry-pi-5"
TEXTS = [row["text"] for row in toy.rows(12, 9)]


def run(*command: str | Path, cwd: Path, wanted: int | None = 0) -> subprocess.CompletedProcess[str]:
    """Run a command far from the checkout; fails with what it printed unless its status is the wanted one."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        list(map(str, command)), cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )
    assert wanted is None or done.returncode == wanted, done.stdout[-2000:] + done.stderr[-2000:]
    return done


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from a copy of what git knows or would take."""
    room = tmp_path_factory.mktemp("wheel")
    listed = run("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", cwd=ROOT).stdout
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            (room / "source" / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, room / "source" / name)
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", room, room / "source", cwd=room)
    [made] = room.glob("*.whl")
    return made


def environment(folder: Path, *packages: str | Path) -> Path:
    """The folder of programs of a new environment that holds packages, at the versions of constraints.txt."""
    run(sys.executable, "-m", "venv", folder, cwd=folder.parent)
    pip = ("-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-c", ROOT / "constraints.txt")
    run(folder / "bin" / "python", *pip, *packages, cwd=folder.parent)
    return folder / "bin"


@pytest.fixture(scope="module")
def base(wheel: Path) -> Path:
    """Programs of an environment with the base install alone."""
    return environment(wheel.parent / "base", wheel)


@pytest.fixture(scope="module")
def device(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Programs of an environment as on a board: numpy and ONNX Runtime, no EdgeBERT."""
    return environment(tmp_path_factory.mktemp("device") / "env", "numpy", "onnxruntime")


def told(done: subprocess.CompletedProcess[str]) -> Any:
    return json.loads(done.stdout)


def test_the_wheel_holds_its_data_and_says_that_it_is_typed(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as file:
        names = set(file.namelist())
    for folder in ("targets", "calibration"):
        expected = {f"edgebert/_data/{folder}/{path.name}" for path in (ROOT / folder).iterdir()}
        assert expected <= names
    modules = {path.relative_to(ROOT).as_posix() for path in (ROOT / "edgebert").rglob("*.py")}
    assert modules <= names
    assert {"edgebert/py.typed", "edgebert/stages/bundle_readme.md.j2"} <= names
    assert {f"edgebert/environment_lists/{path.name}" for path in environments.LISTS.iterdir()} <= names
    assert {name.split("/")[0] for name in names} == {"edgebert", f"edgebert-{edgebert.__version__}.dist-info"}


def test_the_base_install_holds_no_torch_and_is_sound(base: Path, tmp_path: Path) -> None:
    script = "import importlib.util as u; print([n for n in ('torch', 'transformers', 'onnx') if u.find_spec(n)])"
    assert run(base / "python", "-c", script, cwd=tmp_path).stdout == "[]\n"
    run(base / "python", "-m", "pip", "check", cwd=tmp_path)


def test_its_targets_are_those_of_the_checkout(base: Path, tmp_path: Path) -> None:
    found = told(run(base / "edgebert", "targets", "--json", cwd=tmp_path))
    assert found == [target.load(name).model_dump(mode="json") for name in target.names()]
    script = "from edgebert import calibration; print(calibration.names())"
    assert run(base / "python", "-c", script, cwd=tmp_path).stdout == "['default']\n"


def test_it_shows_a_bundle(built: Built, base: Path, tmp_path: Path) -> None:
    bundle = built.bundle(PI)
    found = told(run(base / "edgebert", "show", bundle, "--json", cwd=tmp_path))
    assert found["digest"] == opening.digest(bundle)
    assert found["manifest"] == json.loads((bundle / "manifest.json").read_text())
    assert "raspberry-pi-5" in run(base / "edgebert", "show", bundle, cwd=tmp_path).stdout


def test_it_predicts_as_the_checkout_does(built: Built, base: Path, tmp_path: Path) -> None:
    found = told(run(base / "edgebert", "predict", built.bundle(PI), *TEXTS, "--json", cwd=tmp_path))
    assert found["predictions"] == edgebert.open_bundle(built.bundle(PI)).predict(TEXTS)


@pytest.mark.parametrize("store", ["beside it", "elsewhere"])
def test_it_verifies_the_shipped_file(built: Built, base: Path, tmp_path: Path, store: str) -> None:
    bundle, data = built.bundle(PI), built.recipe.parent / "test.jsonl"
    if store == "elsewhere":
        bundle = shutil.copytree(bundle, tmp_path / "far" / "toy" / PI)
    found = told(run(base / "edgebert", "verify", bundle, "--data", data, "--json", cwd=tmp_path))
    expected = opening.read_manifest(bundle).score()
    assert expected.shipped is not None
    assert found["scores"][0]["shipped"] == json.loads(expected.shipped.model_dump_json())
    assert found["scores"][0]["drop"] is None
    if store == "elsewhere":
        assert set(found["not_measured"]) == {"drop", "agreement", "speedup"}
    else:  # the fp32 file needs ONNX Runtime alone, the trained checkpoint torch
        assert found["scores"][0]["agreement"] is not None
        assert list(found["not_measured"]) == ["drop"]
        assert "edgebert[build]" in found["not_measured"]["drop"]


@pytest.mark.parametrize("verb", ["build", "plan"])
def test_building_names_the_part_that_is_absent(built: Built, base: Path, tmp_path: Path, verb: str) -> None:
    done = run(base / "edgebert", verb, built.recipe, cwd=tmp_path, wanted=4)
    assert "pip install 'edgebert[build]'" in done.stderr
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_comparing_with_a_checkpoint_names_the_part_that_is_absent(
    built: Built, base: Path, tmp_path: Path
) -> None:
    bundle, data = built.bundle(PI), built.recipe.parent / "test.jsonl"
    key = opening.read_manifest(bundle).provenance.steps["finetune"]
    reference = ("--reference", built.out / ".store" / f"finetune-{key}")
    done = run(base / "edgebert", "verify", bundle, "--data", data, *reference, cwd=tmp_path, wanted=4)
    assert "pip install 'edgebert[build]'" in done.stderr


def test_a_tflite_bundle_names_the_package_that_is_absent(built: Built, base: Path, tmp_path: Path) -> None:
    done = run(base / "edgebert", "predict", built.bundle("android-cpu"), "a day", cwd=tmp_path, wanted=4)
    assert "pip install 'edgebert[litert]'" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_recipe_is_drafted_and_the_doctor_answers(base: Path, tmp_path: Path) -> None:
    toy.write_rows(tmp_path / "weather.jsonl", toy.rows(30, 1))
    run(base / "edgebert", "init", "weather.jsonl", cwd=tmp_path)
    assert (tmp_path / "weather.toml").is_file()
    parts = told(run(base / "edgebert", "doctor", "--json", cwd=tmp_path))["parts"]
    states = {part["name"]: part["state"] for part in parts}
    assert {name: states[name] for name in ("[build]", "[tflite]", "[litert]")} == dict.fromkeys(
        ("[build]", "[tflite]", "[litert]"), "absent"
    )


def test_a_bundle_tests_itself_where_there_is_no_edgebert(built: Built, device: Path, tmp_path: Path) -> None:
    verdict = told(run(device / "python", built.bundle(PI), cwd=tmp_path))
    assert verdict["passed"]
    assert verdict["rows"] >= 64
    assert verdict["digest"] == opening.digest(built.bundle(PI))
    run(device / "python", "-c", "import edgebert", cwd=tmp_path, wanted=1)


def test_a_tflite_bundle_there_names_its_runtime(built: Built, device: Path, tmp_path: Path) -> None:
    done = run(device / "python", built.bundle("android-cpu"), cwd=tmp_path, wanted=4)
    assert "python3 -m pip install ai-edge-litert" in done.stderr

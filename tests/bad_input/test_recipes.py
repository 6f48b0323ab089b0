"""A faulty recipe or option: all its faults in one report, and no step runs."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[..., subprocess.CompletedProcess[str]]


def message(done: subprocess.CompletedProcess[str], status: int = 2) -> str:
    """What a run that ended with this status tells its user: lines of ours alone, and no answer beside them."""
    assert done.returncode == status, done.stderr
    assert done.stdout == ""
    progress = ("done  ", "cached ")
    lines = [line for line in done.stderr.splitlines() if line.strip() and not line.startswith(progress)]
    assert lines, "ended without a word"
    assert all(line.startswith("edgebert: ") for line in lines), done.stderr
    return "\n".join(lines)


def half_written(out: Path) -> list[Path]:
    """What a build that was stopped must not leave in its output folder: published files, and drafts anywhere.

    What an interrupted training goes on from is neither.
    """
    store = out / ".store"
    drafts = [path for path in out.rglob(".*") if path != store and not path.name.startswith(".unfinished-")]
    return drafts + [path for path in out.rglob("*") if path.is_file() and not path.is_relative_to(store)]


def refused(run: Run, recipe: Path, *arguments: str) -> str:
    """The message of a build that is refused before its first step: nothing at all is written."""
    out = recipe.parent / "out"
    said = message(run("build", recipe, "-o", out, *arguments))
    assert not out.exists()
    return said


@pytest.mark.parametrize(
    ("override", "wanted"),
    [
        ("finetune.epoch=3", ["unknown key 'finetune.epoch'", "did you mean 'epochs'?"]),
        ("gates.max_dorp=1", ["unknown key 'gates.max_dorp'", "did you mean 'max_drop'?"]),
        ("target.raspberry-pi-5.gate.max_drop=1", ["'target.raspberry-pi-5.gate'", "did you mean 'gates'?"]),
        ("finetune.epochs=0", ["finetune.epochs = 0"]),
        ('finetune.epochs="many"', ["finetune.epochs = 'many'"]),
        ('finetune="long"', ["finetune = 'long'"]),
        ("seed=-1", ["seed = -1"]),
        ('name="../toy"', ["name = '../toy'"]),
        ("targets=[]", ["targets = []"]),
        ('model.sha256="abc"', ["model.sha256 = 'abc'"]),
        ('task="text-clasification"', ["unknown task 'text-clasification'", "'text-classification'?"]),
        ('targets=["raspbery-pi-5"]', ["unknown target 'raspbery-pi-5'", "did you mean 'raspberry-pi-5'?"]),
        ('targets=["arm-cpu"]', ["'arm-cpu'", "cannot be built", "raspberry-pi-5"]),
        ('targets=["./board.toml"]', ["no target profile", "board.toml"]),
        ('quantize.quantizer="onnx_dynamc"', ["unknown quantizer 'onnx_dynamc'", "'onnx_dynamic'?"]),
        ('quantize.calibration="defalt"', ["unknown calibration 'defalt'", "did you mean 'default'?"]),
        ('quantize.quantizer="my.own"', ["'my.own'", "--allow-code"]),
        ("target.raspberry-pi-4.gates.max_drop=2", ["[target.raspberry-pi-4]", "`targets` does not list"]),
    ],
)
def test_a_faulty_key_or_value_is_named(
    run_edgebert: Run, project: Path, override: str, wanted: list[str]
) -> None:
    said = refused(run_edgebert, project, "--set", override)
    assert len(said.splitlines()) == 1
    assert all(part in said for part in [str(project), *wanted]), said


@pytest.mark.parametrize("verb", ["build", "plan"])
def test_several_faults_are_told_at_once(run_edgebert: Run, project: Path, verb: str) -> None:
    text = project.read_text(encoding="utf-8")
    text = text.replace('"text-classification"', '"text-clasification"').replace(
        "raspberry-pi-5", "rapsberry-pi-5"
    )
    text = text.replace("seed = 2", "sede = 2").replace("epochs = 6", "epochs = -6")
    text = text.replace("race = false", 'quantizer = "onnx_dinamic"')
    project.write_text(text, encoding="utf-8")
    said = message(run_edgebert(verb, project, "-o", project.parent / "out"))
    named = ["sede", "finetune.epochs = -6", "text-clasification", "rapsberry-pi-5", "onnx_dinamic"]
    assert all(name in said for name in named), said
    assert len(said.splitlines()) == len(named)
    assert not (project.parent / "out").exists()


@pytest.mark.parametrize(
    ("content", "wanted"),
    [
        (b'name = "toy"\ntask = \n', ["not TOML", "line 2"]),
        (b'{"text": "a", "label": "b"}\n', ["not TOML", "line 1"]),
        (b'name = "\xff"\n', ["not UTF-8", "byte 8"]),
        (b"", ["'name' is missing", "'task' is missing", "'model' is missing"]),
    ],
)
def test_a_file_that_is_no_recipe_is_refused(
    run_edgebert: Run, project: Path, content: bytes, wanted: list[str]
) -> None:
    project.write_bytes(content)
    said = refused(run_edgebert, project)
    assert all(part in said for part in [str(project), *wanted]), said


@pytest.mark.parametrize(
    ("place", "wanted"),
    [
        ("toy.tml", "no such file"),
        (".", "is a folder"),
        ("toy.toml/toy.toml", "ot a directory"),
    ],
)
def test_a_recipe_that_is_not_there_is_told(run_edgebert: Run, project: Path, place: str, wanted: str) -> None:
    done = run_edgebert("build", place, "-o", "out", cwd=project.parent)
    said = message(done)
    assert place in said
    assert wanted in said
    assert not (project.parent / "out").exists()


@pytest.mark.parametrize("override", ["finetune.epochs", "", "=3", "finetune epochs=3", "finetune.=3"])
def test_a_malformed_override_is_told(run_edgebert: Run, project: Path, override: str) -> None:
    assert f"--set {override}" in refused(run_edgebert, project, "--set", override)


@pytest.mark.parametrize("override", ["=3", "finetune epochs=3"])
def test_an_override_with_a_malformed_key_blames_the_key(run_edgebert: Run, project: Path, override: str) -> None:
    said = refused(run_edgebert, project, "--set", override)
    assert "'3' is not a TOML value" not in said  # it is one
    assert "key" in said


def test_a_target_that_the_recipe_does_not_list_is_refused(run_edgebert: Run, project: Path) -> None:
    said = refused(run_edgebert, project, "-t", "raspberry-pi-4")
    assert all(part in said for part in ("-t raspberry-pi-4", "raspberry-pi-5")), said


def test_a_quantizer_of_another_format_is_refused(run_edgebert: Run, project: Path) -> None:
    said = refused(run_edgebert, project, "--set", 'quantize.quantizer="litert_dynamic"')
    wanted = ("raspberry-pi-5", "'litert_dynamic' takes tflite", "format is onnx", "onnx_dynamic")
    assert all(part in said for part in wanted), said


def test_a_quantizer_that_the_target_gets_wrong_is_refused(run_edgebert: Run, project: Path) -> None:
    own = ("--set", 'targets=["tflite-runtime-2.14"]', "--set", 'quantize.quantizer="litert_dynamic"')
    said = refused(run_edgebert, project, *own)
    wanted = ("tflite-runtime-2.14", "'litert_dynamic' is refused", "without an error", "litert_weight_only")
    assert all(part in said for part in wanted), said


def test_code_of_ones_own_that_is_not_there_is_told(run_edgebert: Run, project: Path) -> None:
    said = refused(run_edgebert, project, "--allow-code", "--set", 'quantize.quantizer="no_such_module.mine"')
    assert "no_such_module.mine" in said


def test_a_faulty_profile_of_ones_own_is_named(run_edgebert: Run, project: Path) -> None:
    profile = project.parent / "my-board.toml"
    profile.write_text('name = "my-board"\nextends = "arm-cpu"\n[hardware]\nthread = 2\n', encoding="utf-8")
    said = refused(run_edgebert, project, "--set", 'targets=["./my-board.toml"]')
    wanted = (str(profile), "unknown key 'hardware.thread'", "did you mean 'threads'?")
    assert all(part in said for part in wanted), said


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        (["biuld", "toy.toml"], "build"),
        (["build", "toy.toml", "--sett", "seed=1"], "--set"),
        (["build"], "recipe"),
        (["show", "raspbery-pi-5"], "did you mean 'raspberry-pi-5'?"),
        (["show", "./nowhere"], "./nowhere"),
    ],
)
def test_a_wrong_command_line_ends_with_status_2(
    run_edgebert: Run, project: Path, arguments: list[str], wanted: str
) -> None:
    done = run_edgebert(*arguments, cwd=project.parent)
    assert done.returncode == 2
    assert done.stdout == ""
    assert wanted in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        (["--race-on", "shh://pi@board"], "--race-on shh://pi@board: no such transport; did you mean 'ssh'?"),
        (["--race-on", "ssh://pi@board:port"], "--race-on ssh://pi@board:port: 'port' is not a port"),
        (["--race-on", "ssh:"], "--race-on ssh:: nothing follows the colon"),
        (["--race-on", "qemu"], "--race-on qemu: qemu cannot race files; these can: local, ssh"),
        (["--race-on", "adb"], "--race-on adb: adb reaches Android phones"),
        (["--race-on", "local", "--install-runtime"], "--install-runtime: of no use with --race-on local"),
        (["--install-runtime"], "--install-runtime: of no use without --race-on"),
        (["--race-on", "local", "--set", "quantize.race=false"], "turns races off: [quantize] race = false"),
        (["--race-on", "local", "--set", 'quantize.quantizer="onnx_static"'], "the recipe names its quantizer"),
        (["--race-on", "local", "--set", 'targets=["x86-64"]'], "x86-64 names no board"),
        (["--race-on", "local", "--set", 'targets=["android-cpu"]'], "android-cpu has no candidates to race"),
        (
            ["--race-on", "local", "--set", 'targets=["raspberry-pi-5", "raspberry-pi-4"]'],
            "a board is one target's; name it: -t raspberry-pi-5",
        ),
    ],
)
def test_a_board_that_no_race_can_be_run_on_is_told(
    run_edgebert: Run, project: Path, arguments: list[str], wanted: str
) -> None:
    said = refused(run_edgebert, project, "--set", "quantize.race=true", *arguments)
    assert len(said.splitlines()) == 1
    assert wanted in said

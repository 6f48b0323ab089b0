"""Building again: what is run, what is kept, what is published, and what a bundle says of its making."""

import json
import re
import shutil
import socket
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

import edgebert
from edgebert import opening, pipeline, planning, races, recipe as recipes, rescoring
from edgebert.device import bundle as bundles
from edgebert.manifest import Manifest
from edgebert.steps import Named, Outcome, Step
from edgebert.store import digest_of_files
from edgebert.transports import Contest, Options, qemu, ssh
from tests import toy
from tests.conftest import ROOT, Built

PI = "raspberry-pi-5"
AFTER_LOAD = {"finetune", "export", "quantize", "verify", "bundle"}


@dataclass
class Seen:
    """Watches a build and keeps which steps it ran."""

    ran: dict[str, str] = field(default_factory=dict)

    def begin(self, step: Named, cached: bool) -> None:
        if not cached:
            assert isinstance(step, Step)
            self.ran[step.key] = step.stage

    def tell(self, done: int, total: int) -> None:
        assert 0 <= done <= total

    def end(self, step: Named) -> None:
        pass


@pytest.fixture
def out(built: Built, tmp_path: Path) -> Path:
    """A copy of all that the toy's build wrote, its store included."""
    return shutil.copytree(built.out, tmp_path / "out")


def build(
    recipe: Path,
    out: Path,
    *overrides: str,
    only: str | None = PI,
    fresh: bool = False,
    strict: bool = False,
    rerace: bool = False,
    race_on: str | None = None,
    warnings: list[str] | None = None,
) -> tuple[list[str], dict[str, Outcome]]:
    """(stages of the steps that were run, outcomes); what a plan warned of is added to `warnings`."""
    loaded = recipes.load(recipe, list(overrides))
    plan = planning.plan(loaded, [only] if only else None, out / ".store", rerace=rerace, race_on=race_on)
    if warnings is not None:
        warnings += plan.warnings
    seen = Seen()
    outcomes = pipeline.run(plan, out, seen, fresh=fresh, strict=strict, rerace=rerace)
    return list(seen.ran.values()), outcomes


def manifest(bundle: Path) -> Manifest:
    return opening.read_manifest(bundle)


def modified(folder: Path) -> dict[str, int]:
    """When each file below a folder was last written, in ns."""
    return {str(path.relative_to(folder)): path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


def test_a_second_run_runs_no_step_and_writes_nothing(built: Built, out: Path) -> None:
    before = modified(out)
    ran, outcomes = build(built.recipe, out, only=None)
    assert ran == []
    assert {n: o.verdict.digest for n, o in outcomes.items()} == {
        n: o.verdict.digest for n, o in built.outcomes.items()
    }
    assert modified(out) == before


@pytest.mark.slow
def test_a_changed_epoch_count_trains_again_but_does_not_load_again(built: Built, out: Path) -> None:
    ran, _ = build(built.recipe, out, "finetune.epochs=2")
    assert sorted(ran) == sorted(AFTER_LOAD)
    assert manifest(out / "toy" / PI).provenance.recipe["finetune"]["epochs"] == 2
    assert build(built.recipe, out)[0] == []  # the earlier steps are still there


def test_a_changed_gate_judges_again_and_measures_nothing_again(built: Built, out: Path) -> None:
    before = manifest(out / "toy" / PI)
    ran, outcomes = build(built.recipe, out, "gates.max_size_mb=5.0")
    after = outcomes[PI].manifest
    assert ran == ["bundle"]
    assert [check.limit for check in after.checks if check.name == "size_mb"] == [5.0]
    assert (after.models, after.latency, after.speedup) == (before.models, before.latency, before.speedup)
    assert after.provenance.test_scored == before.provenance.test_scored


def test_targets_that_agree_share_their_steps(built: Built, out: Path) -> None:
    listed = 'targets=["raspberry-pi-5", "raspberry-pi-4", "x86-64"]'
    ran, outcomes = build(built.recipe, out, listed, only=None)
    assert set(ran) <= {"verify", "bundle"}
    assert ran.count("bundle") == 3
    sums = {name: digest_of_files(outcome.folder / "onnx") for name, outcome in outcomes.items()}
    assert sums["raspberry-pi-4"] == sums["x86-64"] == sums[PI] == digest_of_files(built.bundle(PI) / "onnx")


def test_a_failed_gate_keeps_the_older_bundle_and_builds_the_other_targets(built: Built, out: Path) -> None:
    shutil.rmtree(out / "toy" / "jetson-orin-nano")
    digest = bundles.digest(str(out / "toy" / PI))
    verdicts = edgebert.build(
        built.recipe, [PI, "jetson-orin-nano"], out, overrides=[f"target.{PI}.gates.max_size_mb=0.001"]
    )
    assert {name: verdict.passed for name, verdict in verdicts.items()} == {PI: False, "jetson-orin-nano": True}
    assert [check.name for check in verdicts[PI].checks if check.status == "fail"] == ["size_mb"]
    assert verdicts[PI].bundle == str(out / "toy" / f"{PI}.failed")
    assert bundles.digest(str(out / "toy" / PI)) == digest
    assert bundles.digest(str(out / "toy" / f"{PI}.failed")) == verdicts[PI].digest != digest
    assert (out / "toy" / "jetson-orin-nano" / "manifest.json").is_file()
    assert build(built.recipe, out)[1][PI].verdict.passed
    assert not (out / "toy" / f"{PI}.failed").exists()


def test_a_failed_gate_is_an_exit_status_and_a_line(
    built: Built, out: Path, run_edgebert: Callable[..., "subprocess.CompletedProcess[str]"]
) -> None:
    arguments = ["build", built.recipe, "-t", PI, "-o", out, "--set", "gates.max_size_mb=0.001"]
    done = run_edgebert(*arguments)
    assert done.returncode == 1
    assert "size_mb" in done.stdout
    assert "older" in done.stdout


def test_strict_refuses_an_estimate_whose_interval_does_not_hold(built: Built, out: Path) -> None:
    close = "gates.min_agreement=0.975"  # all of 120 rows agree; Wilson's interval ends at 0.969
    _, outcomes = build(built.recipe, out, close)
    assert [check.status for check in outcomes[PI].verdict.checks if check.name == "agreement"] == ["pass_point"]
    assert outcomes[PI].verdict.passed
    ran, outcomes = build(built.recipe, out, close, strict=True)
    assert ran == []
    assert not outcomes[PI].verdict.passed
    assert outcomes[PI].older_kept
    assert outcomes[PI].folder == out / "toy" / f"{PI}.failed"


@pytest.mark.parametrize(
    ("stage", "file"),
    [
        pytest.param("finetune", "model.safetensors", marks=pytest.mark.slow),
        ("quantize", "onnx/model_quantized.onnx"),
        ("bundle", "golden.jsonl"),
    ],
)
def test_a_truncated_store_entry_is_made_again_and_the_bundle_is_the_same(
    built: Built, out: Path, stage: str, file: str
) -> None:
    before = digest_of_files(out / "toy" / PI)
    plan = planning.plan(recipes.load(built.recipe), [PI], out / ".store")
    places = {step.stage: out / ".store" / f"{step.stage}-{step.key}" for step in plan.steps()}
    shutil.rmtree(places["bundle"] if stage != "bundle" else out / "toy" / PI)
    sound = json.loads((places[stage] / "step.json").read_text())["files"] if stage != "bundle" else {}
    (places[stage] / file).write_bytes((places[stage] / file).read_bytes()[:-100])
    ran, outcomes = build(built.recipe, out)
    assert set(ran) == {stage, "bundle"}
    assert sound.items() <= digest_of_files(places[stage]).items()
    after = digest_of_files(outcomes[PI].folder)
    differing = {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}
    assert differing <= {"manifest.json", "README.md", "SHA256SUMS"}  # which hold the time of the build
    assert not outcomes[PI].older_kept


@pytest.mark.slow
def test_fresh_runs_every_step_again(built: Built, out: Path) -> None:
    ran, outcomes = build(built.recipe, out, fresh=True)
    assert sorted(ran) == sorted({"load"} | AFTER_LOAD)
    models = digest_of_files(built.bundle(PI) / "onnx")
    assert digest_of_files(outcomes[PI].folder / "onnx") == models


def _edit(bundle: Path) -> None:
    (bundle / "README.md").write_text("mine now")


def _cut(bundle: Path) -> None:
    path = bundle / "onnx" / "model_quantized.onnx"
    path.write_bytes(path.read_bytes()[:-1])


@pytest.mark.parametrize(
    "damage",
    [_edit, _cut, lambda b: (b / "extra.txt").touch(), lambda b: (b / "vocab.txt").unlink(), shutil.rmtree],
    ids=["edited", "cut", "added to", "taken from", "removed"],
)
def test_a_published_bundle_that_was_changed_is_replaced(
    built: Built, out: Path, damage: Callable[[Path], None]
) -> None:
    damage(out / "toy" / PI)
    ran, outcomes = build(built.recipe, out)
    assert ran == []
    assert digest_of_files(outcomes[PI].folder) == digest_of_files(built.bundle(PI))
    assert sorted(path.name for path in (out / "toy").iterdir()) == ["android-cpu", "jetson-orin-nano", PI]


def test_folders_of_others_in_the_store_are_left_alone(built: Built, out: Path) -> None:
    (out / ".store" / ".my-notes").mkdir()
    (out / ".store" / ".my-notes" / "precious.txt").write_text("not a draft")
    build(built.recipe, out)
    assert (out / ".store" / ".my-notes" / "precious.txt").read_text() == "not a draft"


def test_an_output_that_cannot_be_written_to_is_told(built: Built, tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file")
    plan = planning.plan(recipes.load(built.recipe), [PI], tmp_path / "store")
    with pytest.raises(edgebert.errors.InputError, match=r"-o .*taken: cannot be written to"):
        pipeline.run(plan, tmp_path / "taken", pipeline.Unwatched())


def test_provenance_holds_no_absolute_path_and_no_user_or_host_name(
    built: Built, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOGNAME", "somebody-in-particular")
    folder = built.recipe.parent
    overrides = [f'model.source="{folder}/model"', f'data.test="{folder}/test.jsonl"', 'name="elsewhere"']
    found = build(built.recipe, out, *overrides)[1][PI].manifest
    text = found.model_dump_json()
    assert re.findall(r'"[~/][^"]*"', text) == []
    for name in ("somebody-in-particular", socket.gethostname(), str(folder), str(ROOT), str(Path.home()) + "/"):
        assert name not in text
    assert found.provenance.recipe["model"]["source"] == "model"
    assert found.provenance.recipe["data"]["test"] == "test.jsonl"


@pytest.mark.parametrize("target", [PI, "android-cpu", "jetson-orin-nano"])
def test_no_file_of_a_bundle_names_a_folder_of_this_machine(built: Built, target: str) -> None:
    places = [str(place).encode() for place in (built.recipe.parents[1], ROOT, Path(json.__file__).parent)]
    for path in built.bundle(target).rglob("*"):
        if path.is_file():
            assert [place for place in places if place in path.read_bytes()] == [], path


@pytest.mark.slow
def test_provenance_counts_how_often_the_test_split_was_scored(built: Built, out: Path) -> None:
    counts = [manifest(built.bundle(target)).provenance.test_scored for target in built.outcomes]
    assert counts == [1, 2, 3]
    again = build(built.recipe, out, 'bundle.golden="own"')[1][PI].manifest.provenance
    assert again.test_scored == 4
    other = toy.write_rows(out / "other.jsonl", toy.rows(30, 8))
    first = build(built.recipe, out, f'data.test="{other}"')[1][PI].manifest.provenance
    assert first.test_scored == 1


def test_a_race_is_pinned_and_run_once(
    built: Built, out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = shutil.copytree(built.recipe.parent, tmp_path / "project", symlinks=True) / built.recipe.name
    counts = {"onnx_dynamic": {"dot": 80.0}, "onnx_static": {"dot": 60.0}, "reference": {"dot": 100.0}}
    ground = races.Ground(evidence="emulator", on="cortex-a76")
    monkeypatch.setattr(races, "ground", lambda _: ground)
    monkeypatch.setattr(qemu, "counted", lambda *_: counts)
    on = "quantize.race=true"
    ran, outcomes = build(recipe, out, on)
    assert ran.count("race") == ran.count("quantize") == ran.count("verify") == 1
    first = outcomes[PI].manifest
    assert first.provenance.race is not None
    assert first.provenance.race["quantizer"] == "onnx_static"
    [ratio] = [check for check in first.checks if check.name == "instruction_ratio"]
    assert (ratio.measured, ratio.limit, ratio.status, ratio.evidence) == (0.6, 1.0, "pass", "emulator")
    assert "QuantizeLinear" in first.file().ops

    monkeypatch.setattr(races, "ground", lambda _: "nothing is here")  # what is pinned needs no evidence
    ran, outcomes = build(recipe, out, on)
    assert ran == []
    assert outcomes[PI].manifest == first

    monkeypatch.setattr(races, "ground", lambda _: ground)
    counts["onnx_dynamic"]["dot"], counts["onnx_static"]["dot"] = 120.0, 130.0
    ran, outcomes = build(recipe, out, on, rerace=True)
    assert ran[0] == "race"
    [ratio] = [check for check in outcomes[PI].manifest.checks if check.name == "instruction_ratio"]
    assert (ratio.measured, ratio.status) == (1.2, "fail"), "slower than fp32 on the evidence"
    assert not outcomes[PI].verdict.passed
    assert outcomes[PI].older_kept

    ran, outcomes = build(recipe, out, on, "gates.max_instruction_ratio=1.5")
    assert outcomes[PI].verdict.passed, "who asks for it gets it"


@dataclass
class Boards:
    """Every machine that ssh reaches: Raspberry Pis whose times are these; `asked` counts races."""

    times: dict[str, float]
    asked: int = 0

    def race(self, address: str, contest: Contest, options: Options) -> dict[str, Any]:
        self.asked += 1
        host = {"board": "Raspberry Pi 5 Model B Rev 1.1", "cpu": ""}
        samples = {name: [time, 2 * time] for name, time in self.times.items()}
        return {"samples": samples, "slowed": [], "host": host, "evidence": "device"}


@pytest.fixture
def boards(monkeypatch: pytest.MonkeyPatch) -> Boards:
    """Boards on which dynamic int8 is fastest, and an emulator that finds the static one so."""
    counts = {"onnx_dynamic": {"dot": 80.0}, "onnx_static": {"dot": 60.0}, "reference": {"dot": 100.0}}
    monkeypatch.setattr(races, "ground", lambda _: races.Ground(evidence="emulator", on="cortex-a76"))
    monkeypatch.setattr(qemu, "counted", lambda *_: counts)
    found = Boards({"onnx_dynamic": 4.0, "onnx_static": 5.0, "reference": 10.0})
    monkeypatch.setattr(ssh, "race", found.race)
    return found


def test_a_race_on_a_board_replaces_what_an_emulator_said_and_not_the_other_way(
    built: Built, out: Path, tmp_path: Path, boards: Boards
) -> None:
    recipe = shutil.copytree(built.recipe.parent, tmp_path / "project", symlinks=True) / built.recipe.name
    on, there = "quantize.race=true", "ssh://somebody@a-host.example:2222"
    lock = races.lock_of(recipes.load(recipe))
    build(recipe, out, on)
    assert 'evidence = "emulator"' in lock.read_text()
    ran, outcomes = build(recipe, out, on, race_on=there)
    assert ran[0] == "race"
    told = lock.read_text()
    assert 'quantizer = "onnx_dynamic"' in told
    assert 'evidence = "device"\non = "Raspberry Pi 5 Model B Rev 1.1"\n' in told
    assert 'ratios = {"onnx_dynamic" = 0.4, "onnx_static" = 0.5}  # time' in told
    first = outcomes[PI].manifest
    for text in (told, first.model_dump_json()):
        assert not re.search("somebody|a-host|2222", text)
    [speedup] = [check for check in first.checks if check.name == "speedup"]
    assert (speedup.measured, speedup.limit, speedup.status, speedup.evidence) == (2.5, 1.0, "pass", "device")
    assert "instruction_ratio" not in {check.name for check in first.checks}

    ran, outcomes = build(recipe, out, on, race_on=there)  # the same files: what a board said stands
    assert (ran, outcomes[PI].manifest, boards.asked) == ([], first, 1)
    warnings: list[str] = []
    ran, outcomes = build(recipe, out, on, rerace=True, warnings=warnings)
    assert (ran, outcomes[PI].manifest, lock.read_text()) == ([], first, told)
    [said] = warnings
    assert said.startswith(
        "raspberry-pi-5: what toy.lock.toml pins stays: a race here (emulator: cortex-a76) says less"
    )
    assert said.endswith("race there again: --race-on")

    boards.times["onnx_dynamic"] = 12.5  # slower than fp32, and still the faster of the two
    boards.times["onnx_static"] = 20.0
    ran, outcomes = build(recipe, out, on, rerace=True, race_on=there)
    assert ran[0] == "race"
    [speedup] = [check for check in outcomes[PI].manifest.checks if check.name == "speedup"]
    assert (speedup.measured, speedup.limit, speedup.status, speedup.evidence) == (0.8, 1.0, "fail", "device")
    assert not outcomes[PI].verdict.passed
    assert build(recipe, out, on, "gates.min_speedup=0.5")[1][PI].verdict.passed, "who asks for it gets it"


def test_a_board_s_race_of_other_files_is_replaced_and_that_is_told(
    built: Built, out: Path, tmp_path: Path, boards: Boards
) -> None:
    recipe = shutil.copytree(built.recipe.parent, tmp_path / "project", symlinks=True) / built.recipe.name
    found = {"quantizer": "onnx_dynamic", "evidence": "device", "on": "Raspberry Pi 5", "key": "of other files"}
    races.pin(recipes.load(recipe), {PI: races.Pin.model_validate({**found, "ratios": {"onnx_dynamic": 0.5}})})
    warnings: list[str] = []
    build(recipe, out, "quantize.race=true", rerace=True, warnings=warnings)
    assert warnings == [
        "raspberry-pi-5: the pinned race (device: Raspberry Pi 5) was of other files; one here (emulator: "
        "cortex-a76) replaces it"
    ]
    assert 'evidence = "emulator"' in races.lock_of(recipes.load(recipe)).read_text()


def test_what_cannot_be_raced_again_stays_pinned(
    built: Built, out: Path, tmp_path: Path, boards: Boards, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = shutil.copytree(built.recipe.parent, tmp_path / "project", symlinks=True) / built.recipe.name
    _, outcomes = build(recipe, out, "quantize.race=true")
    told = races.lock_of(recipes.load(recipe)).read_text()
    monkeypatch.setattr(races, "ground", lambda _: "nothing is here")
    warnings: list[str] = []
    ran, again = build(recipe, out, "quantize.race=true", rerace=True, warnings=warnings)
    assert warnings == ["raspberry-pi-5: what toy.lock.toml pins stays: it cannot be raced again: nothing is here"]
    assert (ran, again[PI].manifest) == ([], outcomes[PI].manifest)
    assert races.lock_of(recipes.load(recipe)).read_text() == told


def test_a_race_that_was_run_with_other_files_pins_but_proves_nothing(
    built: Built, out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = shutil.copytree(built.recipe.parent, tmp_path / "project", symlinks=True) / built.recipe.name
    found = {"quantizer": "onnx_static", "evidence": "emulator", "on": "cortex-a76", "key": "of other files"}
    pin = races.Pin.model_validate({**found, "ratios": {"onnx_static": 0.5}})
    races.pin(recipes.load(recipe), {PI: pin})
    monkeypatch.setattr(races, "ground", lambda _: "nothing is here")
    _, outcomes = build(recipe, out, "quantize.race=true")
    manifest = outcomes[PI].manifest
    assert "QuantizeLinear" in manifest.file().ops
    assert manifest.provenance.race is None
    assert "instruction_ratio" not in {check.name for check in manifest.checks}


def test_a_pruned_vocabulary_ships_and_the_teacher_keeps_its_own(toy_model: Path, tmp_path: Path) -> None:
    recipe = toy.write_project(tmp_path, toy_model, ["raspberry-pi-5", "android-cpu"])
    recipe.write_text(recipe.read_text() + "\n[prune.vocabulary]\ngeneral = 0\n")
    for name in ("train.jsonl", "dev.jsonl"):  # test alone has this word
        lines = (tmp_path / name).read_text().splitlines(keepends=True)
        (tmp_path / name).write_text("".join(line for line in lines if "puddle" not in line))
    plan = planning.plan(recipes.load(recipe), None, tmp_path / "out" / ".store")
    abouts = [step.about for step in plan.steps()]
    assert sum(about.startswith("prune the vocabulary: keep the pieces of the texts") for about in abouts) == 1
    for outcome in pipeline.run(plan, tmp_path / "out", pipeline.Unwatched()).values():
        assert outcome.verdict.passed
        manifest = outcome.manifest
        told = manifest.provenance.pruning["vocabulary"]
        assert 0 < told["pieces"] < told["of"]
        assert told["test_rows_cut_otherwise"] == sum("puddle" in row["text"] for row in toy.rows(120, 3))
        assert len((outcome.folder / "vocab.txt").read_text().splitlines()) == told["pieces"]
        score = manifest.score()
        assert score.drop is not None and score.drop.points <= 5
        found = rescoring.verify(outcome.folder, tmp_path / "test.jsonl")
        assert found["scores"][0]["drop"]["points"] == pytest.approx(score.drop.points, abs=1e-6)

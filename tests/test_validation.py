"""validate: where a bundle is run, with which rows, and that the proof is kept whatever it says."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edgebert import cli, opening, proof, validation
from edgebert.device import bundle as bundles
from edgebert.errors import InputError, NotTrustedError, SurroundingsError
from edgebert.proof import Proof
from edgebert.transports import Job, Observation, Options, local
from edgebert.validation import Request
from tests import toy
from tests.bad_input.test_recipes import message
from tests.conftest import ROOT, Built
from tests.device.test_bundle import change_manifest
from tests.device.test_selftest import change_golden, contents
from tests.test_jobs import alive, wait_until
from tests.test_proof import check, everything, made
from tests.test_rescoring import JETSON, PHONE, PI, alone, step

Run = Callable[..., "subprocess.CompletedProcess[str]"]
Change = Callable[[dict[str, Any]], object]


@pytest.fixture
def copy(built: Built, tmp_path: Path) -> Path:
    """The ONNX bundle on another machine, without a store beside it."""
    return alone(built, PI, tmp_path)


def validate(folder: Path, on: str = "local", **more: Any) -> Proof:
    """Validate; the proof that is returned is the one that was kept."""
    found, path = validation.run(Request(folder, on, **more))
    assert Proof.model_validate_json(path.read_text(encoding="utf-8")) == found
    return found


def kept(folder: Path) -> list[Path]:
    """Files below the folder of proofs."""
    return sorted(path for path in (folder.parent / "proof").rglob("*") if path.is_file())


@pytest.mark.parametrize(("target", "model"), [(PI, ""), (PHONE, ""), (JETSON, "int8")])
def test_this_machine_answers_as_recorded_and_the_proof_says_on_what_evidence(
    built: Built, tmp_path: Path, run_edgebert: Run, target: str, model: str
) -> None:
    folder = alone(built, target, tmp_path)
    before = contents(folder)
    chosen = ("--model", model) if model else ()
    done = run_edgebert("validate", folder, "--on", "local", *chosen, "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    path = found.pop("proof")
    assert kept(folder) == [Path(path)]
    assert json.loads(Path(path).read_text()) == found
    rows = len(bundles.golden(str(folder)))
    accelerated = target == JETSON
    assert found["evidence"] == ({"accuracy": "host"} if accelerated else everything("host"))
    assert (found["passed"], found["valid"], found["transport"]) == (True, True, "local")
    assert (found["target"], found["model"]) == (target, model or "int8")
    assert found["comparison"]["rows"] == found["rows"] == rows
    assert found["comparison"]["compared"] == found["comparison"]["same"] > 0
    assert found["score"] == found["host_score"]
    assert len(found["samples"]["shipped"]) == 3 * rows
    assert [one["evidence"] for one in found["latency"]] == ["host"]
    assert found["runtime"]["name"] == ("litert" if target == PHONE else "onnxruntime")
    assert "--reference" in found["not_measured"]["speedup"]
    assert found["digest"] == opening.digest(folder)
    assert contents(folder) == before
    shown = json.loads(run_edgebert("show", folder, "--json").stdout)
    assert shown["proofs"] == [found]
    assert shown["level"] == ("rules" if accelerated else "host")


def test_people_read_the_same(copy: Path, run_edgebert: Run) -> None:
    done = run_edgebert("validate", copy, "--on", "local", "--rows", "8", "--sustained", "0.5")
    assert done.returncode == 0, done.stderr
    told = " ".join(done.stdout.split())
    for part in (
        "golden_max_abs_diff",
        "8 of 8 rows answered",
        "shipped: p50",
        "evidence host: passed",
        "sustained",
    ):
        assert part in told
    assert f"proof: {kept(copy)[0]}" in done.stdout.replace("\n", "")


def test_fewer_rows_are_replayed_where_asked(copy: Path) -> None:
    found = validate(copy, rows=5)
    assert found.rows == 5
    assert len(found.samples["shipped"]) == 15


def test_rows_of_a_file_are_scored_beside_the_golden_ones(built: Built, copy: Path) -> None:
    golden = len(bundles.golden(str(copy)))
    path = built.recipe.parent / "test.jsonl"
    found = validate(copy, data=path, rows=20)
    assert found.rows == golden + 20
    assert found.score is not None
    assert found.score.rows == golden + 20
    assert found.score == found.host_score
    assert found.data == opening.read_manifest(copy).provenance.data["test"]
    assert len(found.samples["shipped"]) == 3 * golden
    assert validate(copy, data=path).rows == golden + 120


def test_the_columns_of_the_recipes_data_are_known(copy: Path, tmp_path: Path) -> None:
    names = {"text": "utterance", "label": "intent"}
    change_manifest(copy, lambda manifest: manifest["provenance"]["recipe"]["data"].update(columns=names))
    rows = [{names[key]: value for key, value in row.items()} for row in toy.rows(9, 5)]
    found = validate(copy, data=toy.write_rows(tmp_path / "own.jsonl", rows))
    assert found.score is not None
    with pytest.raises(InputError, match="no column 'utterance'"):
        validate(copy, data=toy.write_rows(tmp_path / "plain.jsonl", toy.rows(9, 5)))


def test_golden_rows_without_labels_give_no_score_and_a_file_gives_one(copy: Path, tmp_path: Path) -> None:
    change_golden(copy, lambda row: row.update(label=None))
    found = validate(copy)
    assert (found.score, found.host_score, found.passed) == (None, None, True)
    scored = validate(copy, data=toy.write_rows(tmp_path / "own.jsonl", toy.rows(12, 5))).score
    assert scored is not None
    assert scored.rows == 12


def test_a_reference_is_timed_beside_it(built: Built, copy: Path) -> None:
    found = validate(copy, reference=step(built, PI, "export"))
    assert found.speedup is not None
    assert (found.speedup.against, found.speedup.evidence, found.not_measured) == ("reference", "host", {})
    assert {one.which for one in found.latency} == {"shipped", "reference"}


def test_the_builds_store_is_the_reference_where_it_is_beside_the_bundle(built: Built, tmp_path: Path) -> None:
    out = Path(shutil.copytree(built.out, tmp_path / "out"))
    assert validate(out / "toy" / PI, rows=4).speedup is not None


def test_the_digest_is_asked_for(copy: Path) -> None:
    own = opening.digest(copy)
    assert validate(copy, digest=own.upper(), rows=2).digest == own
    with pytest.raises(InputError, match="it is another bundle"):
        validate(copy, digest="0" * 64)
    assert len(kept(copy)) == 1


def test_golden_rows_that_were_changed_fail(copy: Path, run_edgebert: Run) -> None:
    change_golden(copy, lambda row: row["outputs"].update(logits=row["outputs"]["logits"][::-1]))
    done = run_edgebert("validate", copy, "--on", "local", "--json")
    assert done.returncode == 1, done.stderr
    found = json.loads(done.stdout)
    assert {one["name"]: one["status"] for one in found["checks"]} == {
        "golden_max_abs_diff": "fail",
        "agreement": "fail",
    }
    assert (found["passed"], len(kept(copy))) == (False, 1)


def call(monkeypatch: pytest.MonkeyPatch, *arguments: str | Path) -> int:
    """The exit status of the command line, in this process."""
    monkeypatch.setattr(sys, "argv", ["edgebert", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert isinstance(ended.value.code, int)
    return ended.value.code


def play(monkeypatch: pytest.MonkeyPatch, change: Change) -> None:
    """Let `local` bring back something else than this machine gave."""
    really = local.run

    def run(address: str, job: Job, options: Options) -> Observation:
        seen = really(address, job, options)
        change(seen.found)
        return seen

    monkeypatch.setattr(local, "run", run)


def turn_around(found: dict[str, Any]) -> None:
    for answer in found["outputs"]:
        answer["logits"].reverse()


def test_a_device_that_differs_ends_with_1_and_its_proof_is_kept(
    copy: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    play(monkeypatch, turn_around)
    assert call(monkeypatch, "validate", copy, "--on", "local", "--rows", "8") == 1
    assert "failed" in capfd.readouterr().out
    [path] = kept(copy)
    found = Proof.model_validate_json(path.read_text())
    assert not found.passed
    assert {one.status for one in found.checks} == {"fail"}


def test_a_slowed_run_ends_with_4_and_its_proof_is_kept(
    copy: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    play(monkeypatch, lambda found: found.update(slowed=["the board reports: throttled"]))
    assert call(monkeypatch, "validate", copy, "--on", "local", "--rows", "8", "--json") == 4
    said = capfd.readouterr()
    assert "the board reports: throttled; cool the board" in said.err
    [path] = kept(copy)
    assert json.loads(path.read_text()) | {"proof": str(path)} == json.loads(said.out)
    found = Proof.model_validate_json(path.read_text())
    assert (found.valid, found.passed, found.checks) == (False, False, [])


WRONG: dict[str, tuple[str, tuple[str, ...], list[str]]] = {
    "an unknown place": (PI, ("--on", "qmeu"), ["--on qmeu", "did you mean 'qemu'?"]),
    "no place": (PI, ("--on", ""), ["no such transport"]),
    "a path for a place": (PI, ("--on", "./board"), ["no such transport"]),
    "an address for this machine": (PI, ("--on", "local:there"), ["takes no address", "'there'"]),
    "an unknown CPU": (PI, ("--on", "qemu:cortex-a67"), ["'cortex-a67'", "did you mean 'cortex-a76'?"]),
    "no CPU": (PI, ("--on", "qemu:"), ["nothing follows the colon"]),
    "a GPU": (JETSON, ("--on", "qemu"), ["the gpu of jetson-orin-nano"]),
    "a GPU and a CPU": (JETSON, ("--on", "qemu:cortex-a76"), ["the gpu of jetson-orin-nano"]),
    "an option of another place": (PI, ("--on", "local", "--runner", "x"), ["--runner", "no use with --on local"]),
    "a flag of another place": (PI, ("--on", "qemu", "--install-runtime"), ["--install-runtime", "--on qemu"]),
    "an unknown file": (PHONE, ("--on", "local", "--model", "int4"), ["'int4'", "known: int8"]),
    "no data file": (PI, ("--on", "local", "--data", "nowhere.jsonl"), ["nowhere.jsonl: no such file"]),
    "no reference": (PI, ("--on", "local", "--reference", "nowhere"), ["--reference nowhere"]),
    "another digest": (PI, ("--on", "local", "--digest", "abc"), ["--digest abc", "another bundle"]),
}


@pytest.mark.parametrize("kind", WRONG)
def test_what_the_user_got_wrong_ends_with_2_and_nothing_is_run_or_written(
    built: Built,
    tmp_path: Path,
    kind: str,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    target, options, told = WRONG[kind]
    folder = alone(built, target, tmp_path)

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("something was started")

    monkeypatch.setattr("edgebert.jobs.follow", refuse)
    monkeypatch.chdir(tmp_path)
    assert call(monkeypatch, "validate", folder, *options) == 2
    said = capfd.readouterr()
    assert said.out == ""
    assert all(part in said.err for part in told), said.err
    assert said.err.strip().splitlines()[-1].startswith("edgebert: ")
    assert [path.name for path in folder.parent.iterdir()] == [target]


@pytest.mark.parametrize(
    "arguments", [("--rows", "0"), ("--threads", "0"), ("--limit", "0"), ("--sustained", "-1"), ()]
)
def test_a_number_that_makes_no_sense_is_refused(
    copy: Path, arguments: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    on = ("--on", "local") if arguments else ()
    assert call(monkeypatch, "validate", copy, *on, *arguments) == 2
    assert kept(copy) == []


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        ([{"text": "the day", "label": "fog"}], "labels this bundle does not know: fog"),
        ([{"text": "the day", "label": None}], "line 1: label = None"),
        ([{"text": " ", "label": "sun"}], "line 1: text is empty"),
    ],
)
def test_faulty_rows_are_told_before_anything_runs(
    copy: Path, tmp_path: Path, rows: list[dict[str, Any]], told: str
) -> None:
    with pytest.raises(InputError, match=told):
        validate(copy, data=toy.write_rows(tmp_path / "rows.jsonl", rows))
    assert kept(copy) == []


def test_a_damaged_bundle_is_not_run(copy: Path, run_edgebert: Run) -> None:
    (copy / "vocab.txt").write_text("x")
    with pytest.raises(NotTrustedError, match=r"'vocab\.txt' was changed"):
        validate(copy)
    assert "'vocab.txt' was changed" in message(run_edgebert("validate", copy, "--on", "qemu:cortex-a53"))
    assert [path.name for path in copy.parent.iterdir()] == [PI]


def test_a_bundle_for_another_instruction_set_is_not_emulated(copy: Path) -> None:
    change_manifest(copy, lambda manifest: manifest["target"].update(arch="x86_64", name="x86-64"))
    with pytest.raises(InputError, match="emulates aarch64; x86-64 is x86_64"):
        validate(copy, on="qemu:cortex-a76")


def test_an_emulator_that_is_not_set_up_is_told_with_its_command(
    copy: Path, tmp_path: Path, run_edgebert: Run
) -> None:
    done = run_edgebert("validate", copy, "--on", "qemu", EDGEBERT_CACHE=str(tmp_path / "empty"))
    assert "edgebert doctor --install qemu" in message(done, status=4)
    assert kept(copy) == []
    assert not (tmp_path / "empty").exists()


def test_a_place_for_proofs_that_cannot_be_written_is_told_before_the_run(
    copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (copy.parent / "proof").write_text("mine")
    monkeypatch.setattr(local, "run", lambda *_: pytest.fail("it was run"))
    with pytest.raises(InputError, match=r"cannot be written: .*; copy the bundle"):
        validate(copy)
    assert (copy.parent / "proof").read_text() == "mine"


def test_a_run_that_takes_too_long_is_stopped(copy: Path) -> None:
    with pytest.raises(SurroundingsError, match=r"longer than 1 s .* raise --limit"):
        validate(copy, sustained_s=600, limit_s=1)
    assert kept(copy) == []


def test_a_missing_runtime_names_what_brings_it(
    copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "onnxruntime.py").write_text("raise ImportError('not here')")
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{ROOT}")
    with pytest.raises(SurroundingsError, match=r"pip install 'edgebert\["):
        validate(copy)


def workers(pid: int) -> list[int]:
    """Device jobs that a process started and that still run."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            state, parent = (path / "stat").read_text().rpartition(")")[2].split()[:2]
            command = (path / "cmdline").read_bytes()
        except OSError:
            continue
        if int(parent) == pid and state != "Z" and b"device.job" in command:
            found.append(int(path.name))
    return found


@pytest.mark.parametrize("whom", ["the command alone", "everything in front of the terminal"])
def test_an_interrupt_ends_with_130_and_leaves_all_as_it_was(copy: Path, whom: str) -> None:
    validate(copy, rows=2)
    before = contents(copy.parent)
    command = [sys.executable, "-m", "edgebert", "validate", str(copy), "--on", "local", "--sustained", "600"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        wait_until(lambda: process.poll() is not None or bool(workers(process.pid)))
        time.sleep(0.3)  # into its work; nothing below depends on how far
        [worker] = workers(process.pid)
        if whom == "the command alone":
            os.kill(process.pid, signal.SIGINT)
        else:
            os.killpg(process.pid, signal.SIGINT)
        answered, told = process.communicate()
    assert process.returncode == 130, told
    assert answered == ""
    assert "interrupted" in told
    assert "Traceback" not in told
    wait_until(lambda: not alive(worker))
    assert contents(copy.parent) == before


@pytest.fixture
def out(built: Built, tmp_path: Path) -> Path:
    """The built project's output, with its store, free to be changed."""
    return Path(shutil.copytree(built.out, tmp_path / "out"))


def test_a_build_tells_what_proofs_of_its_bundle_say(
    built: Built, out: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = out / "toy" / PI
    command = ("build", built.recipe, "-t", PI, "-o", out)
    digest = opening.digest(folder)

    def verdict(status: int) -> dict[str, Any]:
        assert call(monkeypatch, *command, "--json") == status
        found: dict[str, Any] = json.loads(capfd.readouterr().out)["targets"][PI]
        return found

    assert verdict(0)["level"] == "host"
    passing = [check("agreement", "pass", "emulator")]
    proof.write(made(1, digest=digest, evidence=everything("emulator"), checks=passing), folder)
    emulated = verdict(0)
    assert (emulated["level"], emulated["passed"], emulated["digest"]) == ("emulator", True, digest)
    assert call(monkeypatch, "show", folder, "--json") == 0
    shown = json.loads(capfd.readouterr().out)
    assert (shown["level"], shown["manifest"]["level"], len(shown["proofs"])) == ("emulator", "emulator", 1)
    proof.write(made(2, digest="0" * 64), folder)  # of an older bundle
    assert verdict(0)["level"] == "emulator"
    proof.write(made(3, digest=digest, checks=[check("agreement", "fail")]), folder)
    failed = verdict(1)
    assert (failed["level"], failed["passed"]) == ("emulator", False)
    assert [(c["name"], c["evidence"]) for c in failed["checks"] if c["status"] == "fail"] == [
        ("agreement", "device")
    ]
    assert call(monkeypatch, *command) == 1
    table = capfd.readouterr().out
    assert "failed: do not ship" in table
    assert "agreement (int8)" in table
    assert opening.digest(folder) == digest, "the bundle itself is sound and stays"
    proof.write(made(4, digest=digest, checks=[check("agreement", "pass")]), folder)
    assert (verdict(0)["level"], verdict(0)["passed"]) == ("device", True)

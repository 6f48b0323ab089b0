"""Against a recorded fake of adb: no phone has run this."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from edgebert.transports import adb
from tests.android.test_runners import NEW, OLD, OLD_PERF, PERF
from tests.bad_input.test_recipes import message
from tests.conftest import Built
from tests.test_jobs import alive, wait_until
from tests.transports.conftest import SERIAL, THERMAL, Phone, Validate, elf

pytestmark = pytest.mark.slow  # a process a row, many times
QUICK = ("--rows", "2", "--json")
NO_OUTPUTS = ["output_filepath"]
FOLDER = "/data/local/tmp/edgebert"


def proof(done: subprocess.CompletedProcess[str], status: int = 0) -> Any:
    assert done.returncode == status, done.stderr
    found = json.loads(done.stdout)
    kept = json.loads(Path(found["proof"]).read_text())
    assert kept == {key: value for key, value in found.items() if key != "proof"}
    return found


def check(found: Any, name: str) -> Any:
    return next(one for one in found["checks"] if one["name"] == name)


def proofs(bundle: Path) -> list[Path]:
    return sorted((bundle.parent / "proof").rglob("*"))


def test_a_tflite_bundle_is_timed_and_answers_its_rows_on_the_phone(
    android: Built, phone: Phone, validate: Validate
) -> None:
    phone.says(printed=NEW)
    rows = len((android.bundle("android-cpu") / "golden.jsonl").read_text(encoding="utf-8").splitlines())
    found = proof(validate(android.bundle("android-cpu"), "--threads", "4", "--json"))
    assert found["evidence"] == {"accuracy": "device", "placement": "device", "latency": "device"}
    assert found["passed"] and found["valid"] and found["transport"] == "adb"
    assert (found["rows"], found["comparison"]["largest"], found["score"]["rows"]) == (rows, 0.0, rows)
    assert found["score"] == found["host_score"]
    [latency] = found["latency"]
    assert (latency["p50_ms"], latency["p90_ms"], latency["p99_ms"]) == (12.012, None, None)
    assert (latency["lengths"], latency["threads"], latency["runs"]) == (16, 4, 100)
    judged = check(found, "latency_p50_ms")
    assert (judged["status"], judged["measured"], judged["limit"], judged["evidence"]) == (
        "pass",
        12.012,
        50.0,
        "device",
    )
    assert check(found, "golden_max_abs_diff")["evidence"] == "device"
    assert check(found, "peak_memory_mb")["status"] == "not_judged"
    assert found["runner"]["p95_us"] == 12410
    assert (found["runner"]["tokens"], found["runner"]["inputs"]) == (16, "a golden row")
    assert found["host"] == {
        "board": "Google Pixel 8",
        "cpu": "Google Tensor G3",
        "arch": "aarch64",
        "cores": 3,
        "kernel": "5.15.110-android14-11",
        "system": "Android 14",
        "python": None,
        "governor": "sched_pixel",
    }
    for end in ("before", "after"):
        conditions = found["conditions"][end]
        assert conditions["temperatures_c"] == {"BIG": 41.5, "VIRTUAL-SKIN": 31.5}
        assert conditions["max_khz"] == conditions["allowed_khz"] == [1704000, 2367000, 2914000]
        assert (conditions["battery_percent"], conditions["charging"], conditions["thermal_status"]) == (
            83,
            True,
            0,
        )
    assert SERIAL not in json.dumps(found)


def test_adb_is_called_with_argument_lists_and_every_call_names_the_phone(
    android: Built, phone: Phone, validate: Validate, runner: Path
) -> None:
    phone.says(printed=NEW)
    proof(validate(android.bundle("android-cpu"), *QUICK))
    first, *others = phone.calls()
    assert first == ["devices"]
    assert all(call[:2] == ["-s", SERIAL] and call[2] in ("shell", "push") for call in others)
    assert all(len(call) == (4 if call[2] == "shell" else 5) for call in others)
    sent = [Path(call[3]).name for call in phone.pushed()]
    assert sent[:2] == ["model.tflite", runner.name]
    assert all(call[4].startswith(f"{FOLDER}/") and call[4].endswith(".part") for call in phone.pushed())
    timed, *rows = phone.programs()
    assert "--signature_to_run_for=tokens_16" in timed and "--num_runs=100" in timed
    assert len(rows) == 2 and all("--num_runs=1" in words for words in rows)
    assert any(word.startswith("--output_filepath=") and word.endswith("/edgebert/outputs") for word in rows[0])
    left = {path.suffix for path in phone.work.iterdir()}
    assert left == {"", ".tflite"}, "the rows are removed, the runner and the model stay"


def test_a_second_run_pushes_neither_model_nor_runner(
    android: Built, phone: Phone, validate: Validate, runner: Path
) -> None:
    phone.says(printed=NEW, unknown=NO_OUTPUTS)
    proof(validate(android.bundle("android-cpu"), *QUICK))
    before = len(phone.pushed())
    proof(validate(android.bundle("android-cpu"), *QUICK))
    again = [Path(call[3]).name for call in phone.pushed()[before:]]
    assert "model.tflite" not in again and runner.name not in again


def test_clean_removes_the_whole_folder_at_the_end(android: Built, phone: Phone, validate: Validate) -> None:
    phone.says(printed=NEW, unknown=NO_OUTPUTS)
    proof(validate(android.bundle("android-cpu"), *QUICK, "--clean"))
    assert phone.work.parent.is_dir() and not phone.work.exists()
    phone.says(status=3)
    message(validate(android.bundle("android-cpu"), *QUICK, "--clean"), status=4)
    assert not phone.work.exists(), "and after a failure"


def test_an_onnx_bundle_is_timed_and_its_memory_judged_but_it_has_no_score(
    android: Built, phone: Phone, validate: Validate
) -> None:
    phone.says(printed=PERF)
    found = proof(validate(android.bundle("android-onnx"), *QUICK))
    assert found["evidence"] == {"placement": "device", "latency": "device"}
    [latency] = found["latency"]
    assert (latency["p50_ms"], latency["p90_ms"], latency["p99_ms"]) == pytest.approx((14.3087, 14.9845, 16.9517))
    assert check(found, "latency_p50_ms")["status"] == "pass"
    assert check(found, "peak_memory_mb")["measured"] == found["peak_memory_mb"] == 158.2
    assert (found["score"], found["comparison"], found["rows"]) == (None, None, 0)
    assert found["not_measured"]["score"] == "onnxruntime_perf_test writes no outputs"
    [words] = phone.programs()
    assert f"tokens:{latency['lengths']}" in words and "batch:1" in words and "-I" in words
    assert words[-1].endswith(".onnx")


def test_a_gate_that_the_phone_does_not_keep_fails(android: Built, phone: Phone, validate: Validate) -> None:
    phone.says(printed=OLD_PERF)
    found = proof(validate(android.bundle("android-onnx"), *QUICK), status=1)
    assert check(found, "latency_p50_ms")["status"] == "fail"
    assert not found["passed"] and found["valid"]


def test_without_percentiles_the_median_is_not_judged(android: Built, phone: Phone, validate: Validate) -> None:
    phone.says(printed=OLD)
    found = proof(validate(android.bundle("android-cpu"), *QUICK))
    assert found["latency"] == [] and "latency" not in found["evidence"]
    assert found["evidence"] == {"placement": "device"}, "two rows are no evidence of accuracy"
    judged = check(found, "latency_p50_ms")
    assert (judged["status"], judged["measured"]) == ("not_judged", None)
    assert "no percentiles" in judged["reason"] and "no percentiles" in found["not_measured"]["latency_p50_ms"]
    assert found["runner"]["avg_us"] == 249684


@pytest.mark.parametrize("option", ["output_filepath", "input_layer_value_files"])
def test_a_runner_that_writes_no_outputs_leaves_the_score_open(
    android: Built, phone: Phone, validate: Validate, option: str
) -> None:
    phone.says(printed=NEW, unknown=[option])
    data = android.recipe.parent / "test.jsonl"
    found = proof(validate(android.bundle("android-cpu"), *QUICK, "--data", data))
    assert found["score"] is None and found["comparison"] is None and found["rows"] == 0
    assert f"does not know --{option}" in found["not_measured"]["score"]
    assert "the rows of --data were not run" in found["not_measured"]["score"]
    assert found["evidence"] == {"placement": "device", "latency": "device"}
    assert found["runner"]["inputs"] == ("random numbers" if "input" in option else "a golden row")


@pytest.mark.slow
def test_rows_of_a_data_file_are_run_beside_the_golden_ones(
    android: Built, phone: Phone, validate: Validate
) -> None:
    phone.says(printed=NEW)
    data = android.recipe.parent / "small.jsonl"
    lines = (android.recipe.parent / "test.jsonl").read_text().splitlines(keepends=True)
    data.write_text("".join(lines[:3]))
    found = proof(validate(android.bundle("android-cpu"), "--data", data, "--json"))
    golden = len((android.bundle("android-cpu") / "golden.jsonl").read_text().splitlines())
    assert found["rows"] == found["score"]["rows"] == golden + 3
    assert found["comparison"]["largest"] == 0.0


def test_the_npu_is_not_proven_by_its_phones_cpu(android: Built, phone: Phone, validate: Validate) -> None:
    phone.says(printed=PERF)
    found = proof(validate(android.bundle("qualcomm-htp"), *QUICK))
    assert found["evidence"] == {} and found["latency"] == [] and found["peak_memory_mb"] is None
    assert "the npu of qualcomm-htp was not used" in found["not_measured"]["placement"]
    assert check(found, "latency_p50_ms")["status"] == "not_judged"
    assert found["runner"]["p50_ms"] == pytest.approx(14.3087)


@pytest.mark.parametrize(("name", "value"), [("ro.kernel.qemu", "1"), ("ro.hardware", "ranchu")])
def test_an_android_emulator_is_no_phone(
    android: Built, phone: Phone, validate: Validate, name: str, value: str
) -> None:
    phone.property(name, value)
    phone.lists("emulator-5554\tdevice")
    phone.says(printed=NEW)
    found = proof(validate(android.bundle("android-cpu"), *QUICK, on="adb:emulator-5554"))
    assert found["evidence"] == {"placement": "emulator"}
    assert found["latency"] == [] and check(found, "latency_p50_ms")["status"] == "not_judged"


def test_people_read_what_ran_and_what_did_not(android: Built, phone: Phone, validate: Validate) -> None:
    phone.says(printed=NEW, unknown=NO_OUTPUTS)
    done = validate(android.bundle("android-cpu"), "--sustained", "2")
    assert done.returncode == 0, done.stderr
    said = " ".join(done.stdout.split())
    assert "p50 12.01 ms, p90 -, p99 -; 1 threads, 100 runs of 16 tokens, evidence device" in said
    assert "sustained 2 s: p50 12.01 ms" in said
    assert "score not measured: the runner does not know --output_filepath" in said
    assert "--min_secs=2" in phone.programs()[1]


@pytest.mark.parametrize("status", [2, 4])
def test_a_hot_phone_judges_nothing(android: Built, phone: Phone, validate: Validate, status: int) -> None:
    phone.file("dumpsys/thermalservice", THERMAL.format(status=status))
    phone.says(printed=NEW, unknown=NO_OUTPUTS)
    done = validate(android.bundle("android-cpu"), *QUICK)
    found = proof(done, status=4)
    assert not found["valid"] and not found["passed"] and found["checks"] == []
    assert f"thermal status {status}" in done.stderr


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        ("low_power", "1\n", "battery saver is on"),
        (
            "sys/devices/system/cpu/cpu2/cpufreq/scaling_max_freq",
            "1900000\n",
            "the clock is limited to 2367 of 2914",
        ),
    ],
)
def test_a_slowed_phone_judges_nothing(
    android: Built, phone: Phone, validate: Validate, name: str, text: str, reason: str
) -> None:
    phone.file(name, text)
    phone.says(printed=NEW, unknown=NO_OUTPUTS)
    done = validate(android.bundle("android-cpu"), *QUICK)
    assert proof(done, status=4)["slowed"]
    assert reason in done.stderr


def test_a_phone_that_tells_little_is_still_run(android: Built, phone: Phone, validate: Validate) -> None:
    root = phone.folder / "root"
    for path in (root / "sys/devices", root / "dumpsys", root / "proc/loadavg", root / "low_power"):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    zone = "sys/class/thermal/thermal_zone0"
    phone.file(f"{zone}/type", "cpu-0-0\n")
    phone.file(f"{zone}/temp", "38500\n")
    phone.says(printed=NEW, unknown=NO_OUTPUTS)
    found = proof(validate(android.bundle("android-cpu"), *QUICK))
    assert found["conditions"]["before"]["temperatures_c"] == {"cpu-0-0": 38.5}
    assert found["conditions"]["before"]["thermal_status"] is None
    assert found["host"]["governor"] is None


@pytest.mark.parametrize(
    ("lines", "on", "parts"),
    [
        ([], "adb", ["adb lists no phone", "USB debugging"]),
        (["A1\tdevice", "B2\tdevice"], "adb", ["2 phones (A1, B2)", "--on adb:SERIAL"]),
        (["A1\tdevice"], "adb:B2", ["phone B2", "lists A1"]),
        ([], "adb:192.168.1.5:5555", ["adb connect 192.168.1.5:5555"]),
        (["A1\tunauthorized"], "adb", ["A1 is unauthorized", "allow USB debugging"]),
        (["A1\toffline"], "adb:A1", ["A1 is offline", "adb kill-server"]),
        (
            ["A1\tno permissions (user in plugdev group); see [http://developer]"],
            "adb",
            ["no permissions", "udev"],
        ),
        (["A1\trecovery"], "adb", ["'recovery'"]),
    ],
)
def test_a_phone_that_cannot_be_used_is_told(
    android: Built, phone: Phone, validate: Validate, lines: list[str], on: str, parts: list[str]
) -> None:
    phone.lists(*lines)
    said = message(validate(android.bundle("android-cpu"), *QUICK, on=on), status=4)
    assert all(part in said for part in parts), said
    assert phone.calls() == [["devices"]]


def test_a_machine_without_adb_is_told(android: Built, run_edgebert: Validate, runner: Path) -> None:
    command = ("validate", android.bundle("android-cpu"), "--on", "adb", "--runner", runner)
    said = message(run_edgebert(*command, PATH="/nowhere"), status=4)
    assert "adb is not on PATH" in said and "apt-get install adb" in said


@pytest.mark.parametrize(
    ("told", "parts"),
    [
        (
            {"push": "adb: error: failed to copy 'm' to 'n': remote write failed: No space left on device\n"},
            ["space"],
        ),
        ({"push": "adb: error: failed to get feature set: device 'A' not found\n"}, ["was lost", "cable"]),
        ({"push": "adb: error: stat failed: secure_mkdirs failed\n"}, ["could not be pushed", "secure_mkdirs"]),
        ({"damage": True}, ["model.tflite", "arrived damaged", "sha256 differs"]),
        ({"gone_at": "--num_runs=100"}, ["was lost", "not found", "adb devices"]),
        ({"gone_at": "--num_runs=1 ", "gone": ""}, ["was lost", "the connection closed"]),
        ({"gone_at": "thermalservice", "gone": "error: closed\n"}, ["was lost (error: closed)"]),
        ({"status": 1, "printed": "ERROR: Failed to load model\nusage: x"}, ["status 1", "Failed to load model"]),
        ({"status": 127, "printed": "x: not found"}, ["status 127", "--runner is benchmark_model"]),
        ({"status": -11}, ["ended by signal 11"]),
        ({"status": -9}, ["ended by signal 9", "memory ran out"]),
        ({"printed": "42\n"}, ["cannot be read", "its last line: 42", "--runner is benchmark_model"]),
        ({"printed": PERF}, ["cannot be read"]),
        ({"printed": NEW, "garbled": True}, ["output values, 3 were expected"]),
        ({"printed": NEW, "unknown": ["signature_to_run_for"]}, ["--signature_to_run_for", "newer"]),
    ],
)
def test_what_fails_on_the_way_is_told_with_what_mends_it(
    android: Built, phone: Phone, validate: Validate, told: dict[str, Any], parts: list[str]
) -> None:
    before = proofs(android.bundle("android-cpu"))
    phone.says(**{"printed": NEW, **told})
    said = message(validate(android.bundle("android-cpu"), *QUICK), status=4)
    assert all(part in said for part in (*parts, f"phone {SERIAL}")), said
    assert len(said.splitlines()) == 1
    assert proofs(android.bundle("android-cpu")) == before
    assert not list(phone.work.glob("*.part"))


def test_too_little_room_is_told_before_anything_is_pushed(
    android: Built, phone: Phone, validate: Validate
) -> None:
    phone.file("df", "Filesystem 1K-blocks Used Available Use% Mounted on\n/dev/block/dm-50 9 9 40 1% /data\n")
    said = message(validate(android.bundle("android-cpu"), *QUICK), status=4)
    assert "no space left" in said and "rm -rf /data/local/tmp/edgebert" in said
    assert phone.pushed() == []


def test_a_phone_of_another_instruction_set_is_told(android: Built, phone: Phone, validate: Validate) -> None:
    phone.property("ro.product.cpu.abilist", "x86_64,arm64-v8a")
    said = message(validate(android.bundle("android-cpu"), *QUICK), status=4)
    assert "x86_64" in said and "arm64-v8a" in said
    assert phone.pushed() == []


def test_a_run_that_takes_too_long_is_stopped_there_and_here(
    android: Built, phone: Phone, validate: Validate
) -> None:
    phone.says(printed=NEW, seconds=600)
    said = message(validate(android.bundle("android-cpu"), *QUICK, "--limit", "4"), status=4)
    assert "took longer than 4 s" in said and "--limit" in said
    assert_gone(phone)


def assert_gone(phone: Phone) -> None:
    """The program on the phone ends soon."""
    lines = (phone.folder / "programs.jsonl").read_text().splitlines()
    wait_until(lambda: not alive(json.loads(lines[-1])["process"]))


@pytest.mark.parametrize("ends", [signal.SIGINT, signal.SIGKILL])
def test_a_run_that_is_interrupted_leaves_no_process_and_no_proof(
    android: Built, phone: Phone, runner: Path, ends: signal.Signals
) -> None:
    bundle = android.bundle("android-cpu")
    before = proofs(bundle)
    phone.says(printed=NEW, seconds=600)
    process = subprocess.Popen(
        [sys.executable, "-m", "edgebert", "validate", bundle, "--on", "adb", "--runner", runner, *QUICK],
        env={**os.environ, "PATH": f"{phone.folder}:{os.environ['PATH']}", "FAKE_PHONE": str(phone.folder)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    while not (phone.folder / "programs.jsonl").is_file() and process.poll() is None:
        time.sleep(0.05)
    assert process.poll() is None, "ended before it could be interrupted"
    process.send_signal(ends)
    assert_gone(phone)
    answered, told = process.communicate(timeout=30)
    assert answered == "" and proofs(bundle) == before
    if ends is signal.SIGINT:
        said = message(subprocess.CompletedProcess([], process.returncode, answered, told), status=130)
        assert "interrupted" in said


def test_androids_own_shell_and_tools_understand_the_scripts(
    android: Built, phone: Phone, validate: Validate, monkeypatch: pytest.MonkeyPatch
) -> None:
    shell, toybox = shutil.which("mksh"), shutil.which("toybox")
    if shell is None or toybox is None:
        pytest.skip("needs mksh and toybox: make system-deps")
    tools = phone.folder / "root/bin"
    for name in ("base64", "cat", "chmod", "head", "ls", "mkdir", "mv", "rm", "sha256sum", "tail", "timeout"):
        (tools / name).symlink_to(toybox)
    (tools / "sh").write_text((tools / "sh").read_text().replace("/bin/sh -c", f"{shell} -c"))
    monkeypatch.setenv("FAKE_SHELL", shell)
    phone.says(printed=NEW)
    found = proof(validate(android.bundle("android-cpu"), *QUICK))
    assert found["rows"] == 2 and found["conditions"]["before"]["battery_percent"] == 83
    phone.says(printed=NEW, seconds=600)
    message(validate(android.bundle("android-cpu"), *QUICK, "--limit", "4"), status=4)
    assert_gone(phone)
    phone.says(status=-11)
    assert "signal 11" in message(validate(android.bundle("android-cpu"), *QUICK), status=4)


@pytest.mark.parametrize(
    ("contents", "part"),
    [
        (elf(machine=62), "x86-64"),
        (b"#!/bin/sh\n", "a script"),
        (elf(linker="/lib/ld-linux-aarch64.so.1"), "another system than Android"),
        (None, "no such file"),
    ],
)
def test_a_runner_that_cannot_run_there_is_refused(
    android: Built, phone: Phone, validate: Validate, runner: Path, contents: bytes | None, part: str
) -> None:
    runner.unlink() if contents is None else runner.write_bytes(contents)
    said = message(validate(android.bundle("android-cpu"), *QUICK))
    assert f"--runner {runner}" in said and part in said and "benchmark_model" in said
    assert not (phone.folder / "calls.jsonl").exists()


@pytest.mark.parametrize(
    ("target", "name"), [("android-cpu", "benchmark_model"), ("android-onnx", "onnxruntime_perf_test")]
)
def test_without_a_runner_the_one_to_get_is_named(
    android: Built, validate: Validate, target: str, name: str
) -> None:
    said = message(validate(android.bundle(target), *QUICK, with_runner=False))
    assert "--runner PATH" in said and name in said and "https://" in said


def test_a_bundle_for_another_system_is_sent_elsewhere(bundle: Path, validate: Validate) -> None:
    said = message(validate(bundle, *QUICK))
    assert "raspberry-pi-5 runs linux" in said and "--on ssh://user@host" in said


@pytest.mark.parametrize("serial", ["-s", "a b", "a;reboot", "$(id)", "a|b", "a&b", "'a'", "a\nb", "../a", "`id`"])
def test_what_is_no_serial_number_is_refused(android: Built, validate: Validate, serial: str) -> None:
    said = message(validate(android.bundle("android-cpu"), *QUICK, on=f"adb:{serial}"))
    assert "is no serial number" in said


@pytest.mark.parametrize(
    "serial", ["", "emulator-5554", "192.168.1.5:5555", SERIAL, "[fe80::1]:5555", "adb-R5-x._adb-tls-connect._tcp"]
)
def test_serial_numbers_as_adb_lists_them_are_taken(android: Built, serial: str) -> None:
    from edgebert import opening

    assert adb.fault(serial, opening.read_manifest(android.bundle("android-cpu")).target) is None


@pytest.mark.parametrize("option", [("--ssh-config", "x"), ("--install-runtime",)])
def test_options_of_other_transports_are_refused(
    android: Built, validate: Validate, option: tuple[str, ...]
) -> None:
    said = message(validate(android.bundle("android-cpu"), *QUICK, *option))
    assert f"{option[0]}: of no use with --on adb" in said

from __future__ import annotations

from pathlib import Path

import pytest

from edgebert import target as targets
from edgebert.errors import InputError
from edgebert.target import Shape

OWN = """
name = "board"
description = "a board of our own"
extends = "arm-cpu"
quantizer = ["onnx_dynamic"]

[hardware]
cpu = "cortex-a55"

[gates]
max_size_mb = 30
"""


def write(folder: Path, text: str, name: str = "board") -> Path:
    path = folder / f"{name}.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_every_listed_target_can_be_built_for() -> None:
    names = targets.names()
    assert {"raspberry-pi-5", "android-cpu", "jetson-orin-nano"} <= set(names)
    assert names == sorted(names)
    for name in names:
        assert targets.buildable(name).name == name


def test_a_base_is_not_listed_and_not_built_for() -> None:
    assert "arm-cpu" not in targets.names()
    assert targets.load("arm-cpu").abstract
    with pytest.raises(InputError, match=r"'arm-cpu' is a base .*raspberry-pi-5"):
        targets.buildable("arm-cpu")


def test_a_shipped_target_holds_what_its_base_says_and_its_own() -> None:
    base, pi = targets.load("arm-cpu"), targets.load("raspberry-pi-5")
    assert (pi.format, pi.opset, pi.runtime, pi.gates) == (base.format, base.opset, base.runtime, base.gates)
    assert pi.hardware.arch == base.hardware.arch
    assert pi.hardware.cpu == "cortex-a76" and base.hardware.cpu == ""
    assert not pi.abstract


def test_a_profile_of_the_users_own_extends_a_shipped_base(tmp_path: Path) -> None:
    write(tmp_path, OWN)
    own, base = targets.buildable("./board.toml", tmp_path), targets.load("arm-cpu")
    assert own.hardware.cpu == "cortex-a55"
    assert own.hardware.threads == base.hardware.threads
    assert own.gates.max_size_mb == 30
    assert own.gates.max_bytes_per_parameter == base.gates.max_bytes_per_parameter


def test_a_base_of_the_users_own_lies_beside_its_profile(tmp_path: Path) -> None:
    folder = tmp_path / "profiles"
    folder.mkdir()
    base = OWN.replace('"board"', '"base"').replace('extends = "arm-cpu"\n', 'abstract = true\nformat = "onnx"\n')
    runtime = '[runtime]\nname = "onnxruntime"\nversion = ">=1.17"\n'
    write(
        folder, base.replace("[hardware]", '[hardware]\narch = "aarch64"\nfeatures = ["a", "b"]') + runtime, "base"
    )
    write(folder, 'name = "board"\nextends = "./base.toml"\n[hardware]\nfeatures = ["c"]\n')
    own = targets.buildable("profiles/board.toml", tmp_path)
    assert own.hardware.cpu == "cortex-a55"
    assert own.hardware.features == ["c"], "a list replaces the base's"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("raspbery-pi-5", "unknown target 'raspbery-pi-5'; did you mean 'raspberry-pi-5'?"),
        ("qq", "known: android-cpu"),
        ("", "known: android-cpu"),
        ("./absent.toml", "no target profile at"),
        ("./", "no target profile at"),
    ],
)
def test_a_name_that_leads_nowhere_is_told(tmp_path: Path, name: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        targets.buildable(name, tmp_path)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('name = "board"', 'name = "bord"', "name = 'bord'; it must equal the file's name, 'board'"),
        ('"arm-cpu"', '"raspberry-pi-5"', "which itself extends another; one level only"),
        ('"arm-cpu"', '"./board.toml"', "which itself extends another; one level only"),
        ("[hardware]", "[hardwear]", "unknown key 'hardwear'; did you mean 'hardware'?"),
        ("max_size_mb", "max_size", "unknown key 'gates.max_size'; did you mean 'max_size_mb'?"),
        ('"onnx_dynamic"', '"onnx_dynamik"', "unknown quantizer 'onnx_dynamik'; did you mean 'onnx_dynamic'?"),
        ('cpu = "cortex-a55"', "threads = 0", "hardware.threads = 0: "),
        ('extends = "arm-cpu"\n', "", "'format' is missing"),
        ("[hardware]", '[runtime]\nenvironment = "optimun"\n[hardware]', "did you mean 'optimum'?"),
        (
            "[hardware]",
            '[runtime]\nname = "tflite-runtime"\n[hardware]',
            "name the environment 'tflite-runtime-2.14'",
        ),
        ("[hardware]", '[refuse]\nonnx_dynamik = "no"\n[hardware]', "did you mean 'onnx_dynamic'?"),
        ("[hardware]", '[refuse]\nonnx_dynamic = "no"\n[hardware]', "'onnx_dynamic' is one of this target's own"),
    ],
)
def test_a_faulty_profile_is_told_with_its_file(tmp_path: Path, old: str, new: str, message: str) -> None:
    path = write(tmp_path, OWN.replace(old, new))
    with pytest.raises(InputError) as caught:
        targets.load(f"{tmp_path}/board.toml")
    assert message in str(caught.value)
    assert all(fault.startswith(str(path)) for fault in caught.value.faults)


def test_an_unknown_base_is_told_with_its_file_and_the_nearest_base(tmp_path: Path) -> None:
    write(tmp_path, OWN.replace("arm-cpu", "arm-cup"))
    with pytest.raises(InputError) as caught:
        targets.load("./board.toml", tmp_path)
    message = str(caught.value)
    assert "board.toml" in message and "'arm-cup'" in message
    assert "did you mean 'arm-cpu'?" in message


@pytest.mark.parametrize("tokens", ["[0, 64]", "[-8]", '["long"]'])
def test_length_buckets_that_hold_nothing_are_refused(tmp_path: Path, tokens: str) -> None:
    write(tmp_path, OWN + f"[shape]\ntokens = {tokens}\n")
    with pytest.raises(InputError, match=r"shape\.tokens"):
        targets.load("./board.toml", tmp_path)


@pytest.mark.parametrize(
    ("tokens", "most", "model_reads", "buckets"),
    [
        ([], 128, 128, []),
        ([], 128, 32, []),
        ([16, 32, 64, 128], 128, 128, [16, 32, 64, 128]),
        ([16, 32, 64, 128], 128, 48, [16, 32, 48]),
        ([16, 32, 64, 128], 64, 512, [16, 32, 64]),
        ([128], 128, 32, [32]),
        ([16, 32], 128, 128, [16, 32, 128]),
    ],
)
def test_the_last_bucket_holds_the_longest_text(
    tokens: list[int], most: int, model_reads: int, buckets: list[int]
) -> None:
    assert Shape(tokens=tokens, max_tokens=most).buckets(model_reads) == buckets


def test_the_data_folders_hold_what_ships() -> None:
    assert (targets.data_folder("calibration") / "default.toml").is_file()
    assert (targets.folder() / "raspberry-pi-5.toml").is_file()


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        ("opset = 21", "opset = 21: onnxruntime 1.17, which version = '>=1.17,<2' allows, reads 20 at most"),
        (
            "ir_version = 10",
            "ir_version = 10: onnxruntime 1.17, which version = '>=1.17,<2' allows, reads 9 at most",
        ),
        ("opset = 16", "opset = 16: "),
        ('runtime = {version = "new"}', "not a range of versions; write it as pip does"),
        ('candidates = ["onnx_static"]', "the target's one quantizer must be among them"),
        ('candidates = ["onnx_dynamc"]', "did you mean 'onnx_dynamic'?"),
    ],
)
def test_versions_and_candidates_that_do_not_fit_are_told(tmp_path: Path, lines: str, told: str) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(f'name = "mine"\nextends = "arm-cpu"\nabstract = false\n{lines}\n', encoding="utf-8")
    with pytest.raises(InputError) as caught:
        targets.load("./mine.toml", tmp_path)
    assert told in str(caught.value) and "mine.toml" in str(caught.value)


def test_a_newer_runtime_may_read_a_newer_opset(tmp_path: Path) -> None:
    text = 'name = "mine"\nextends = "arm-cpu"\nabstract = false\nopset = 21\nruntime = {version = ">=1.18"}\n'
    (tmp_path / "mine.toml").write_text(text, encoding="utf-8")
    assert targets.load("./mine.toml", tmp_path).opset == 21

from __future__ import annotations

import errno
from pathlib import Path

import pytest
from tokenizers import Tokenizer
from tokenizers.models import WordLevel

from edgebert import errors
from edgebert.errors import EdgeBertError, InputError

FULL = Path("/dev/full")


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (InputError("wrong"), 2),
        (errors.NotTrustedError("altered"), 2),
        (errors.SurroundingsError("unreachable"), 4),
        (errors.MissingExtraError("training", "build"), 4),
        (errors.DiskFullError("a file"), 4),
    ],
)
def test_the_exit_status_says_whose_turn_it_is(error: EdgeBertError, status: int) -> None:
    assert error.status == status


def test_one_input_error_carries_every_fault_on_a_line_of_its_own() -> None:
    error = InputError(["seed = -1: too small", "unknown key 'epoch'"])
    assert error.faults == ["seed = -1: too small", "unknown key 'epoch'"]
    assert str(error).splitlines() == error.faults
    assert InputError("only one").faults == ["only one"]


def test_a_missing_part_is_named_with_the_command_that_installs_it() -> None:
    message = str(errors.MissingExtraError("target 'android-cpu'", "tflite"))
    assert "target 'android-cpu'" in message
    assert "pip install 'edgebert[tflite]'" in message


def test_a_full_disk_says_where_and_how_to_go_on() -> None:
    message = str(errors.DiskFullError("model.onnx"))
    assert "model.onnx" in message
    assert "-o" in message and "EDGEBERT_STORE" in message


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("raspberry-pi5", "did you mean 'raspberry-pi-5'?"),
        ("jetson", "known: android-cpu, raspberry-pi-5"),
        ("", "known: android-cpu, raspberry-pi-5"),
    ],
)
def test_an_unknown_name_is_answered_with_the_closest_or_with_all(name: str, hint: str) -> None:
    assert errors.nearest(name, (known for known in ["raspberry-pi-5", "android-cpu"])) == hint


def test_a_write_to_a_full_disk_is_recognized() -> None:
    with pytest.raises(OSError) as caught, FULL.open("wb", buffering=0) as file:
        file.write(b"x")
    assert errors.is_disk_full(caught.value)


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "Auf dem Gerät ist kein Speicherplatz mehr verfügbar"),
        OSError(errno.EDQUOT, "Disk quota exceeded"),
    ],
)
def test_a_full_disk_is_recognized_in_any_language_and_by_quota(error: OSError) -> None:
    assert errors.is_disk_full(error)


def test_a_full_disk_met_by_a_library_in_rust_is_recognized() -> None:
    with pytest.raises(Exception) as caught:  # the library raises bare Exception
        Tokenizer(WordLevel({"[UNK]": 0}, "[UNK]")).save(str(FULL))
    assert not isinstance(caught.value, OSError)
    assert errors.is_disk_full(caught.value)


def test_a_full_disk_is_recognized_behind_the_error_it_caused() -> None:
    def save() -> None:
        try:
            with FULL.open("wb", buffering=0) as file:
                file.write(b"x")
        except OSError as error:
            raise RuntimeError("the weights were not saved") from error

    with pytest.raises(RuntimeError) as caught:
        save()
    assert errors.is_disk_full(caught.value)


def test_other_errors_are_no_full_disk(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as caught:
        (tmp_path / "absent").read_bytes()
    assert not errors.is_disk_full(caught.value)
    assert not errors.is_disk_full(ValueError("a shape"))
    assert not errors.is_disk_full(None)

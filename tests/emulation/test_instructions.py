"""The plugin's classes against the encodings an assembler gives, and its counting between marks, without QEMU."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from edgebert.emulation import userland

HERE = Path(__file__).parent
SOURCE = Path(str(userland.__file__)).with_name("instructions.c")
WARNINGS = ("-Wall", "-Wextra", "-Wpedantic", "-Werror", "-Wno-unused-function")
CLASSES = ("dot", "int_mac", "float_mac", "simd", "load", "store", "branch", "other")
ASSEMBLER = "aarch64-linux-gnu-as"
ARCHITECTURE = ".arch armv8.6-a+i8mm+bf16+fp16+fp16fml+dotprod+rcpc+crypto"
LINES = [line.split(maxsplit=2) for line in (HERE / "encodings.txt").read_text(encoding="utf-8").splitlines()]


@pytest.fixture(scope="module", params=userland.PLUGIN_APIS)
def harness(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The plugin compiled into a program of its own, for each of QEMU's plugin interfaces."""
    if shutil.which("cc") is None:
        pytest.skip("no C compiler here: apt-get install gcc libc6-dev")
    built = tmp_path_factory.mktemp("harness") / "harness"
    options = [*WARNINGS, "-O1", f"-DQEMU_PLUGIN_API={request.param}", f"-I{SOURCE.parent}"]
    done = subprocess.run(
        ["cc", *options, "-o", str(built), str(HERE / "harness.c")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return built


def run(harness: Path, *arguments: str) -> list[str]:
    done = subprocess.run([str(harness), *arguments], capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


def test_every_class_has_encodings_to_test() -> None:
    assert {name for name, _, _ in LINES} == set(CLASSES)
    assert len({word for _, word, _ in LINES}) == len(LINES)


def test_each_instruction_is_of_its_class(harness: Path) -> None:
    found = run(harness, "class", *(word for _, word, _ in LINES))
    wrong = {text: f"{got}, not {name}" for (name, _, text), got in zip(LINES, found, strict=True) if got != name}
    assert wrong == {}


def test_the_encodings_are_those_of_an_assembler(tmp_path: Path) -> None:
    if shutil.which(ASSEMBLER) is None:
        pytest.skip("no assembler for 64-bit ARM here: apt-get install binutils-aarch64-linux-gnu")
    text = "\n".join([ARCHITECTURE, *(line for _, _, line in LINES), ""])
    built, raw = tmp_path / "all.o", tmp_path / "all.bin"
    subprocess.run([ASSEMBLER, "-o", str(built)], input=text, text=True, check=True)
    subprocess.run(["aarch64-linux-gnu-objcopy", "-O", "binary", "-j", ".text", str(built), str(raw)], check=True)
    content = raw.read_bytes()
    words = [int.from_bytes(content[i : i + 4], "little") for i in range(0, len(content), 4)]
    assert [f"{word:08x}" for word in words] == [word for _, word, _ in LINES]


def test_what_is_executed_between_two_marks_is_counted_by_class(harness: Path, tmp_path: Path) -> None:
    word = {text: word for _, word, text in LINES}
    block = ["ldr q0, [x1]", "ldr q0, [x1]", "sdot v0.4s, v1.16b, v2.16b", "add x0, x1, x2", "b.ne .-16"]
    out = tmp_path / "counts.jsonl"
    run(harness, "count", str(out), *(word[text] for text in block))
    once = {**dict.fromkeys(CLASSES, 0), "load": 2, "dot": 1, "other": 1, "branch": 1}
    first, second = map(json.loads, out.read_text(encoding="ascii").splitlines())
    assert first == {"mark": 1, **{name: 2 * value for name, value in once.items()}}
    assert second == {"mark": 2, **once}
    assert tuple(first)[1:] == CLASSES


def test_a_file_that_cannot_be_written_stops_the_plugin(harness: Path, tmp_path: Path) -> None:
    done = subprocess.run([str(harness), "count", str(tmp_path / "no" / "file"), "d503201f"], check=False)
    assert done.returncode == 1

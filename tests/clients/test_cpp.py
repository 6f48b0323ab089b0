"""The C++ client: compiled as strictly as a compiler goes, run on ONNX Runtime, and asked what Python answers."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
from collections.abc import Callable, Iterable, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from edgebert import environments, exporting
from edgebert.clients import cpp
from edgebert.device import ask as device_code
from edgebert.device.tokenizer import Tokenizer
from edgebert.errors import InputError, SurroundingsError
from edgebert.opening import open_bundle
from tests import stress, toy
from tests.clients import bundles
from tests.conftest import ROOT
from tests.device import test_tokenizer as device
from tests.device.test_bundle import change_manifest

SOURCES = Path(__file__).parent / "cpp"
STRICT = ["-std=c++17", "-Wall", "-Wextra", "-Werror", "-pedantic"]
SANITIZED = ["-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
SAME = 1e-4  # of scores
KB = 1000


@pytest.fixture(scope="module")
def runtime(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """ONNX Runtime as its release archives are: `include`, and `lib` with the wheel's library."""
    if shutil.which("g++") is None:
        pytest.skip("g++ is not installed; make system-deps")
    try:
        headers = environments.place_of("onnxruntime-headers")
    except SurroundingsError as error:
        pytest.skip(str(error))
    files = metadata.files("onnxruntime") or []
    [library] = [Path(str(one.locate())) for one in files if one.name.startswith("libonnxruntime.so.")]
    folder = tmp_path_factory.mktemp("onnxruntime")
    (folder / "include").symlink_to(headers / "include")
    (folder / "lib").mkdir()
    for name in ("libonnxruntime.so", "libonnxruntime.so.1"):
        (folder / "lib" / name).symlink_to(library)
    return folder


@pytest.fixture(scope="module")
def probe(runtime: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tests' own program, which stops at any fault that the sanitizers see."""
    folder = tmp_path_factory.mktemp("probe")
    (folder / cpp.HEADER).write_text(cpp.header(), encoding="utf-8")
    include, library = runtime / "include", runtime / "lib"
    command = ["g++", *STRICT, *SANITIZED, f"-I{folder}", "-isystem", include, SOURCES / "probe.cpp"]
    command += ["-o", folder / "probe", f"-L{library}", "-lonnxruntime", f"-Wl,-rpath,{library}"]
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder / "probe"


@pytest.fixture(scope="module")
def sample(runtime: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample of an exported client, built with its own CMakeLists.txt."""
    if shutil.which("cmake") is None:
        pytest.skip("cmake is not installed; make system-deps")
    folder = tmp_path_factory.mktemp("client")
    exporting.export([bundles.write(folder / "bundle", "regression")], "cpp", folder / "out")
    options = [f"-DONNXRUNTIME_ROOT={runtime}", "-DCMAKE_BUILD_TYPE=Release"]
    for command in (["-S", folder / "out", "-B", folder / "build", *options], ["--build", folder / "build"]):
        done = subprocess.run(["cmake", *map(str, command)], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    return folder / "build" / "edgebert_sample"


def hexed(*texts: str) -> str:
    return "\t".join(text.encode().hex() for text in texts)


def ask(program: Path, *arguments: object, lines: Iterable[str]) -> list[str]:
    """Lines that a program answers to lines."""
    given = "".join(f"{line}\n" for line in lines)
    # ONNX Runtime keeps what it allocates once until the process ends.
    done = subprocess.run(
        [program, *map(str, arguments)],
        input=given.encode(),
        capture_output=True,
        env={"ASAN_OPTIONS": "detect_leaks=0"},
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()[:2000]
    return done.stdout.decode().split("\n")[:-1]


def numbers(ids: Iterable[int]) -> str:
    return " ".join(map(str, ids))


def wrong(texts: Sequence[Any], expected: Sequence[str], found: Sequence[str]) -> list[str]:
    """Texts that are answered otherwise."""
    return [ascii(text) for text, one, other in zip(texts, expected, found, strict=True) if one != other]


@pytest.mark.slow
@pytest.mark.parametrize("name", device.NAMES)
def test_no_token_differs_from_the_original_on_hard_and_random_texts(name: str, probe: Path) -> None:
    texts = [*stress.stress(), *stress.random_texts(20_000)]
    found = ask(probe, "ids", device.folder(name), lines=map(hexed, texts))
    original = device.original(name)
    assert wrong(texts, [numbers(original.encode(text).ids) for text in texts], found) == []


@pytest.mark.slow
@pytest.mark.parametrize("name", stress.WHOLE_UNICODE)
def test_no_token_differs_from_the_original_on_any_code_point(name: str, probe: Path) -> None:
    texts = stress.whole_unicode(name)
    found = ask(probe, "ids", device.folder(name), lines=map(hexed, texts))
    original = device.original(name)
    assert wrong(texts, [numbers(original.encode(text).ids) for text in texts], found) == []


@pytest.mark.slow
@pytest.mark.parametrize("name", ["cased", "albert"])
def test_places_pairs_and_windows_are_those_of_the_other_devices(name: str, probe: Path) -> None:
    folder, most, stride = device.folder(name), 24, 5
    ours = Tokenizer(str(folder), most, device.INPUTS)
    texts = [*stress.stress(), *stress.random_texts(1000, seed=8)]
    found = ask(probe, "placed", folder, lines=map(hexed, texts))
    assert (
        wrong(texts, [" ".join("{}:{}:{}:{}".format(*one) for one in ours.placed(t)) for t in texts], found) == []
    )
    pairs = list(zip(texts, texts[7:] + texts[:7], strict=True))
    found = ask(probe, "ids", folder, most, lines=[hexed(*pair) for pair in pairs])
    encoded = [ours.encode(*pair).feeds["input_ids"][0] for pair in pairs]
    assert wrong(pairs, [numbers(ids) for ids in encoded], found) == []
    found = ask(probe, "windows", folder, most, stride, lines=[hexed(*pair) for pair in pairs])
    expected = []
    for question, text in pairs:
        windows = ours.encode_windows(text, stride, question)
        told = [(one.encoding, "!" if one.truncated else "") for one in windows if one.encoding is not None]
        expected.append("".join(f"{numbers(e.ids)}{cut}|{numbers(e.type_ids)}|" for e, cut in told))
    assert wrong(pairs, expected, found) == []


@pytest.mark.slow
def test_ill_formed_utf8_is_a_typed_error_and_nothing_worse(probe: Path) -> None:
    """Ten thousand random strings of bytes, those that UTF-8's rules forbid by one bit among them."""
    draw = random.Random(4)
    parts = ["é", "中", "😀", "a ", "\0", "[MASK]"]
    broken = [
        b"\xc0\x80",
        b"\xed\xa0\x80",
        b"\xf4\x90\x80\x80",
        b"\xe2\x82",
        b"\xff",
        b"\x80",
        b"\xf0\x8f\xbf\xbf",
    ]
    given = []
    for i in range(10_000):
        whole = b"".join(draw.choice(parts).encode() for _ in range(draw.randint(0, 12)))
        where = draw.randint(0, len(whole))
        odd = b"" if i % 4 == 0 else draw.choice(broken) if i % 2 else draw.randbytes(draw.randint(1, 4))
        given.append(whole[:where] + odd + whole[where:])
    found = ask(probe, "ids", device.folder("uncased"), lines=[one.hex() for one in given])
    ours = Tokenizer(str(device.folder("uncased")), 1 << 30, device.INPUTS)
    expected = []
    for one in given:
        try:
            expected.append(numbers(ours.encode(one.decode()).feeds["input_ids"][0]))
        except UnicodeDecodeError:
            expected.append("TextError")
    assert 1000 < expected.count("TextError") < 9000
    assert wrong(given, expected, found) == []


@pytest.mark.slow
@pytest.mark.parametrize("name", ["uncased", "albert, charsmap"])
def test_a_damaged_table_is_a_typed_error_and_nothing_worse(name: str, probe: Path) -> None:
    whole = (device.folder(name) / "tokenizer.bin").read_bytes()
    draw = random.Random(6)
    cut = [whole[: draw.randrange(len(whole))] for _ in range(150)]
    newer = whole[:4] + b"\2" + whole[5:]
    changed = []
    for _ in range(150):
        other = bytearray(whole)
        for _ in range(draw.randint(1, 3)):
            other[draw.randrange(5, len(other))] ^= 1 << draw.randrange(8)
        changed.append(bytes(other))
    found = ask(
        probe, "tables", device.folder(name), lines=[one.hex() for one in [whole, newer, b"", *cut, *changed]]
    )
    assert found[:3] == ["opened", "BundleTooNew", "FileDamaged"]
    assert set(found[3:153]) == {"FileDamaged"}
    assert set(found[153:]) <= {"FileDamaged", "BundleTooNew", "opened"}


def told(program: Path, bundle: Path, rows: Iterable[Any]) -> list[Any]:
    """The sample's answers."""
    return [json.loads(line) for line in ask(program, bundle, lines=map(json.dumps, rows))]


def differences(expected: Any, found: Any, where: str = "") -> list[str]:
    """Where two answers differ; numbers that are close do not."""
    if isinstance(expected, float) and isinstance(found, int | float):
        return [] if abs(expected - found) <= SAME else [f"{where}: {expected} {found}"]
    if type(expected) is not type(found):
        return [f"{where}: {expected!r} {found!r}"]
    if isinstance(expected, dict):
        if expected.keys() != found.keys():
            return [f"{where}: {sorted(expected)} {sorted(found)}"]
        return [one for key in expected for one in differences(expected[key], found[key], f"{where}.{key}")]
    if isinstance(expected, list) and len(expected) == len(found):
        pairs = enumerate(zip(expected, found, strict=True))
        return [one for i, pair in pairs for one in differences(*pair, f"{where}[{i}]")]
    return [] if expected == found else [f"{where}: {expected!r} {found!r}"]


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "decoding"), bundles.SETTINGS)
def test_every_task_is_answered_as_python_does(
    kind: str, decoding: dict[str, Any], sample: Path, tmp_path: Path
) -> None:
    bundle = bundles.write(tmp_path / "bundle", kind, **decoding)
    rows = bundles.rows(kind, 60, **decoding)
    expected = open_bundle(bundle).predict(rows)
    assert differences(expected, told(sample, bundle, rows)) == []


@pytest.mark.slow
def test_a_unigram_tokenizer_answers_as_python_does(sample: Path, tmp_path: Path) -> None:
    bundle = bundles.write(tmp_path / "bundle", "token-classification", "albert")
    rows = bundles.rows("token-classification", 60)
    # As all devices do: the original misplaces ends of words behind characters that Unicode does not know.
    expected = device_code.answers(str(bundle), [json.dumps(row) for row in rows])["predictions"]
    assert differences(expected, told(sample, bundle, rows)) == []


@pytest.mark.slow
def test_a_bundle_as_built_gives_the_same_int8_answers(sample: Path, bundle: Path) -> None:
    lines = (ROOT / "recipes/data/home-intents/test.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line)["text"] for line in lines[:200]]
    rows += [row["text"] for row in toy.rows(100, 21)]
    expected = open_bundle(bundle).predict(rows)
    found = [json.loads(line) for line in ask(sample, bundle, "2", lines=rows)]
    assert [one["label"] for one in found] == [one["label"] for one in expected]
    assert differences(expected, found) == []
    [timed] = [json.loads(line) for line in ask(sample, bundle, "--bench", lines=rows[:20])]
    assert timed["texts"] == 20 and timed["answered_a_second"] > 0


@pytest.mark.slow
def test_offsets_are_bytes_too_and_threads_do_not_disturb_each_other(probe: Path, tmp_path: Path) -> None:
    bundle = bundles.write(tmp_path / "bundle", "token-classification")
    texts = [row["text"] for row in bundles.rows("token-classification", 40) if "text" in row]
    assert ask(probe, "threads", bundle, 4, lines=map(hexed, texts)) == ["0"]
    found = ask(probe, "bytes", bundle, lines=map(hexed, texts))
    cuts = [
        "|".join(one["text"].encode().hex() for one in answer["entities"])
        for answer in open_bundle(bundle).predict(texts)
    ]
    assert any(cuts)
    assert wrong(texts, cuts, found) == []


def spoiled(change: Callable[[dict[str, Any]], None]) -> Callable[[Path], object]:
    return lambda folder: change_manifest(folder, change)


def cut_model(folder: Path) -> None:
    whole = (folder / bundles.FILE).read_bytes()
    (folder / bundles.FILE).write_bytes(whole[: len(whole) // 2])


def other_model(folder: Path) -> None:
    size = (folder / bundles.FILE).stat().st_size
    (folder / bundles.FILE).write_bytes(b"\xff" * size)


SPOILED: list[tuple[str, Callable[[Path], object]]] = [
    ("FileMissing", lambda folder: (folder / "tokenizer.bin").unlink()),
    ("FileMissing", lambda folder: (folder / "vocab.txt").unlink()),
    ("FileMissing", lambda folder: (folder / "manifest.json").unlink()),
    ("FileMissing", lambda folder: (folder / bundles.FILE).unlink()),
    ("FileDamaged", lambda folder: (folder / "tokenizer.bin").write_bytes(b"a foreign file")),
    ("FileDamaged", lambda folder: (folder / "manifest.json").write_text('{"schema": 1, "task": ')),
    ("FileDamaged", lambda folder: (folder / "manifest.json").write_text("[" * 100_000)),
    ("FileDamaged", lambda folder: (folder / "vocab.txt").write_bytes(b"\xff\n")),
    ("FileDamaged", cut_model),
    ("ModelError", other_model),
    ("FileDamaged", spoiled(lambda manifest: manifest["models"].clear())),
    ("FileDamaged", spoiled(lambda manifest: manifest["decoding"].pop("max_tokens"))),
    ("FileDamaged", spoiled(lambda manifest: manifest["decoding"].update(threshold="high"))),
    ("FileDamaged", spoiled(lambda manifest: manifest["labels"].append(3))),
    ("BundleTooNew", spoiled(lambda manifest: manifest.update(schema=2))),
    ("TaskNotServed", spoiled(lambda manifest: manifest.update(task="fill-mask"))),
]


@pytest.mark.slow
def test_what_is_wrong_with_a_bundle_is_a_typed_error(probe: Path, tmp_path: Path) -> None:
    whole = bundles.write(tmp_path / "whole", "text-classification")
    assert ask(probe, "open", whole, lines=[]) == ["text-classification"]
    assert ask(probe, "open", tmp_path / "nowhere", lines=[]) == ["FileMissing"]
    found = []
    for number, (_, spoil) in enumerate(SPOILED):
        folder = Path(shutil.copytree(whole, tmp_path / str(number)))
        spoil(folder)
        found += ask(probe, "open", folder, lines=[])
    assert found == [kind for kind, _ in SPOILED]


@pytest.mark.slow
def test_texts_that_cannot_be_answered_are_typed_errors_and_long_ones_are_cut(
    probe: Path, sample: Path, tmp_path: Path
) -> None:
    bundle = bundles.write(tmp_path / "bundle", "text-classification")
    long = "the day is good " * (1_000_000 // 16)
    for name, texts in {"empty": "", "blank": " \t\u2003\x1c", "lone surrogate": "a\ud800"}.items():
        line = texts.encode("utf-8", "surrogatepass").hex()
        assert ask(probe, "ask", bundle, lines=[line]) == ["TextError"], name
    for text in (long, "a" * 1_000_000, "中" * 300_000, "\u0301" * 100_000):
        [found] = ask(probe, "ask", bundle, lines=[hexed(text)])
        assert differences(open_bundle(bundle).predict([text]), [json.loads(found)]) == []
    unigram = bundles.write(tmp_path / "unigram", "text-classification", "albert")
    [found] = ask(probe, "ask", unigram, lines=[hexed("a" * 1_000_000)])
    assert json.loads(found)["truncated"]
    for row, message in {
        '{"text": ""}': "row 1: text is empty",
        '{"text": "\\ud800"}': "row 1: is not well-formed Unicode: a lone surrogate at byte 16",
        '{"other": "a"}': "row 1: no column 'text'",
        '{"text": 3}': "row 1: text is not text",
    }.items():
        done = subprocess.run([sample, bundle], input=row, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr.strip(), done.stdout) == (2, message, "")
    pairs = bundles.write(tmp_path / "pairs", "sentence-pairs")
    done = subprocess.run([sample, pairs], input="one text", capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.strip()) == (
        2,
        "row 1: is plain text; sentence-pairs reads two: give a JSON object",
    )


@pytest.mark.slow
def test_json_is_read_as_python_reads_it(probe: Path) -> None:
    good = [
        '{"a": [1, -2.5e3, true, null, "\\u00e9\\ud83d\\ude00\\n\\"/"], "b": {}}',
        " [ ] ",
        "0",
        '"\x7f"',
        "1e400",
    ]
    bad = [
        "",
        "{",
        "[1,]",
        "01",
        "1.",
        "-",
        '"a',
        '"\\x"',
        '"\\u12"',
        "tru",
        "[1 2]",
        '{"a" 1}',
        "nul",
        '{"a": 1} 2',
    ]
    found = ask(probe, "json", lines=map(hexed, good + bad))
    assert [json.loads(one) for one in found[:4]] == [json.loads(one) for one in good[:4]]
    assert found[5:] == ["JsonError"] * len(bad)


CALLS = {
    "text-classification": "classify(",
    "multi-label": "labels_that_hold(",
    "sentence-pairs": "classify(",
    "regression": "rate(",
    "token-classification": "entities(",
    "question-answering": "answer(",
    "feature-extraction": "embed(",
}


@pytest.mark.parametrize("kind", bundles.KINDS)
def test_an_export_is_little_code_and_tells_how_the_task_is_asked(kind: str, tmp_path: Path) -> None:
    told = exporting.export([bundles.write(tmp_path / "bundle", kind)], "cpp", tmp_path / "out")
    files = [path for path in (tmp_path / "out").iterdir() if path.is_file()]
    assert {"edgebert.hpp", "sample.cpp", "CMakeLists.txt", "README.md"} <= {path.name for path in files}
    assert sum(path.stat().st_size for path in files) <= 100 * KB
    assert (tmp_path / "out" / "bundle" / bundles.FILE).is_file()
    assert "edgebert.hpp" in told["next"][0]
    page = (tmp_path / "out" / "README.md").read_text(encoding="utf-8")
    assert f"bundle.{CALLS[kind]}" in page and str(tmp_path) not in page


def test_the_header_is_all_parts_and_includes_none() -> None:
    parts = {path.name for path in (ROOT / "edgebert/clients/cpp/parts").iterdir()}
    assert '#include "' not in cpp.header() and cpp.header().count("#pragma once") == 1
    assert parts == {name for name in parts if f"// {first_line(name)}" in cpp.header()}


def test_a_task_that_is_not_served_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    bundle = bundles.write(tmp_path / "bundle", "text-classification")
    change_manifest(bundle, lambda manifest: manifest.update(task="fill-mask"))
    with pytest.raises(InputError, match="its task is fill-mask; the cpp client serves text-classification, "):
        exporting.export([bundle], "cpp", tmp_path / "out")


def first_line(part: str) -> str:
    """What a part says that it is."""
    return (
        (ROOT / "edgebert/clients/cpp/parts" / part)
        .read_text(encoding="utf-8")
        .splitlines()[0]
        .removeprefix("// ")
    )

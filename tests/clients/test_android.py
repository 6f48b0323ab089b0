"""The Android client on a desktop's JVM: tokens and answers are Python's, and bad input is a typed error."""

from __future__ import annotations

import json
import random
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from edgebert import exporting, opening
from edgebert.device.tokenizer import TABLE, VOCABULARY
from edgebert.errors import InputError
from edgebert.tokenization import Encoder
from tests import kotlin, stress
from tests.clients import untrained
from tests.conftest import ROOT, Built
from tests.device.test_bundle import change_manifest, reseal
from tests.device.test_tokenizer import INPUTS, NAMES, NO_MARKS, folder, original

pytestmark = pytest.mark.slow
CLI, PROBE, PHONE, OPEN = (
    "edgebert.cli.MainKt",
    *(f"edgebert.tests.{name}Kt" for name in ("Probe", "Phone", "Open")),
)
SERVED = [
    "feature_extraction",
    "multi_label",
    "question_answering",
    "regression",
    "sentence_pairs",
    "text_classification",
    "token_classification",
]
FP32 = 1e-4  # of logits, so of probabilities and scores too
MOST_SOURCES = 100_000  # bytes


@pytest.fixture(scope="session")
def jvm() -> kotlin.Compiled:
    return kotlin.compiled()


def written(texts: Sequence[str | tuple[str, str]], path: Path) -> Path:
    """Texts, or pairs, as the probe reads them."""
    parts = [(one,) if isinstance(one, str) else one for one in texts]
    path.write_text("".join("\t".join(text.encode().hex() for text in part) + "\n" for part in parts))
    return path


@pytest.mark.parametrize("name", NAMES)
def test_no_token_differs(name: str, jvm: kotlin.Compiled, tmp_path: Path) -> None:
    """Hard texts and random ones; for a table of each make every code point in a text."""
    texts = [*stress.stress(), *stress.random_texts(20_000)]
    texts += stress.whole_unicode(name)
    found = jvm.lines(PROBE, folder(name), written(texts, tmp_path / "texts"))
    expected = original(name).encode_batch(texts, add_special_tokens=False)
    pairs = zip(texts, found, expected, strict=True)
    assert [ascii(text) for text, ours, theirs in pairs if ours != " ".join(map(str, theirs.ids))] == []


@pytest.mark.parametrize("name", ["uncased", "albert"])
def test_tokens_are_where_they_are(name: str, jvm: kotlin.Compiled, tmp_path: Path) -> None:
    texts = [*stress.stress(), *stress.random_texts(2000)]
    texts = [text for text in texts if text.isprintable() and not any(mark in text for mark in NO_MARKS)]
    found = jvm.lines(PROBE, folder(name), written(texts, tmp_path / "texts"), "512", "places")
    expected = original(name).encode_batch(texts, add_special_tokens=False)
    for text, ours, theirs in zip(texts, found, expected, strict=True):
        triples = zip(theirs.ids, theirs.offsets, theirs.word_ids, strict=True)
        places = " ".join(f"{number}:{start}:{end}:{word}" for number, (start, end), word in triples)
        assert ours == places, ascii(text)


@pytest.mark.parametrize("name", ["uncased", "albert"])
@pytest.mark.parametrize("most", [8, 17])
def test_texts_and_pairs_are_cut_alike(name: str, most: int, jvm: kotlin.Compiled, tmp_path: Path) -> None:
    chance = random.Random(most)
    words = ["the", "living", "room", "unaffable", "[MASK]", "café", "中文", "x", "it's"]
    drawn = [tuple(" ".join(chance.choices(words, k=chance.randint(0, 30))) for _ in range(2)) for _ in range(200)]
    texts: list[str | tuple[str, str]] = [*((one, two) for one, two in drawn), *(one for one, _ in drawn)]
    found = jvm.lines(PROBE, folder(name), written(texts, tmp_path / "texts"), str(most))
    encoder = Encoder(folder(name), most, INPUTS)
    for given, ours in zip(texts, found, strict=True):
        theirs = encoder.encode(*([given] if isinstance(given, str) else given))
        assert ours == " ".join(map(str, theirs.feeds["input_ids"][0].tolist()))


@pytest.fixture(scope="module")
def toys(bundle: Path, toy_model: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    room = tmp_path_factory.mktemp("tasks")
    return {name: untrained.fp32(name, bundle, toy_model, room / name) for name in SERVED}


@pytest.mark.parametrize("name", SERVED)
def test_every_task_is_answered_as_python_does(name: str, jvm: kotlin.Compiled, toys: dict[str, Path]) -> None:
    rows = untrained.questions(name)
    found = jvm.told(CLI, toys[name], given="".join(json.dumps(row) + "\n" for row in rows))
    expected = opening.open_bundle(toys[name]).predict(rows)
    for row, ours, theirs in zip(rows, found, expected, strict=True):
        assert untrained.gap(theirs, ours) < FP32, (row, theirs, ours)
    if name == "question_answering":
        assert {bool(one["answer"]) for one in found} == {True, False}


def demo_texts(count: int) -> list[str]:
    lines = (ROOT / "recipes" / "data" / "home-intents" / "test.jsonl").read_text(encoding="utf-8").split("\n")
    return [json.loads(line)["text"] for line in lines[:count]]


def test_the_int8_file_gives_the_same_answers(bundle: Path, jvm: kotlin.Compiled) -> None:
    texts = demo_texts(200)
    found = jvm.told(CLI, bundle, given="\n".join(texts))
    expected = opening.open_bundle(bundle).predict(texts)
    assert [one["label"] for one in found] == [one["label"] for one in expected]
    assert [one["in_scope"] for one in found] == [one["in_scope"] for one in expected]
    assert max(map(untrained.gap, expected, found)) < 1e-6


def test_bad_texts_are_typed_errors_and_the_others_are_answered(bundle: Path, jvm: kotlin.Compiled) -> None:
    lines = [
        "",
        " \u3000",
        '{"text": "a \\ud800 b"}',
        '{"other": "a"}',
        '{"text": 3}',
        "a sunny day",
        "sun " * 300_000,
    ]
    done = jvm.run(CLI, bundle, given="\n".join(lines))
    told = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 2
    assert [one.get("error") for one in told] == ["InvalidText"] * 5 + [None, None]
    assert [one.get("truncated") for one in told[5:]] == [False, True]
    assert "lone surrogate at 2" in told[2]["message"]


def test_the_tokenizer_is_fast(jvm: kotlin.Compiled, bundle: Path) -> None:
    [found] = jvm.told(CLI, bundle, "--bench", given="\n".join(demo_texts(200)))
    assert found["tokenized_per_second"] > 20_000


@pytest.fixture(scope="module")
def exported(built: Built, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Export bundles for targets; "qualcomm-htp" is the ONNX one under that name: a graph that needs no NPU."""
    room = tmp_path_factory.mktemp("exports")
    npu = room / "qualcomm-htp"
    shutil.copytree(built.bundle("raspberry-pi-5"), npu)
    facts = {"name": "qualcomm-htp", "runtime": "onnxruntime-qnn", "accelerator": "npu"}
    change_manifest(npu, lambda manifest: manifest["target"].update(facts))

    def export(*targets: str) -> Path:
        out = room / f"app-{'-and-'.join(targets)}"
        if not out.exists():
            chosen = [npu if target == "qualcomm-htp" else built.bundle(target) for target in targets]
            exporting.export(chosen, "android", out)
        return out

    return export


def phone(project: Path, files: Path) -> dict[str, Any]:
    """Properties of a phone with the project's app and test on it."""
    sources = project / "edgebert" / "src"
    worker = "\t".join([sys.executable, str(kotlin.STAND_INS / "interpreter.py")])
    assets = {"assets": sources / "main" / "assets", "test.assets": sources / "androidTest" / "assets"}
    return {**assets, "files": files, "litert": worker}


@pytest.mark.parametrize(
    ("targets", "npu", "backend"),
    [
        (["raspberry-pi-5"], False, "ONNX Runtime, CPU"),
        (["android-cpu"], False, "LiteRT, CPU"),
        (["android-cpu", "qualcomm-htp"], False, "LiteRT, CPU"),
        (["android-cpu", "qualcomm-htp"], True, "ONNX Runtime, NPU (QNN)"),
    ],
)
def test_the_library_opens_assets_and_says_what_runs(
    targets: list[str],
    npu: bool,
    backend: str,
    exported: Callable[..., Path],
    built: Built,
    jvm: kotlin.Compiled,
    tmp_path: Path,
) -> None:
    project, files = exported(*targets), tmp_path / "files"
    given = phone(project, files) | {"npu": str(npu).lower(), "assets": tmp_path / "assets"}
    shutil.copytree(phone(project, files)["assets"], given["assets"])
    texts = demo_texts(40)
    (files / "edgebert" / "of-an-older-app").mkdir(parents=True)
    [told] = jvm.told(PHONE, given="\n".join(texts), properties=given)
    assert told["backend"] == backend
    refused = (
        ["qualcomm-htp: 'onnx/model_quantized.onnx' cannot be opened"] if len(targets) > 1 and not npu else []
    )
    assert [line.partition(" in ONNX")[0] for line in told["passed_over"]] == refused
    shipped = built.bundle("raspberry-pi-5" if npu else targets[0])
    expected = [
        {"label": one["label"], "score": one["score"]} for one in opening.open_bundle(shipped).predict(texts)
    ]
    assert max(map(untrained.gap, expected, told["answers"])) < 1e-6
    assert told["after"] == "Closed"
    listed = json.loads((given["assets"] / "edgebert" / "bundles.json").read_text())
    copies = {path.name for path in (files / "edgebert").iterdir()}
    assert copies and copies <= {one["digest"] for one in listed}
    assert not list(files.rglob("*.part")) and not (files / "edgebert" / "of-an-older-app").exists()
    for path in given["assets"].rglob("model*.*"):
        path.rename(path.with_suffix(".away"))  # what was copied once is not asked for again
    [again] = jvm.told(PHONE, given="\n".join(texts), properties=given)
    assert again == told


@pytest.mark.parametrize("target", ["raspberry-pi-5", "android-cpu"])
def test_the_instrumented_test_passes_and_can_fail(
    target: str, exported: Callable[..., Path], jvm: kotlin.Compiled, tmp_path: Path
) -> None:
    given = phone(exported(target), tmp_path / "files")
    [told] = jvm.told(PHONE, "golden", properties=given)
    assert len(told) == 3 and set(told.values()) == {"passed"}
    assets = tmp_path / "other"
    shutil.copytree(given["test.assets"], assets)
    golden = assets / "golden" / f"{target}.jsonl"
    rows = [json.loads(line) for line in golden.read_text(encoding="utf-8").splitlines()]
    rows[0]["outputs"]["logits"][0] += 2 * rows[0]["tolerance"] + 1
    rows[1]["inputs"]["text"] += " again"
    golden.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    [told] = jvm.told(PHONE, "golden", properties={**given, "test.assets": assets})
    assert sorted(line.partition(" ")[0] == "passed" for line in told.values()) == [False, False, True]


def damaged(sound: Path, out: Path, name: str, change: Callable[[Path], object], sealed: bool = True) -> Path:
    """A copy in which a file was changed, before the bundle was sealed or after."""
    shutil.copytree(sound, out)
    change(out / name)
    if sealed:
        reseal(out)
    return out


def halve(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def test_bad_bundles_are_typed_errors(
    bundle: Path, exported: Callable[..., Path], jvm: kotlin.Compiled, tmp_path: Path
) -> None:
    model = "onnx/model_quantized.onnx"
    made: list[tuple[str, Path]] = []

    def case(kind: str, name: str, change: Callable[[Path], object], sealed: bool = True) -> None:
        made.append((kind, damaged(bundle, tmp_path / f"case-{len(made)}", name, change, sealed)))

    def told(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], object]:
        def apply(manifest: dict[str, Any]) -> None:
            change(manifest)

        return lambda path: change_manifest(path.parent, apply)

    case("Damaged", model, halve, sealed=False)
    case("ModelFailed", model, halve)
    case("ModelFailed", model, lambda path: path.write_bytes(b""))
    case("MissingFile", model, lambda path: path.unlink())
    case("MissingFile", "manifest.json", lambda path: path.unlink())
    case("Damaged", "manifest.json", halve)
    case("Damaged", "manifest.json", lambda path: path.write_text("[" * 100_000))
    case("Damaged", "manifest.json", told(lambda manifest: manifest.pop("decoding")))
    case("NewerBundle", "manifest.json", told(lambda manifest: manifest.update(schema=2)))
    case("UnsupportedTask", "manifest.json", told(lambda manifest: manifest.update(task="fill-mask")))
    case("MissingFile", TABLE, lambda path: path.unlink())
    case("Damaged", TABLE, lambda path: path.write_bytes(b"\x89PNG\r\n"))
    case("NewerBundle", TABLE, lambda path: path.write_bytes(b"EBTK\x02" + path.read_bytes()[5:]))
    for count in (0, 3, 5, 9, 40, 1000):
        case("Damaged", TABLE, lambda path, count=count: path.write_bytes(path.read_bytes()[:count]))  # type: ignore[misc]
    case("Damaged", VOCABULARY, lambda path: path.write_text("one\n"), sealed=False)
    assets = phone(exported("raspberry-pi-5"), tmp_path)["assets"]
    for kind, name, change in (
        ("MissingFile", "edgebert/bundles.json", Path.unlink),
        ("MissingFile", f"edgebert/raspberry-pi-5/{model}", Path.unlink),
        ("Damaged", f"edgebert/raspberry-pi-5/{model}", halve),
        ("Damaged", "edgebert/raspberry-pi-5/tokenizer.bin", halve),
    ):
        out = tmp_path / f"case-{len(made)}"
        shutil.copytree(assets, out)
        change(out / name)
        made.append((kind, out))
    found = jvm.told(OPEN, tmp_path / "files", bundle, *(path for _, path in made))
    assert found[0] == {"backend": "ONNX Runtime, CPU"}
    assert [(one.get("error"), one.get("message")) for one in found[1:]] == [
        (kind, one.get("message")) for (kind, _), one in zip(made, found[1:], strict=True)
    ]
    assert all(one["message"] for one in found[1:])
    assert not [path for path in (tmp_path / "files").rglob("*") if path.is_file()]


def test_an_export_holds_what_the_phone_needs_and_its_sources_are_small(exported: Callable[..., Path]) -> None:
    pair = exported("android-cpu", "qualcomm-htp")
    assets = pair / "edgebert" / "src" / "main" / "assets" / "edgebert"
    listed = json.loads((assets / "bundles.json").read_text())
    assert [one["folder"] for one in listed] == ["qualcomm-htp", "android-cpu"]
    present = {path.relative_to(assets).as_posix() for path in assets.rglob("*") if path.is_file()}
    assert present == {"bundles.json", *(f"{one['folder']}/{name}" for one in listed for name in one["files"])}
    library = (pair / "edgebert" / "build.gradle.kts").read_text()
    assert "onnxruntime-android-qnn:" in library and "edge.litert:litert:" in library and "minSdk = 27" in library
    sources = [path for path in pair.rglob("*") if path.suffix in (".kt", ".kts", ".xml", ".pro", ".properties")]
    assert sum(path.stat().st_size for path in sources) <= MOST_SOURCES
    core = [path.read_text() for path in (pair / "core").rglob("*.kt")]
    assert core and not any("import android" in text or "java.nio.file" in text for text in core)
    only = exported("raspberry-pi-5")
    assert not list(only.rglob("LiteRtModel.kt"))
    assert "tflite" not in (only / "edgebert" / "src" / "main" / "kotlin" / "Runtimes.kt").read_text()
    page = (only / "README.md").read_text()
    assert "has not been built with the Android Gradle plugin" in page and "{{" not in page and "{%" not in page


@pytest.mark.parametrize(
    ("first", "second", "told"),
    [
        ("raspberry-pi-5", "android-cpu", "two bundles go together where one is for an NPU; neither of these is"),
        ("qualcomm-htp", "qualcomm-htp", "two bundles go together where one is for an NPU; both of these is"),
    ],
)
def test_bundles_that_do_not_go_together_are_told(
    first: str, second: str, told: str, built: Built, exported: Callable[..., Path], tmp_path: Path
) -> None:
    npu = exported("qualcomm-htp").parent / "qualcomm-htp"
    chosen = [npu if target == "qualcomm-htp" else built.bundle(target) for target in (first, second)]
    with pytest.raises(InputError, match=told):
        exporting.export(chosen, "android", tmp_path / "out")


def test_two_bundles_of_other_labels_do_not_go_together(
    built: Built, exported: Callable[..., Path], tmp_path: Path
) -> None:
    npu = exported("android-cpu", "qualcomm-htp").parent / "qualcomm-htp"
    other = Path(shutil.copytree(built.bundle("raspberry-pi-5"), tmp_path / "other"))
    change_manifest(other, lambda manifest: manifest.update(labels=["no", "yes", "maybe"]))
    with pytest.raises(InputError, match="they differ in labels"):
        exporting.export([npu, other], "android", tmp_path / "out")

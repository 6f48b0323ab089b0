"""Android: a Gradle project with a Kotlin library, a sample app, and a test that replays golden rows."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from edgebert.clients import DECODED, Checked, copy
from edgebert.errors import InputError
from edgebert.manifest import Manifest

ABOUT = "a Gradle project: Kotlin library, sample app, test on the phone; ONNX Runtime, LiteRT or the NPU by QNN"
FORMATS: tuple[str, ...] = ("onnx", "tflite")
TASKS: tuple[str, ...] = DECODED
RUNTIMES: tuple[str, ...] = ("onnxruntime", "onnxruntime-qnn", "litert")
MOST = 2
NEEDS: dict[str, str] = {"jinja2": "build"}

PROJECT = Path(__file__).parent / "project"
ONNXRUNTIME, LITERT = "1.29.0", "2.3.0"  # of Maven; the first ONNX Runtime for 16 KB pages throughout is 1.27
_LITERT_SOURCE = "LiteRtModel.kt"  # compiles with LiteRT alone
_COLUMNS = {
    "sentence-pairs": ("text", "text_pair"),
    "question-answering": ("question", "context"),
}
_CALLS = {  # what one asks, and the type of the answer
    "text-classification": ('classify("...")', "Classification"),
    "sentence-pairs": ('classify("...", "...")', "Classification"),
    "regression": ('score("...")', "Score"),
    "token-classification": ('entities("...")', "Entities"),
    "question-answering": ('answer("question", "context")', "Found"),
    "feature-extraction": ('embed("...")', "FloatArray"),
}


def write(bundles: Sequence[Checked], out: Path) -> list[str]:
    """Write the project. Raises InputError for two bundles that are not one model for an NPU and for the CPU."""
    ordered = sorted(bundles, key=lambda one: not _on_npu(one.manifest))
    if len(ordered) == 2:
        _check_pair(*ordered)
    assets = out / "edgebert" / "src" / "main" / "assets" / "edgebert"
    listed = [_write_assets(bundle, assets) for bundle in ordered]
    (assets / "bundles.json").write_text(json.dumps(listed, indent=1), encoding="utf-8")
    for bundle in ordered:
        golden = out / "edgebert" / "src" / "androidTest" / "assets" / "golden"
        golden.mkdir(parents=True, exist_ok=True)
        text = (bundle.folder / "golden.jsonl").read_text(encoding="utf-8")
        (golden / f"{bundle.manifest.target.name}.jsonl").write_text(text, encoding="utf-8")
    render(facts([bundle.manifest for bundle in ordered], listed), out)
    return [
        "open the folder in Android Studio and run 'app' (see its README.md)",
        "replay the golden rows on your phone: gradle :edgebert:connectedAndroidTest",
        "it was never built with the Android Gradle plugin here",
    ]


def facts(manifests: Sequence[Manifest], listed: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """What varies from one export to another, for the templates."""
    first = manifests[0]
    formats = sorted({one.file().format for one in manifests})
    npu = any(map(_on_npu, manifests))
    runtimes, names = [], []
    if "onnx" in formats:
        runtimes.append(f"com.microsoft.onnxruntime:onnxruntime-android{'-qnn' if npu else ''}:{ONNXRUNTIME}")
        names.append("ONNX Runtime")
    if "tflite" in formats:
        runtimes.append(f"com.google.ai.edge.litert:litert:{LITERT}")
        names.append("LiteRT")
    several = first.decoding.get("multi_label")
    call, answer = ('labels("...")', "Labels") if several else _CALLS[first.task]
    columns = _COLUMNS.get(first.task, ("text",))
    if first.task == "regression" and first.decoding["pairs"]:
        columns, call = ("text", "text_pair"), 'score("...", "...")'
    return {
        "name": first.name,
        "bundles": [{"about": f"the {one.task} bundle for {one.target.name}"} for one in manifests],
        "files": [
            {"name": f"{one['folder']}/{name}", **told} for one in listed for name, told in one["files"].items()
        ],
        "formats": formats,
        "npu": npu,
        "min_sdk": 27 if npu else 24,  # what the runtimes' archives ask for
        "onnxruntime": ONNXRUNTIME,
        "runtimes": runtimes,
        "runtime_names": names,
        "columns": columns,
        "call": call,
        "answer": answer,
    }


def render(told: dict[str, Any], out: Path) -> None:
    """Write the project's sources, those that vary from their templates."""
    import jinja2

    environment = jinja2.Environment(  # noqa: S701  # Kotlin and Markdown, not HTML
        loader=jinja2.FileSystemLoader(PROJECT),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        keep_trailing_newline=True,
    )
    for path in sorted(path for path in PROJECT.rglob("*") if path.is_file()):
        name = path.relative_to(PROJECT).as_posix()
        if path.name == _LITERT_SOURCE and "tflite" not in told["formats"]:
            continue
        text = path.read_text(encoding="utf-8")
        if path.suffix == ".j2":
            text, name = environment.get_template(name).render(told), name.removesuffix(".j2")
        target = out / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")


def _on_npu(manifest: Manifest) -> bool:
    return manifest.target.accelerator == "npu"


def _check_pair(first: Checked, second: Checked) -> None:
    """Raise InputError unless the first is for an NPU and the second the same model for the CPU."""
    one, other = first.manifest, second.manifest
    where = f"{first.folder} and {second.folder}"
    if not _on_npu(one) or _on_npu(other):
        both = "both" if _on_npu(one) else "neither"
        raise InputError(f"{where}: two bundles go together where one is for an NPU; {both} of these is")
    for what in ("task", "labels"):
        if getattr(one, what) != getattr(other, what):
            raise InputError(f"{where}: they differ in {what}: two bundles go together where they are one model's")


def _write_assets(bundle: Checked, out: Path) -> dict[str, Any]:
    """Copy what the phone needs of a bundle; {folder, digest, files: {name: {bytes, sha256}}}."""
    folder = bundle.manifest.target.name
    files = {name: out / folder / name for name in copy(bundle, out / folder)}
    return {
        "folder": folder,
        "digest": bundle.digest,
        "files": {name: {"bytes": path.stat().st_size, "sha256": _sha256(path)} for name, path in files.items()},
    }


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

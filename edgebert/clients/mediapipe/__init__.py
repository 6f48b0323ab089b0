"""The TFLite file that MediaPipe's TextClassifier opens: tokenizer, labels and softmax inside."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from edgebert.clients import Checked
from edgebert.device.tokenizer import VOCABULARY
from edgebert.errors import InputError

ABOUT = "the TFLite file that MediaPipe's TextClassifier opens, in Kotlin, Swift, Python and browsers"
FORMATS: tuple[str, ...] = ("tflite",)
TASKS: tuple[str, ...] = ("text-classification",)
RUNTIMES: tuple[str, ...] = ("litert",)
MOST = 1
NEEDS: dict[str, str] = {"ai_edge_litert": "litert", "flatbuffers": "litert", "jinja2": "build"}

HERE = Path(__file__).parent
PIECES = ("[CLS]", "[SEP]", "[UNK]")  # as MediaPipe's tokenizer looks them up


def write(bundles: Sequence[Checked], out: Path) -> list[str]:
    """One file for the app's assets, and README.md.

    Raises InputError for a bundle whose answers are several labels, or whose texts MediaPipe would cut otherwise
    altogether.
    """
    from edgebert.clients.mediapipe import graph, metadata

    [bundle] = bundles
    if (wrong := _misfit(bundle)) is not None:
        raise InputError(f"{bundle.folder}: {wrong}")
    entry = bundle.manifest.file()
    path = out / f"{asset(bundle.manifest.name)}.tflite"
    model = graph.classifier(bundle.folder / entry.file, max(entry.buckets))
    vocabulary = (bundle.folder / VOCABULARY).read_bytes()
    metadata.write(model, path, bundle.manifest.name, bundle.manifest.labels, vocabulary)
    _write_readme(bundle, path, out)
    return [f"put {path.name} into your app's assets; README.md beside it tells how it is opened"]


def asset(name: str) -> str:
    """A bundle's name as that of a file, in every file system and in Android's assets."""
    return re.sub(r"[^A-Za-z0-9_-]+", "-", name).strip("-") or "classifier"


def _misfit(bundle: Checked) -> str | None:
    """Why MediaPipe's TextClassifier does not serve a bundle, or None."""
    if bundle.manifest.decoding.get("multi_label"):
        return "several of its labels may hold; MediaPipe's TextClassifier tells one: use the android client"
    if strange := [label for label in bundle.manifest.labels if "\n" in label or not label]:
        return f"its label {strange[0]!r} is no line of a labels file"
    tokenizer: dict[str, Any] = json.loads((bundle.folder / "tokenizer.json").read_text(encoding="utf-8"))
    if tokenizer["model"]["type"] != "WordPiece":
        return f"its tokenizer is {tokenizer['model']['type']}; MediaPipe's is WordPiece: use the android client"
    if not (tokenizer["normalizer"] or {}).get("lowercase"):
        return "its tokenizer keeps capital letters, which MediaPipe's never does: use the android client"
    if absent := [piece for piece in PIECES if piece not in tokenizer["model"]["vocab"]]:
        return f"its vocabulary has no {absent[0]}, which MediaPipe looks for: use the android client"
    return None


def _write_readme(bundle: Checked, path: Path, out: Path) -> None:
    import jinja2

    environment = jinja2.Environment(  # noqa: S701  # Markdown, not HTML
        loader=jinja2.FileSystemLoader(HERE), undefined=jinja2.StrictUndefined, trim_blocks=True
    )
    page = environment.get_template("readme.md.j2").render(
        m=bundle.manifest,
        digest=bundle.digest,
        tokens=max(bundle.manifest.file().buckets),
        file=path.name,
        size_mb=path.stat().st_size / 1e6,
    )
    (out / "README.md").write_text(f"{page}\n", encoding="utf-8")

"""A page for browsers and a module for Node: onnxruntime-web beside the bundle, for any static server."""

from __future__ import annotations

import shutil
import string
from collections.abc import Sequence
from pathlib import Path

from edgebert import environments
from edgebert.clients import DECODED, Checked, copy

ABOUT = "a page and a JavaScript module, for browsers and Node"
FORMATS: tuple[str, ...] = ("onnx",)
TASKS: tuple[str, ...] = DECODED
RUNTIMES: tuple[str, ...] = ("onnxruntime",)
MOST = 1
NEEDS: dict[str, str] = {}

SOURCES = Path(__file__).parent
README = "README.md"
# Scripts end in .js: older servers send .mjs as a type that browsers do not run. Node asks for the .mjs by name.
RUNTIME = {
    "ort.wasm.bundle.min.mjs": "ort.wasm.bundle.min.js",
    "ort-wasm-simd-threaded.mjs": "ort-wasm-simd-threaded.mjs",
    "ort-wasm-simd-threaded.wasm": "ort-wasm-simd-threaded.wasm",
}


def write(bundles: Sequence[Checked], out: Path) -> list[str]:
    """Write the page, the module, the runtime and the bundle; how to serve them. Raises SurroundingsError."""
    [bundle] = bundles
    package = environments.place_of("web") / "node_modules" / "onnxruntime-web" / "dist"
    passed = shutil.ignore_patterns("__init__.py", "__pycache__", README)
    shutil.copytree(SOURCES, out, ignore=passed, dirs_exist_ok=True)
    (out / "ort").mkdir()
    for name, copied in RUNTIME.items():
        shutil.copyfile(package / name, out / "ort" / copied)
    copy(bundle, out / "bundle")
    (out / README).write_text(_readme(bundle, out), encoding="utf-8")
    return ["serve it, in that folder: python3 -m http.server", "and open http://localhost:8000 in a browser"]


def _readme(bundle: Checked, out: Path) -> str:
    def size(folder: str) -> str:
        files = [path for path in (out / folder).rglob("*") if path.is_file()]
        return f"{sum(path.stat().st_size for path in files) / 1e6:.1f} MB"

    template = string.Template((SOURCES / README).read_text(encoding="utf-8"))
    return template.substitute(
        name=bundle.manifest.name,
        task=bundle.manifest.task,
        digest=bundle.digest,
        ort=size("ort"),
        bundle=size("bundle"),
        whole=size("."),
    )

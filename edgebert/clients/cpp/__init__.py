"""C++17: one header, a sample and CMake, against ONNX Runtime's C++ API."""

from __future__ import annotations

import functools
import itertools
import re
import shutil
import textwrap
import unicodedata
from collections.abc import Sequence
from pathlib import Path

from edgebert.clients import DECODED, Checked, copy

ABOUT = "C++17: one header, a sample program and CMake, on ONNX Runtime"
FORMATS: tuple[str, ...] = ("onnx",)
TASKS: tuple[str, ...] = DECODED
RUNTIMES: tuple[str, ...] = ("onnxruntime",)
MOST = 1
NEEDS: dict[str, str] = {"jinja2": "build"}

HEADER = "edgebert.hpp"
FILES = ("sample.cpp", "CMakeLists.txt")
HERE = Path(__file__).parent
LAST_PART, RANGES = "bundle.hpp", "unicode_ranges.hpp"
OWN_INCLUDE = re.compile(r'#include "([\w.]+)"\n')
SYSTEM_INCLUDE = re.compile(r"#include <([\w.]+)>\n")


def write(bundles: Sequence[Checked], out: Path) -> list[str]:
    """The header, its sample, CMakeLists.txt and README.md, and in `bundle` what they read of the bundle."""
    [bundle] = bundles
    (out / HEADER).write_text(header(), encoding="utf-8")
    for name in FILES:
        shutil.copyfile(HERE / name, out / name)
    copy(bundle, out / "bundle")
    _write_readme(bundle, out)
    return [f"add {HEADER} to your project, or build the sample; README.md beside it tells how"]


@functools.cache
def header() -> str:
    """All parts as one header, each after those that it includes."""
    parts: dict[str, str] = {}
    _gather(LAST_PART, parts)
    whole = "".join(parts.values())
    system = "".join(f"#include <{name}>\n" for name in sorted(set(SYSTEM_INCLUDE.findall(whole))))
    about = (
        "// EdgeBERT's client for C++17: edgebert::Bundle opens a bundle and answers. SPDX: Apache-2.0\n"
        f"// Its letters are those of Unicode {unicodedata.unidata_version}.\n"
    )
    body = re.sub(r"\n{3,}", "\n\n", SYSTEM_INCLUDE.sub("", whole)).lstrip()
    return f"{about}\n#pragma once\n\n{system}\n{body}"


def _gather(name: str, parts: dict[str, str]) -> None:
    """Add a part, after those that it includes."""
    text = _ranges() if name == RANGES else (HERE / "parts" / name).read_text(encoding="utf-8")
    for needed in OWN_INCLUDE.findall(text):
        if needed not in parts:
            _gather(needed, parts)
    parts[name] = "\n" + OWN_INCLUDE.sub("", text).replace("#pragma once\n", "")


def _ranges() -> str:
    """What must be known of Unicode beside the tokenizer's table: letters and digits, as this Python has them."""
    groups = itertools.groupby(range(0x110000), lambda code: chr(code).isalnum() or chr(code) == "_")
    steps = [sum(1 for _ in group) for _, group in groups][:-1]  # none belongs to the first one, nor to the last
    lines = textwrap.fill(", ".join(map(str, steps)), 140).replace(", ", ",")
    array = f"std::array<std::uint32_t, {len(steps)}> kWordSteps"
    told = "// Code points that are no letter, digit or underscore, then those that are, and so on."
    return (
        f"namespace edgebert {{\nnamespace detail {{\n\n{told}\ninline constexpr {array} = {{\n{lines}}};\n\n"
        "}  // namespace detail\n}  // namespace edgebert\n"
    )


def _write_readme(bundle: Checked, out: Path) -> None:
    import jinja2

    environment = jinja2.Environment(  # noqa: S701  # Markdown, not HTML
        loader=jinja2.FileSystemLoader(HERE), undefined=jinja2.StrictUndefined, trim_blocks=True
    )
    page = environment.get_template("readme.md.j2").render(
        m=bundle.manifest,
        digest=bundle.digest,
        model=bundle.manifest.file(),
        sizes={path.name: path.stat().st_size for path in out.rglob("*") if path.is_file()},
    )
    (out / "README.md").write_text(f"{page}\n", encoding="utf-8")

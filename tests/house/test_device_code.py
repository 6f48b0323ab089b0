"""Device code runs on old boards: it parses as Python 3.8 and needs the standard library, numpy and a runtime."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import ROOT

FILES = sorted((ROOT / "edgebert" / "device").rglob("*.py"))
BY_NAME = pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}-{path.stem}")
NEWER_THAN_3_8 = {"graphlib", "tomllib", "zoneinfo"}
ALLOWED = (sys.stdlib_module_names - NEWER_THAN_3_8) | {"numpy"}
RUNTIMES = {"onnxruntime", "ai_edge_litert", "tflite_runtime"}
GENERIC_SINCE_3_9 = {"dict", "frozenset", "list", "set", "tuple", "type"}
METHODS_SINCE_3_9 = {"bit_count", "file_digest", "is_relative_to", "removeprefix", "removesuffix", "with_stem"}
TYPING_SINCE_3_9 = {
    "Annotated", "Concatenate", "Never", "NotRequired", "ParamSpec", "Required", "Self", "TypeAlias", "TypeGuard",
    "TypeVarTuple", "Unpack", "override",
}  # fmt: skip


def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), feature_version=(3, 8))


def imports(path: Path) -> Iterator[str]:
    """Top-level names of all absolute imports, those within functions too."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield (node.module or "").split(".")[0]


def annotated(path: Path) -> Iterator[ast.expr]:
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.AnnAssign | ast.arg) and node.annotation is not None:
            yield node.annotation
        elif isinstance(node, ast.FunctionDef) and node.returns is not None:
            yield node.returns


def test_there_is_device_code() -> None:
    assert {"bundle", "measure", "runtimes", "selftest", "text_classification"} <= {path.stem for path in FILES}


@BY_NAME
def test_it_parses_as_python_3_8(path: Path) -> None:
    assert ast.get_docstring(tree(path))


@BY_NAME
def test_it_imports_the_standard_library_and_numpy_only(path: Path) -> None:
    own = {"device"} if path.name == "bundle_main.py" else set()  # beside it in the bundle
    assert set(imports(path)) <= ALLOWED | own


def test_runtimes_are_imported_when_a_model_is_opened_and_by_nothing_else() -> None:
    required: set[str] = set()
    for path in FILES:
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in ("_require", "importlib.import_module"):
                required |= {str(one.value) for one in node.args[:1] if isinstance(one, ast.Constant)}
    assert {name.split(".")[0] for name in required} == RUNTIMES


@BY_NAME
def test_annotations_can_be_evaluated_on_python_3_8(path: Path) -> None:
    for annotation in annotated(path):
        for node in ast.walk(annotation):
            assert not isinstance(node, ast.BinOp), f"{ast.unparse(annotation)}: X | Y"
            if isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name):
                assert node.value.id not in GENERIC_SINCE_3_9, ast.unparse(annotation)


@BY_NAME
def test_it_calls_nothing_that_came_after_python_3_8(path: Path) -> None:
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Attribute):
            assert node.attr not in METHODS_SINCE_3_9
        if isinstance(node, ast.ImportFrom) and node.module == "typing":
            assert not {alias.name for alias in node.names} & TYPING_SINCE_3_9
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "zip":
            assert not node.keywords, "zip(strict=) came with 3.10"
        assert not isinstance(node, ast.BinOp) or not isinstance(node.left, ast.Dict), "dict | dict came with 3.9"

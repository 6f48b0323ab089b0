"""Imports run downwards only; the floors are those of the design, as fine as the code allows."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.conftest import ROOT

PACKAGE = ROOT / "edgebert"
FLOORS: tuple[set[str], ...] = (  # names directly under edgebert, low to high; none imports another of its floor
    {"errors", "device", "quiet", "fingerprint", "emission", "plain", "workers"},
    {"debian", "emulation", "exportable", "jobs", "lines", "training", "code_points"},
    {"members", "store", "tables", "tokenization", "onnx_graph", "environments"}
    | {"android", "litert_sharing", "tokenizer_table"},
    {"artifact", "verdict", "data", "sources", "static_ranges", "openssh", "parcels", "interpreters"}
    | {"onnx_shapes", "onnx_gelu", "onnx_qdq", "litert_weights"},
    {"pruning"}
    | {"target", "manifest", "intervals", "recognition", "equalization", "distillation", "faq", "histograms"}
    | {"onnx_inspection", "product_scales", "pruning"},
    {
        "calibration",
        "masking",
        "measured",
        "static_products",
        "proof",
        "metrics",
        "drafting",
    },
    {"recipe", "judgement"},
    {"architectures", "formats", "transports", "steps", "races", "clients", "pruners"},
    {"tasks", "quantizers", "sizes"},
    {"scoring", "checkpoint"},
    {"accuracy_control", "timing", "opening", "references", "learning", "grouping"},
    {"project", "exporting"},
    {"provenance", "schooling"},
    {"stages", "rescoring", "report"},
    {"training_steps"},
    {"quantizing_steps", "choosing"},
    {"planning", "validation"},
    {"pipeline"},
    {"pretraining", "exits"},
    {"cli"},
    {"__init__", "__main__"},
)
FLOOR_OF = {name: number for number, floor in enumerate(FLOORS) for name in floor}
FILES = {path.relative_to(ROOT).with_suffix("").parts: path for path in PACKAGE.rglob("*.py")}
MODULES = {parts[:-1] if parts[-1] == "__init__" else parts: path for parts, path in FILES.items()}


def named(module: tuple[str, ...]) -> str:
    """The name directly under edgebert that a module belongs to."""
    return module[1] if len(module) > 1 else "__init__"


def imported(module: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """Modules of ours that a module imports, anywhere in it and for whatever purpose."""
    path = MODULES[module]
    package = module if path.name == "__init__.py" else module[:-1]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found = [tuple(alias.name.split(".")) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else ()
            base = (*above, *(node.module or "").split(".")) if node.module else above
            inner = [(*base, alias.name) for alias in node.names]
            found = [one if one in MODULES else base for one in inner]
        else:
            continue
        yield from (one for one in found if one[0] == "edgebert")


PAIRS = sorted({(module, other) for module in MODULES for other in imported(module)})


def dotted(pairs: Sequence[tuple[tuple[str, ...], tuple[str, ...]]]) -> list[str]:
    return [f"{'.'.join(module)} imports {'.'.join(other)}" for module, other in pairs]


def test_every_module_stands_on_one_floor() -> None:
    assert sum(map(len, FLOORS)) == len(FLOOR_OF)
    assert set(FLOOR_OF) == {named(module) for module in MODULES}


def test_the_imports_are_seen() -> None:
    assert (("edgebert", "cli"), ("edgebert", "pipeline")) in PAIRS
    assert (("edgebert", "device", "replay"), ("edgebert", "device", "runtimes")) in PAIRS
    assert (("edgebert", "quantizers", "onnx_dynamic"), ("edgebert", "quantizers")) in PAIRS
    assert len(PAIRS) > 100


def test_imports_run_downwards_only() -> None:
    wrong = [
        (module, other)
        for module, other in PAIRS
        if named(module) != named(other) and FLOOR_OF[named(module)] <= FLOOR_OF[named(other)]
    ]
    assert dotted(wrong) == []


@pytest.mark.parametrize(
    ("below", "above"),
    [
        ("errors device", "members store"),
        ("members store", "recipe target calibration artifact verdict"),
        ("recipe target calibration artifact verdict", "architectures tasks quantizers formats transports"),
        ("architectures tasks quantizers formats transports", "stages report"),
        ("stages report", "pipeline planning"),
        ("pipeline planning", "cli"),
    ],
)
def test_the_floors_are_in_the_order_of_the_design(below: str, above: str) -> None:
    assert max(FLOOR_OF[name] for name in below.split()) < min(FLOOR_OF[name] for name in above.split())


def test_no_stage_imports_another() -> None:
    wrong = [
        (module, other)
        for module, other in PAIRS
        if named(module) == named(other) == "stages" and len(module) == 3 and len(other) == 3
    ]
    assert dotted(wrong) == []


def test_device_code_imports_nothing_of_ours_but_device_code() -> None:
    wrong = [pair for pair in PAIRS if named(pair[0]) == "device" and named(pair[1]) != "device"]
    assert dotted(wrong) == []


@pytest.mark.parametrize("path", sorted((PACKAGE / "device").rglob("*.py")), ids=lambda path: path.stem)
def test_device_code_imports_device_code_relatively_so_that_it_runs_in_a_bundle(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            assert not any(alias.name.split(".")[0] == "edgebert" for alias in node.names)
        if isinstance(node, ast.ImportFrom):
            inside = 1 <= node.level <= len(path.relative_to(PACKAGE / "device").parts)
            assert inside or (node.level == 0 and (node.module or "").split(".")[0] != "edgebert")


def test_a_member_imports_no_member_of_its_own_set() -> None:
    wrong = [
        (module, other)
        for module, other in PAIRS
        if named(module) == named(other)
        and named(module) in ("architectures", "tasks", "quantizers", "formats", "transports")
        and len(module) == 3
        and len(other) == 3
    ]
    assert dotted(wrong) == []


def test_no_module_has_a_name_that_says_nothing() -> None:
    empty = {"utils", "util", "helpers", "helper", "common", "misc"}
    assert [".".join(parts) for parts in FILES if empty & set(parts)] == []

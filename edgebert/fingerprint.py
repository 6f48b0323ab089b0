"""What a step's result depends on beside its inputs: the source of our own modules and the versions of others'."""

from __future__ import annotations

import ast
import functools
import hashlib
import importlib.util
from collections.abc import Iterable, Iterator
from importlib import metadata
from pathlib import Path

_DISTRIBUTIONS = {
    "ai_edge_litert": "ai-edge-litert",
    "ai_edge_quantizer": "ai-edge-quantizer",
    "neural_compressor": "neural-compressor-pt",
}


def of_modules(modules: Iterable[str]) -> str:
    """sha256 of the source of modules and of every module of ours that they import, near or far."""
    seen: set[str] = set()
    waiting = list(modules)
    while waiting:
        name = waiting.pop()
        if name not in seen:
            seen.add(name)
            waiting.extend(_imports(name))
    parts = [f"{name} {_source_digest(name)}" for name in sorted(seen)]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def versions(packages: Iterable[str]) -> dict[str, str]:
    """Installed versions by import name; a package that is absent is left out."""
    found = {package: _version(package) for package in packages}
    return {package: version for package, version in found.items() if version is not None}


@functools.cache
def _version(package: str) -> str | None:
    try:
        return metadata.version(_DISTRIBUTIONS.get(package, package.replace("_", "-")))
    except metadata.PackageNotFoundError:
        return None


def _walk(tree: ast.AST) -> Iterator[ast.AST]:
    """All nodes but those of `if TYPE_CHECKING:` blocks, which never run."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            for other in node.orelse:
                yield other
                yield from _walk(other)
            continue
        yield node
        yield from _walk(node)


@functools.cache
def _path(name: str) -> Path | None:
    spec = importlib.util.find_spec(name)
    return Path(spec.origin) if spec is not None and spec.origin else None


@functools.cache
def _source_digest(name: str) -> str:
    path = _path(name)
    return hashlib.sha256(path.read_bytes()).hexdigest() if path else ""


@functools.cache
def _imports(name: str) -> tuple[str, ...]:
    """Modules of ours that a module names in its imports, top or deep in a function."""
    path = _path(name)
    if path is None:
        return ()
    found = set()
    for node in _walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            parents = name.split(".") if path.name == "__init__.py" else name.split(".")[:-1]
            package = ".".join(parents[: len(parents) - node.level + 1] if node.level else parents)
            base = f"{package}.{node.module or ''}".rstrip(".") if node.level else node.module or ""
            found |= {base, *(f"{base}.{alias.name}" for alias in node.names)}
    ours = [module for module in found if module.split(".")[0] == "edgebert"]
    return tuple(sorted(module for module in ours if _exists(module)))


def _exists(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:  # the parent is a module, not a package: the name is a function of it
        return False

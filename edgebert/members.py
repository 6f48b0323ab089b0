"""Open sets: a member is a module, and its file in the folder is its registration."""

from __future__ import annotations

import importlib
import importlib.util
import pkgutil
from types import ModuleType

from edgebert.errors import InputError, MissingExtraError, nearest

SINGULAR = {
    "architectures": "architecture",
    "tasks": "task",
    "quantizers": "quantizer",
    "pruners": "pruner",
    "formats": "format",
    "transports": "transport",
    "clients": "client",
}


def names(family: str) -> list[str]:
    """Names of the members of an open set that ship with EdgeBERT, sorted."""
    package = importlib.import_module(f"edgebert.{family}")
    return sorted(module.name for module in pkgutil.iter_modules(package.__path__))


def check(family: str, name: str, allow_code: bool = False) -> str | None:
    """What is wrong with a member's name, or None; nothing of the member is imported.

    A dotted name is a module of the user's own and needs `allow_code`.
    """
    kind = SINGULAR[family]
    if "." in name:
        if not allow_code:
            return f"{kind} '{name}' is code of your own; add --allow-code to run it"
        return None
    known = [public(family, member) for member in names(family)]
    if name not in known:
        return f"unknown {kind} '{name}'; {nearest(name, known)}"
    return None


def public(family: str, member: str) -> str:
    """How a member's name is written in a recipe: a task's with hyphens, all others as their module's."""
    return member.replace("_", "-") if family == "tasks" else member


def find(family: str, name: str, allow_code: bool = False) -> ModuleType:
    """The module of a member.

    Raises InputError for an unknown name, MissingExtraError where a package the member needs is absent.
    """
    if (fault := check(family, name, allow_code)) is not None:
        raise InputError(fault)
    if "." in name and not _exists(name):
        raise InputError(f"{SINGULAR[family]} '{name}': no such module can be imported here (PYTHONPATH?)")
    path = name if "." in name else f"edgebert.{family}.{name.replace('-', '_')}"
    return importlib.import_module(path)


def _exists(name: str) -> bool:
    """Whether a dotted name leads to a module; its packages are imported, it is not."""
    try:
        return importlib.util.find_spec(name) is not None
    except (ImportError, ValueError):
        return False


def require(needs: tuple[str, ...], what: str, extra: str) -> None:
    """Raise MissingExtraError unless every package in `needs` can be imported; none of them is."""
    for package in needs:
        if importlib.util.find_spec(package) is None:
            raise MissingExtraError(f"{what} ({package})", extra)

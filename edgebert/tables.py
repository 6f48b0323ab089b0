"""A TOML file becomes a validated model, or one InputError that names every fault in it."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from edgebert.errors import InputError, nearest

Model = TypeVar("Model", bound=BaseModel)


class Table(BaseModel):
    """A table of a TOML file: frozen, and an unknown key is a fault."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def read(path: Path) -> dict[str, Any]:
    """The tables of a TOML file. Raises InputError with file and reason."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except IsADirectoryError:
        raise InputError(f"{path}: is a folder, not a TOML file") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8 at byte {error.start}") from None
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{path}: not TOML: {error}") from None


def parse(model: type[Model], table: dict[str, Any], where: str) -> Model:
    """Validate a table as `model`. Raises InputError listing all faults with their keys and values."""
    model_or_faults = attempt(model, table, where)
    if isinstance(model_or_faults, list):
        raise InputError(model_or_faults)
    return model_or_faults


def attempt(model: type[Model], table: dict[str, Any], where: str) -> Model | list[str]:
    """The validated model, or its faults as one line each, so that callers can add their own."""
    try:
        return model.model_validate(table)
    except ValidationError as error:
        return [_fault(model, dict(fault), where) for fault in error.errors()]


def merge(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """`over` laid on `base`: tables merge, everything else replaces."""
    merged = dict(base)
    for key, value in over.items():
        old = merged.get(key)
        merged[key] = merge(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return merged


def overridden(table: dict[str, Any], overrides: Sequence[str]) -> dict[str, Any]:
    """`table` with `a.b=TOML` strings laid over it. Raises InputError for one that is not of that form."""
    for text in overrides:
        table = merge(table, _override(text))
    return table


def _override(text: str) -> dict[str, Any]:
    key, sign, value = text.partition("=")
    if not sign or not _is_key(key):
        raise InputError(f"--set {text}: write it as key=value, such as seed=7")
    for candidate in (value, f'"{value}"'):  # a bare word is taken as a string
        try:
            return tomllib.loads(f"{key.strip()} = {candidate}")
        except tomllib.TOMLDecodeError:
            continue
    raise InputError(f"--set {text}: '{value}' is not a TOML value")


def _is_key(text: str) -> bool:
    try:
        return bool(tomllib.loads(f"{text.strip()} = 0"))
    except tomllib.TOMLDecodeError:
        return False


def _fault(model: type[BaseModel], fault: dict[str, Any], where: str) -> str:
    path = [part for part in fault["loc"] if not (isinstance(part, str) and part.startswith("function-"))]
    key = ".".join(str(part) for part in path)
    if fault["type"] == "extra_forbidden":
        return f"{where}: unknown key '{key}'; {nearest(str(path[-1]), _keys(model, path[:-1]))}"
    if fault["type"] == "missing":
        return f"{where}: '{key}' is missing"
    message = str(fault["msg"]).removeprefix("Value error, ")
    return f"{where}: {key} = {fault['input']!r}: {message[:1].lower()}{message[1:]}"


def _keys(model: type[BaseModel], path: list[Any]) -> list[str]:
    """The keys a table may have, found by walking the model down to it."""
    for part in path:
        field = model.model_fields.get(str(part))
        if field is None:
            continue  # the name of a list's item or of a mapping's entry
        model = _inner(field.annotation) or model
    return [field.alias or name for name, field in model.model_fields.items() if not field.exclude]


def _inner(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for argument in getattr(annotation, "__args__", ()):
        if (found := _inner(argument)) is not None:
            return found
    return None

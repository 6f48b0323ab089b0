"""A target: the hardware profile of one kind of device, pure data in `targets/*.toml`."""

from __future__ import annotations

import importlib.resources
from pathlib import Path
from typing import Annotated, Any, Literal

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from pydantic import Field, ValidationInfo, field_validator

from edgebert import environments, members, tables
from edgebert.errors import InputError, nearest
from edgebert.tables import Table
from edgebert.verdict import Gates

RUNTIMES = {
    "onnxruntime": "ONNX Runtime",
    "litert": "LiteRT",
    "tflite-runtime": "TensorFlow Lite Runtime",
    "tensorrt": "TensorRT",
    "onnxruntime-qnn": "ONNX Runtime with Qualcomm's QNN provider",
}
OLDEST = "1.17"  # of ONNX Runtime, and what it reads: found by loading files of one operator in 1.17.0
READ_BY_OLDEST = {"opset": 20, "ir_version": 9}
APART = {"tflite-runtime": "tflite-runtime-2.14"}  # cannot share our environment: runtime -> one that holds it


class Runtime(Table):
    """What executes the file on the device."""

    name: Literal["onnxruntime", "litert", "tflite-runtime", "tensorrt", "onnxruntime-qnn"]
    version: str = Field(description="the range of versions the file must load in, as pip writes it")
    session: dict[str, str] = Field(default_factory=dict, description="session entries every client sets")
    environment: str = Field(
        default="",
        validate_default=True,
        description="where files run here, as doctor knows it; empty: in our own",
    )

    @field_validator("version")
    @classmethod
    def _is_a_range(cls, value: str) -> str:
        try:
            SpecifierSet(value)
        except InvalidSpecifier:
            raise ValueError("not a range of versions; write it as pip does: '>=1.17,<2'") from None
        return value

    @field_validator("environment")
    @classmethod
    def _known_environment(cls, value: str, info: ValidationInfo) -> str:
        if value and value not in environments.KNOWN:
            raise ValueError(f"unknown environment; {nearest(value, environments.KNOWN)}")
        if not value and (name := info.data.get("name")) in APART:
            raise ValueError(f"{name} cannot run beside EdgeBERT; name the environment '{APART[name]}'")
        return value


class Hardware(Table):
    """The device."""

    arch: Literal["aarch64", "x86_64"]
    system: Literal["linux", "android"] = "linux"
    cpu: str = Field(default="", description="the core, as QEMU names it where QEMU knows it")
    board: str | None = Field(default=None, description="part of the board's own model name, as it tells it")
    features: list[str] = Field(default_factory=list)
    threads: int = Field(default=1, ge=1, le=64)
    memory_mb: int | None = Field(default=None, gt=0)
    accelerator: Literal["none", "npu", "gpu"] = "none"


class Shape(Table):
    """The shapes the file is made for."""

    batch: int | None = Field(default=None, ge=1, description="None: any number of rows")
    tokens: list[Annotated[int, Field(ge=8, le=512)]] = Field(
        default_factory=list, description="length buckets; empty: natural length"
    )
    max_tokens: int = Field(default=128, ge=8, le=512)

    def buckets(self, max_tokens: int) -> list[int]:
        """The length buckets for a model that reads at most `max_tokens`; empty for natural length."""
        limit = min(max_tokens, self.max_tokens)
        return [*(n for n in self.tokens if n < limit), limit] if self.tokens else []


class Target(Table):
    """One profile with its base merged in."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9.-]*$")
    description: str = ""
    extends: str | None = None
    abstract: bool = False
    format: str = Field(description="how files are made, and so their form")
    quantizer: list[str] = Field(min_length=1, description="each ships a file; the first is the default model")
    candidates: list[str] = Field(
        default_factory=list, description="quantizers that race for the file; the default is one of them"
    )
    refuse: dict[str, str] = Field(
        default_factory=dict, description="quantizer -> why its files are of no use here"
    )
    opset: int | None = Field(
        default=None, ge=17, le=25, description="17 is the first with LayerNormalization, which graphs are made of"
    )
    ir_version: int | None = Field(default=None, ge=7, le=14)
    runtime: Runtime
    hardware: Hardware
    shape: Shape = Shape()
    gates: Gates = Gates()
    sources: dict[str, str] = Field(default_factory=dict)

    @field_validator("format")
    @classmethod
    def _known_format(cls, value: str) -> str:
        if (fault := members.check("formats", value)) is not None:
            raise ValueError(fault)
        return value

    @field_validator("quantizer", mode="before")
    @classmethod
    def _one_or_many(cls, value: Any) -> Any:
        return [value] if isinstance(value, str) else value

    @field_validator("quantizer")
    @classmethod
    def _known_quantizers(cls, value: list[str]) -> list[str]:
        for name in value:
            if "." not in name and (fault := members.check("quantizers", name)) is not None:
                raise ValueError(fault)
        return value

    @field_validator("candidates")
    @classmethod
    def _known_candidates(cls, value: list[str], info: ValidationInfo) -> list[str]:
        cls._known_quantizers(value)
        default = info.data.get("quantizer", [])
        if value and (len(default) != 1 or default[0] not in value):
            raise ValueError("the target's one quantizer must be among them")
        return sorted(value, key=lambda name: name not in default)

    @field_validator("refuse")
    @classmethod
    def _known_refusals(cls, value: dict[str, str], info: ValidationInfo) -> dict[str, str]:
        cls._known_quantizers(list(value))
        own = [*info.data.get("quantizer", []), *info.data.get("candidates", [])]
        if wrong := [name for name in own if name in value]:
            raise ValueError(f"'{wrong[0]}' is one of this target's own quantizers")
        return value


def folder() -> Path:
    """The shipped profiles: inside the wheel, or at the root of a checkout."""
    return data_folder("targets")


def data_folder(name: str) -> Path:
    """A data folder that ships with EdgeBERT (`targets`, `calibration`)."""
    package = Path(str(importlib.resources.files("edgebert")))
    inside = package / "_data" / name
    return inside if inside.is_dir() else package.parent / name


def names() -> list[str]:
    """Names of the shipped targets that can be built for, sorted."""
    return sorted(path.stem for path in folder().glob("*.toml") if not tables.read(path).get("abstract"))


def load(name: str, beside: Path | None = None) -> Target:
    """A shipped profile by name, or any profile by path (a name with a slash, relative to `beside`).

    Raises InputError for an unknown name, a missing file or a fault in the profile.
    """
    path = _path(name, beside)
    table = tables.read(path)
    if (base := table.get("extends")) is not None:
        base_path = _base_path(str(base), path)
        base_table = tables.read(base_path)
        if "extends" in base_table:
            raise InputError(f"{path}: extends = '{base}', which itself extends another; one level only")
        base_table.pop("abstract", None)
        table = tables.merge(base_table, table)
    target = tables.parse(Target, table, str(path))
    if (fault := _too_new(target)) is not None:
        raise InputError(f"{path}: {fault}")
    if target.name != path.stem:
        raise InputError(f"{path}: name = '{target.name}'; it must equal the file's name, '{path.stem}'")
    return target


def _too_new(target: Target) -> str | None:
    """What of the profile's files the oldest runtime of its range would refuse, or None."""
    if target.runtime.name != "onnxruntime" or OLDEST not in SpecifierSet(target.runtime.version):
        return None
    for key, value in (("opset", target.opset), ("ir_version", target.ir_version)):
        if value is not None and value > READ_BY_OLDEST[key]:
            return (
                f"{key} = {value}: onnxruntime {OLDEST}, which version = '{target.runtime.version}' allows, reads "
                f"{READ_BY_OLDEST[key]} at most; lower it, or raise the version"
            )
    return None


def buildable(name: str, beside: Path | None = None) -> Target:
    """Like `load`, but an abstract base is refused."""
    target = load(name, beside)
    if target.abstract:
        raise InputError(f"target '{name}' is a base for others and cannot be built; known: {', '.join(names())}")
    return target


def _base_path(base: str, path: Path) -> Path:
    known = [one.stem for one in folder().glob("*.toml") if "extends" not in tables.read(one)]
    if "/" not in base and base not in {one.stem for one in folder().glob("*.toml")}:
        raise InputError(f"{path}: extends = '{base}': no such target; {nearest(base, known)}")
    return _path(base, path.parent)


def _path(name: str, beside: Path | None) -> Path:
    if "/" in name:
        path = (beside or Path()) / name
        if not path.is_file():
            raise InputError(f"no target profile at {path}")
        return path
    path = folder() / f"{name}.toml"
    if not path.is_file():
        raise InputError(f"unknown target '{name}'; {nearest(name, names())}")
    return path

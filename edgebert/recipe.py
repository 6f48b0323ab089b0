"""A recipe: what to build, from which model and data, and the gates it must pass."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from edgebert import calibration, members, tables, target as targets
from edgebert.distillation import Distil
from edgebert.errors import InputError
from edgebert.histograms import Method
from edgebert.pruning import Prune
from edgebert.tables import Table
from edgebert.target import Target
from edgebert.training.precision import Precision
from edgebert.verdict import BUILT_IN, Gates


def _name_list(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


class Model(Table):
    """Where the weights come from."""

    source: str = Field(description="a folder, a Hub id with `revision`, or package:NAME/folder")
    revision: str | None = None
    sha256: str | None = Field(default=None, pattern=r"^[0-9a-f]{64}$")
    max_tokens: int | None = Field(default=None, ge=8, le=512, description="of a source used as it is; None: 128")


class OutOfScope(Table):
    """Texts no label fits: never a class, never in the task's metric."""

    train: str | None = None
    dev: str | None = None
    test: str | None = None


class Data(Table):
    """The splits, as paths relative to the recipe or hub:OWNER/NAME/FILE."""

    train: str
    dev: str | None = Field(default=None, description="absent: a stratified tenth of train")
    test: str
    out_of_scope: OutOfScope | None = None
    columns: dict[str, str] = Field(default_factory=dict)
    revision: str | None = None


class Finetune(Table):
    """Training of the source on the task. Absent from a recipe: the source is already trained."""

    epochs: int = Field(default=5, ge=1, le=1000)
    batch: int = Field(default=32, ge=1, le=4096)
    learning_rate: float = Field(default=2e-4, gt=0, lt=1)
    head_learning_rate: float | None = Field(default=None, gt=0, lt=1, description="None: ten times the body's")
    max_tokens: int = Field(default=128, ge=8, le=512)
    freeze_embeddings: bool = False
    precision: Precision = Field(default="auto", description="of the computing: auto is bf16 where a GPU has it")


class Quantize(Table):
    """What overrides the profile."""

    quantizer: Annotated[list[str] | None, BeforeValidator(_name_list)] = None
    race: bool = Field(default=True, description="false: the profile's default ships, whatever its candidates")
    calibration: str = "default"
    ranges: Method | None = Field(
        default=None, description="how static ranges are taken; None: the quantizer's own"
    )
    keep_float: list[str] = Field(default_factory=list, description="name patterns of tensors that stay float")


class Export(Table):
    """How a graph is made of the trained model."""

    format: str | None = Field(default=None, description="one that gives files of the profile's form")


class BundleSettings(Table):
    """What the bundle carries."""

    golden: Literal["dev", "own"] = Field(default="dev", description="own: sentences of EdgeBERT, not yours")


class TargetOverride(Table):
    """What a recipe changes for one target."""

    export: Export = Export()
    gates: Gates = Gates()


class Recipe(Table):
    """A recipe with its folder, against which its paths are resolved."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    task: str
    targets: list[str] = Field(min_length=1)
    seed: int = Field(default=13, ge=0, lt=2**31)
    model: Model
    data: Data
    decoding: dict[str, Any] = Field(default_factory=dict, description="what the task's decoder goes by")
    finetune: Finetune | None = None
    distil: Distil | None = None
    prune: Prune = Prune()
    export: Export = Export()
    quantize: Quantize = Quantize()
    bundle: BundleSettings = BundleSettings()
    gates: Gates = Gates()
    target: dict[str, TargetOverride] = Field(default_factory=dict)
    folder: Path = Field(exclude=True)

    def path(self, value: str) -> Path:
        """A path of the recipe, relative to the recipe's own file."""
        return self.folder / Path(value).expanduser()

    def gates_for(self, target: Target) -> Gates:
        """Built-in < profile < [gates] < [target.NAME.gates]."""
        own = self.target[target.name].gates if target.name in self.target else Gates()
        return own.over(self.gates.over(target.gates.over(BUILT_IN)))

    def format_for(self, target: Target) -> str:
        """Profile < [export] < [target.NAME.export]."""
        own = self.target[target.name].export.format if target.name in self.target else None
        return own or self.export.format or target.format

    def quantizers_for(self, target: Target) -> list[str]:
        """The recipe's quantizers where it names some, else the profile's."""
        return self.quantize.quantizer or target.quantizer

    def max_tokens(self) -> int:
        """The longest sequence the model is made for, special tokens counted."""
        return self.finetune.max_tokens if self.finetune else self.model.max_tokens or 128


def load(path: Path, overrides: list[str] | None = None, allow_code: bool = False) -> Recipe:
    """Read a recipe and report every fault at once.

    `overrides` are `a.b=TOML` strings laid over the file. Raises InputError.
    """
    table = tables.overridden(tables.read(path), overrides or [])
    where = str(path)
    if "folder" in table:
        raise InputError(f"{where}: unknown key 'folder'")
    recipe = tables.attempt(Recipe, {**table, "folder": path.parent}, where)
    faults = recipe if isinstance(recipe, list) else []
    faults += _name_faults(table, path, allow_code)
    if isinstance(recipe, list) or faults:
        raise InputError(faults)
    return recipe


def _name_faults(table: dict[str, Any], path: Path, allow_code: bool) -> list[str]:
    """Names that lead nowhere, found on the raw table so that one report holds all faults."""
    faults = []
    if isinstance(task := table.get("task"), str):
        faults.append(members.check("tasks", task, allow_code))
    quantize = table.get("quantize")
    if isinstance(quantize, dict):
        quantizers = _texts(_name_list(quantize.get("quantizer")))
        faults += [members.check("quantizers", name, allow_code) for name in quantizers]
        if isinstance(spec := quantize.get("calibration"), str):
            faults.append(calibration.check(spec, path.parent))
    overrides = table.get("target")
    tables_of_targets = list(overrides.values()) if isinstance(overrides, dict) else []
    for one in (table, *(each for each in tables_of_targets if isinstance(each, dict))):
        if isinstance(export := one.get("export"), dict):
            faults += [members.check("formats", name, allow_code) for name in _texts([export.get("format")])]
    names = _texts(table.get("targets"))
    faults += [_target_fault(name, path.parent) for name in names]
    known = {Path(name).stem if "/" in name else name for name in names}
    for name in overrides if isinstance(overrides, dict) and isinstance(table.get("targets"), list) else {}:
        if name not in known:
            faults.append(f"[target.{name}] changes a target that `targets` does not list")
    return [f"{path}: {fault}" for fault in faults if fault is not None]


def _texts(value: Any) -> list[str]:
    """The strings of a list; what else it holds, or is, pydantic tells."""
    return [one for one in value if isinstance(one, str)] if isinstance(value, list) else []


def _target_fault(name: str, beside: Path) -> str | None:
    try:
        targets.buildable(name, beside)
    except InputError as error:
        return str(error)
    return None

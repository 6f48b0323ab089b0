"""A recipe of `pretrain`: which text, tokenizer and model, what it learns from the text and for how long."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from edgebert import tables
from edgebert.errors import InputError
from edgebert.tables import Table
from edgebert.training.precision import Precision


def _list(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


Files = Annotated[list[str], BeforeValidator(_list), Field(min_length=1)]


class Text(Table):
    """Plain UTF-8 text, one paragraph a line, blank lines between documents."""

    train: Files = Field(description="paths relative to the recipe, or hub:OWNER/NAME/FILE")
    valid: Files = Field(description="held out: measured, never learned from")
    revision: str | None = None


class TrainTokenizer(Table):
    """A tokenizer learned from the training text."""

    kind: Literal["wordpiece", "unigram"] | None = Field(default=None, description="None: the architecture's own")
    vocabulary: int = Field(default=8000, ge=100, le=1_000_000, description="pieces, special ones among them")
    lowercase: bool = True


class TokenizerChoice(Table):
    """Where the tokenizer comes from; absent where the model's source or the teacher brings one."""

    train: TrainTokenizer | None = None
    reuse: str | None = Field(default=None, description="a folder, a Hub id or package:NAME/folder")
    revision: str | None = None

    @model_validator(mode="after")
    def _one_of_two(self) -> TokenizerChoice:
        if (self.train is None) == (self.reuse is None):
            raise ValueError("give either train or reuse")
        return self


class Start(Table):
    """The model at step 0: a published shape, config values, both (values lie on the shape), or a checkpoint."""

    architecture: str | None = None
    shape: str | None = None
    values: dict[str, Any] = Field(default_factory=dict, description="of config.json, such as hidden_size")
    source: str | None = Field(default=None, description="a folder, a Hub id or package:NAME/folder")
    revision: str | None = None
    sha256: str | None = Field(default=None, pattern=r"^[0-9a-f]{64}$")

    @model_validator(mode="after")
    def _from_something(self) -> Start:
        if self.source is not None and (self.architecture or self.shape):
            raise ValueError("a source has its architecture and sizes; give either source or architecture, shape")
        return self


class Distil(Table):
    """DistilBERT's triple loss (Sanh et al. 2019): its weights and temperature are those of the original training.

    (`--alpha_ce 5.0 --alpha_mlm 2.0 --alpha_cos 1.0`, `--temperature 2.0` of the authors' train.py.)
    """

    teacher: str = Field(description="with its masked-language head: a folder, a Hub id or package:NAME/folder")
    revision: str | None = None
    sha256: str | None = Field(default=None, pattern=r"^[0-9a-f]{64}$")
    keep: list[int] | None = Field(
        default=None, description="layers of the teacher, from 0, that the student begins with; None: every second"
    )
    temperature: float = Field(default=2.0, gt=0, le=100)
    soft: float = Field(default=5.0, ge=0, description="weight of the teacher's soft targets, at all pieces")
    mlm: float = Field(default=2.0, ge=0, description="weight of the masked pieces themselves")
    cosine: float = Field(default=1.0, ge=0, description="weight of the angle between the last hidden states")


class Objective(Table):
    """What is learned beside the masked pieces, which always are."""

    sentence: Literal["nsp", "sop", "none"] = "none"
    sentence_weight: float = Field(
        default=1.0, gt=0, le=1000, description="of the pairs' loss, where that of the masked pieces is 1"
    )
    whole_pairs: bool = Field(
        default=False, description="pairs are asked of rows without masks, which are shown beside the masked ones"
    )
    distil: Distil | None = None

    @model_validator(mode="after")
    def _one_extra(self) -> Objective:
        if self.sentence != "none" and self.distil is not None:
            raise ValueError("the triple loss has no sentence objective; set sentence = 'none'")
        if self.sentence == "none" and self.sentence_weight != 1.0:
            raise ValueError("sentence_weight weighs a sentence objective; name one: sentence = 'nsp' or 'sop'")
        if self.sentence == "none" and self.whole_pairs:
            raise ValueError("whole_pairs is about a sentence objective; name one: sentence = 'nsp' or 'sop'")
        return self


class Train(Table):
    """How long and how fast. `batch` is that of a step over all processes, so that more of them change nothing."""

    steps: int | None = Field(default=None, ge=10)
    epochs: float | None = Field(default=None, gt=0, le=10_000, description="in place of steps")
    tokens: int = Field(default=128, ge=16, le=512, description="length of a segment, special pieces counted")
    batch: int = Field(default=32, ge=1, le=65_536, description="segments a step")
    at_once: int | None = Field(
        default=None, ge=1, description="segments a process holds at a time; None: its whole share of the batch"
    )
    freeze: int = Field(
        default=0,
        ge=0,
        description="lower layers of the source that stay as they are, and its embeddings with them",
    )
    learning_rate: float = Field(default=1e-4, gt=0, lt=1)
    warmup: float = Field(default=0.1, ge=0, lt=1, description="share of the steps")
    weight_decay: float = Field(default=0.01, ge=0, lt=1)
    log_every: int = Field(default=10, ge=1, description="steps a point of the curve stands for")
    evaluate_every: int = Field(default=500, ge=1)
    checkpoint_every: int = Field(default=500, ge=1)
    precision: Precision = Field(default="auto", description="of the computing: auto is bf16 where a GPU has it")
    workers: int = Field(default=0, ge=0, le=64, description="processes that make segments ready; 0: none")

    @model_validator(mode="after")
    def _one_length(self) -> Train:
        if (self.steps is None) == (self.epochs is None):
            raise ValueError("give either steps or epochs")
        return self


class PretrainRecipe(Table):
    """A pre-training recipe with its folder, against which its paths are resolved."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    seed: int = Field(default=13, ge=0, lt=2**31)
    text: Text
    tokenizer: TokenizerChoice | None = None
    model: Start = Start()
    objective: Objective = Objective()
    train: Train
    folder: Path = Field(exclude=True)


def load(path: Path, overrides: list[str] | None = None) -> PretrainRecipe:
    """Read a recipe with `a.b=TOML` overrides laid over it. Raises InputError with every fault in it."""
    table = tables.overridden(tables.read(path), overrides or [])
    if "folder" in table:
        raise InputError(f"{path}: unknown key 'folder'")
    return tables.parse(PretrainRecipe, {**table, "folder": path.parent}, str(path))

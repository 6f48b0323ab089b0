"""The recipe's `[distil]`: a smaller model learns from one or several teachers."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, Field, model_validator

from edgebert.tables import Table
from edgebert.training.precision import Precision


def _one_or_many(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


class Student(Table):
    """What learns: layers cut from the teacher, other sizes of its architecture, a published shape, or a model."""

    layers: int | None = Field(
        default=None, ge=1, description="alone: spread over the teacher's, last one included"
    )
    keep: list[int] | None = Field(default=None, description="numbers of the teacher's layers, from 0")
    hidden: int | None = Field(default=None, ge=1, description="another width: weights start from nothing")
    shape: str | None = Field(default=None, description="a published size such as 'tinybert-4', from nothing")
    source: str | None = Field(default=None, description="a folder, Hub id or package:NAME/folder to start from")
    revision: str | None = None

    @model_validator(mode="after")
    def _one_way(self) -> Student:
        named = {
            "layers, hidden": self.layers is not None or self.hidden is not None,
            "keep": self.keep is not None,
            "shape": self.shape is not None,
            "source": self.source is not None,
        }
        given = [name for name, there in named.items() if there]
        if len(given) != 1:
            ways = "one of {layers = 3}, {layers = 4, hidden = 312}, {keep = [0, 2, 5]}, {shape = _}, {source = _}"
            raise ValueError(f"must be {ways}" + (f", not {' and '.join(given)} together" if given else ""))
        return self


class Weights(Table):
    """How much each part of the loss counts; None: `hidden` 1 at the teacher's width, else `relation` 1."""

    soft: float = Field(default=1.0, ge=0, description="the teacher's outputs, at the temperature")
    hard: float = Field(default=0.0, ge=0, description="the labels themselves")
    hidden: float | None = Field(default=None, ge=0, description="directions of hidden states, of one width")
    attention: float = Field(default=0.0, ge=0, description="queries with keys, as distributions over tokens")
    relation: float | None = Field(default=None, ge=0, description="values with values, likewise")

    @model_validator(mode="after")
    def _something(self) -> Weights:
        if not any((self.soft, self.hard, self.hidden, self.attention, self.relation)):
            raise ValueError("must weigh something above 0")
        return self


class Augment(Table):
    """More examples: pieces of the rows masked, and filled in by a masked-language model of the same tokenizer."""

    model: str = Field(description="a folder, Hub id or package:NAME/folder with a masked-LM head")
    revision: str | None = None
    copies: int = Field(default=2, ge=1, le=100, description="of each row")
    share: float = Field(default=0.3, gt=0, lt=1, description="of a row's whole words that are masked")
    choices: int = Field(default=10, ge=1, le=1000, description="most likely pieces that one is drawn from")


class Distil(Table):
    """How a student learns. Absent from a recipe: no student, the model itself ships."""

    student: Student = Student(layers=3)
    teachers: Annotated[list[str], BeforeValidator(_one_or_many)] = Field(
        default_factory=list, description="trained models beside the recipe's own; outputs are averaged"
    )
    temperature: float = Field(default=2.0, gt=0, le=100)
    loss: Weights = Weights()
    layer_map: list[tuple[int, int]] | None = Field(
        default=None, description="[student's layer, teacher's layer] from 0; None: kept layers, or evenly spread"
    )
    unlabelled: str | None = Field(default=None, description="more text: lines of .txt, or rows without truth")
    augment: Augment | None = None
    epochs: int = Field(default=10, ge=1, le=1000)
    batch: int = Field(default=32, ge=1, le=4096)
    learning_rate: float = Field(default=3e-4, gt=0, lt=1)
    dropout: float = Field(default=0.0, ge=0, lt=1)
    freeze_embeddings: bool | None = Field(default=None, description="None: where they are the teacher's")
    precision: Precision = Field(default="auto", description="of the computing: auto is bf16 where a GPU has it")
    seed: int | None = Field(default=None, ge=0, lt=2**31, description="of the first student; None: the recipe's")
    seeds: int = Field(default=1, ge=1, le=100, description="students trained; the best on dev ships")

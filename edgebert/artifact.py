"""An artifact: a folder with a model in one form, and what is known of it."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, Field

Form = Literal["onnx", "tflite"]  # of a graph file
FILE = "artifact.json"
TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "vocab.txt",
    "spiece.model",
)


class Tensor(BaseModel):
    """A model's input or output; None in a shape: any size.

    `per_token`: axis 1 of this output is that of the tokens, so that what belongs to padding is cut off.
    """

    name: str
    dtype: str
    shape: list[int | None]
    per_token: bool = False


class Signature(BaseModel):
    """Inputs and outputs, bound by name and never by position."""

    inputs: list[Tensor]
    outputs: list[Tensor]


class Graph(BaseModel):
    """What a graph file holds.

    `int8_matmul_share` is, of the multiply-adds of matrix products with a constant operand, the share whose
    constant is an 8-bit integer; products of two activations (Q.K and attention.V) do not count. `kept_float`
    names the constants of such products that are not.
    """

    ops: dict[str, int]
    int8_matmul_share: float
    kept_float: list[str]
    opset: int | None
    ir_version: int | None
    flex_ops: int = 0


class Artifact(BaseModel):
    """What a stage hands to the next.

    `file` is the model file in `folder` ("" for a torch checkpoint, which is the whole folder); `buckets` are the
    lengths a file of fixed shapes is made for; `decoding` is what the task's decoder goes by; `training` is what
    the dev split said of each seed that was trained; `pruning` what each pruner took; `control` what accuracy
    control did to a quantized file.
    """

    form: Literal["torch"] | Form
    architecture: str
    task: str | None = None
    labels: list[str] = Field(default_factory=list)
    decoding: dict[str, Any] = Field(default_factory=dict)
    max_tokens: int = 128
    parameters: int = 0
    file: str = ""
    buckets: list[int] = Field(default_factory=list)
    signature: Signature | None = None
    precision: str = "fp32"
    training: dict[str, Any] = Field(default_factory=dict)
    pruning: dict[str, Any] = Field(default_factory=dict)
    control: dict[str, Any] = Field(default_factory=dict)
    folder: Path = Field(default=Path(), exclude=True)

    @property
    def path(self) -> Path:
        """The model file."""
        return self.folder / self.file

    def entry(self, model: str, session: dict[str, str] | None = None, runtime: str = "") -> dict[str, Any]:
        """What the device code needs to know to open the file: the core of a manifest's entry.

        `session` and `runtime` (its name) are those of the target's profile.
        """
        assert self.signature is not None
        return {
            "id": model,
            "file": self.file,
            "format": self.form,
            "precision": self.precision,
            "signature": self.signature.model_dump(),
            "buckets": self.buckets,
            "session": session or {},
            "runtime": runtime,
        }

    def copy_tokenizer(self, out: Path) -> None:
        """Copy the files that make the tokenizer to another folder."""
        for name in TOKENIZER_FILES:
            if (self.folder / name).is_file():
                shutil.copyfile(self.folder / name, out / name)

    def write(self) -> Artifact:
        """Record what is known beside the model."""
        (self.folder / FILE).write_text(self.model_dump_json(indent=1), encoding="utf-8")
        return self


def read(folder: Path) -> Artifact:
    """The artifact of a step's folder."""
    artifact = Artifact.model_validate_json((folder / FILE).read_text(encoding="utf-8"))
    return artifact.model_copy(update={"folder": folder})

"""One model file under one benchmark binary on a phone: time a length, and answer rows where the binary can."""

from __future__ import annotations

import base64
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgebert.android import layout, runners
from edgebert.android.bridge import FOLDER, Phone, Said
from edgebert.android.runners import Timing
from edgebert.errors import InputError, SurroundingsError

Ids = Mapping[str, Sequence[int]]  # one text's token ids by input name
Answer = dict[str, list[float]]  # one text's outputs by name, flat
_ROWS = ".rows"
_OUTPUTS = "@edgebert-outputs"
_KILLED = 137  # 128 and SIGKILL, as a shell tells it


@dataclass(frozen=True)
class Timed:
    """A timing, the length it was made at, and what the runner read: a golden row, zeros, or random numbers."""

    timing: Timing
    tokens: int
    inputs: str


@dataclass(frozen=True)
class Bench:
    """Runner and model on the phone; `path` is the model here, `entry` the manifest's of it."""

    phone: Phone
    runner: str
    model: str
    path: Path
    entry: dict[str, Any]
    threads: int

    def time(self, ids: Ids, seconds: float = 0) -> Timed:
        """Time inferences of one row's length, for `seconds` or a fixed number. Raises SurroundingsError."""
        length = len(next(iter(ids.values())))
        if self.entry["format"] == "tflite":
            return self._time_tflite(ids, self._bucket(length), seconds)
        shape = self.entry["signature"]["inputs"][0]["shape"]
        fixed = shape[1]
        free = {
            name: size
            for name, size, held in zip(("batch", "tokens"), (1, length), shape, strict=True)
            if not held
        }
        said = self._ran(
            runners.onnx_words(self.model, free, self.threads, self.entry.get("session") or {}, seconds)
        )
        return Timed(self._parsed(said), fixed or length, "zeros")

    def answer(self, rows: Sequence[Ids], tell: Callable[[int], None]) -> tuple[list[Answer] | None, str | None]:
        """Outputs of each row, or None and the reason; one process a row. Raises SurroundingsError."""
        if self.entry["format"] != "tflite":
            return None, f"{runners.PERF_TEST.name} writes no outputs"
        layouts = {tokens: self._layout(tokens) for tokens in {self._bucket(_length(ids)) for ids in rows}}
        found = []
        remote = self._put(
            [_raw(ids, layouts[self._bucket(_length(ids))], self._bucket(_length(ids))) for ids in rows]
        )
        start = 0
        for number, ids in enumerate(rows):
            tokens = self._bucket(_length(ids))
            one = layouts[tokens]
            files = {name: f"{FOLDER}/input-{i}" for i, name in enumerate(one.inputs)}
            words = runners.tflite_words(self.model, tokens, self.threads, files, 0, runs=1)
            said = self._ran(
                [*words, f"--output_filepath={FOLDER}/outputs"],
                before=f"rm -f outputs\n{_split(remote, start, tokens, len(files))}",
                after=f"echo; echo {_OUTPUTS}; [ ! -f outputs ] || base64 outputs",
            )
            start += tokens * len(files)
            if lacking := runners.ignored(said.output) & {"output_filepath", "input_layer_value_files"}:
                return None, f"the runner does not know --{sorted(lacking)[0]}; a newer benchmark_model does"
            found.append(self._outputs(said, one, _length(ids), tokens))
            tell(number + 1)
        return found, None

    def tidy(self) -> None:
        """Remove the user's texts and what was made of them; runner and model stay, for next time."""
        self.phone.shell(f"cd {FOLDER} && rm -f *{_ROWS} input-* outputs")

    def _time_tflite(self, ids: Ids, tokens: int, seconds: float) -> Timed:
        one = self._layout(tokens)
        files = {name: f"{FOLDER}/input-{i}" for i, name in enumerate(one.inputs)}
        remote = self._put([_raw(ids, one, tokens)])
        words = runners.tflite_words(self.model, tokens, self.threads, files, seconds or 1)
        said = self._ran(words, before=_split(remote, 0, tokens, len(files)))
        unknown = runners.ignored(said.output)
        if "signature_to_run_for" in unknown:
            raise SurroundingsError(
                f"phone {self.phone.serial}: this {runners.BENCHMARK_MODEL.name} does not know "
                "--signature_to_run_for, so which length it ran cannot be told; give a newer one"
            )
        random = "input_layer_value_files" in unknown
        return Timed(self._parsed(said), tokens, "random numbers" if random else "a golden row")

    def _ran(self, words: Sequence[str], before: str = ":", after: str = ":") -> Said:
        said = self.phone.run([self.runner, *words], before, after)
        if said.status:
            name = runners.binary(self.entry["format"]).name
            cause = runners.why(said.output, said.last)
            end = f"ended with status {said.status}"
            if said.status >= 128:
                end = f"was ended by signal {said.status - 128}"
            if said.status == _KILLED:
                end += " (often memory ran out: close apps and try again)"
            raise SurroundingsError(
                f"phone {self.phone.serial}: the runner {end}; it said: {cause}; see that --runner is {name}, "
                "and not older than the model needs"
            )
        return said

    def _parsed(self, said: Said) -> Timing:
        try:
            return runners.parse(self.entry["format"], said.output)
        except ValueError as error:
            name = runners.binary(self.entry["format"]).name
            raise SurroundingsError(
                f"phone {self.phone.serial}: what the runner printed cannot be read ({error}); its last line: "
                f"{said.last}; see that --runner is {name}"
            ) from None

    def _outputs(self, said: Said, one: layout.Layout, length: int, tokens: int) -> Answer:
        """The outputs that the runner wrote, in the manifest's names, without what belongs to padding."""
        _, _, text = said.output.partition(_OUTPUTS)
        try:
            values = np.frombuffer(base64.b64decode("".join(text.split()), validate=True), "<f4")
        except ValueError:
            values = np.empty(0, np.float32)
        sizes = [size for _, size in one.outputs]
        if len(values) != sum(sizes):
            raise SurroundingsError(
                f"phone {self.phone.serial}: the runner wrote {len(values)} output values, {sum(sizes)} were "
                f"expected; see that --runner is {runners.BENCHMARK_MODEL.name}"
            )
        parts = np.split(values, np.cumsum(sizes)[:-1])
        told = {name: part for (name, _), part in zip(one.outputs, parts, strict=True)}
        found = {}
        for i, output in enumerate(self.entry["signature"]["outputs"]):
            array = told[f"output_{i}"]
            kept = array.reshape(tokens, -1)[:length].ravel() if output.get("per_token") else array
            found[output["name"]] = [float(value) for value in kept]
        return found

    def _bucket(self, length: int) -> int:
        return int(min(tokens for tokens in self.entry["buckets"] if tokens >= length))

    def _layout(self, tokens: int) -> layout.Layout:
        try:
            return layout.read(self.path, f"tokens_{tokens}")
        except ValueError as error:
            raise InputError(f"{self.path}: {error}") from None

    def _put(self, parts: Sequence[bytes]) -> str:
        with tempfile.TemporaryDirectory(prefix="edgebert-") as room:
            path = Path(room) / "rows"
            path.write_bytes(b"".join(parts))
            return self.phone.put(path, _ROWS)


def _length(ids: Ids) -> int:
    return len(next(iter(ids.values())))


def _raw(ids: Ids, one: layout.Layout, tokens: int) -> bytes:
    """A row as the runner reads it: int32 [1, tokens] of each input, one after another, padded with zeros."""
    return b"".join(
        np.pad(np.asarray(ids[name], "<i4"), (0, tokens - _length(ids))).tobytes() for name in one.inputs
    )


def _split(remote: str, start: int, tokens: int, count: int) -> str:
    """A script that cuts one row's inputs out of the file of all rows; places are counted in int32."""
    return "\n".join(
        f"tail -c +{4 * (start + i * tokens) + 1} {remote} | head -c {4 * tokens} >input-{i} || exit 1"
        for i in range(count)
    )

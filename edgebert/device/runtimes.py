"""Open a model file in its runtime and run token ids through it, one text at a time, as an app would.

Inputs are bound by name: signatures list them in another order than the exporter was given.
"""

import contextlib
import importlib
import os
import sys
from typing import Any, Dict, Iterator, List, Mapping, Optional, Sequence, Tuple

import numpy as np

Feeds = Mapping[str, Any]  # input name -> integers [batch, tokens]
Outputs = Dict[str, Any]  # output name -> float32 [batch, ...]


class RuntimeMissing(Exception):
    """The runtime that the file needs is not installed; the message names the package."""


class ModelUnreadable(Exception):
    """The runtime cannot load the file; the message names it and the runtime's reason."""


class OnnxModel:
    """A file in ONNX Runtime on the CPU.

    `session` holds session entries (`SessionOptions.add_session_config_entry`) that the manifest asks for.
    """

    def __init__(
        self,
        path: str,
        threads: int,
        session: Optional[Mapping[str, str]] = None,
        tokens: int = 0,
        per_token: Sequence[str] = (),
    ) -> None:
        onnxruntime = _require("onnxruntime", "onnxruntime")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        for key, value in (session or {}).items():
            options.add_session_config_entry(key, value)
        self._session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        self._types = {i.name: np.int32 if "int32" in i.type else np.int64 for i in self._session.get_inputs()}
        self._names = [o.name for o in self._session.get_outputs()]
        self._tokens, self._per_token = tokens, per_token

    def run(self, feeds: Feeds) -> Outputs:
        """Outputs for `feeds` (integers [batch, tokens]); padded where the file has one fixed length."""
        length = next(iter(feeds.values())).shape[1]
        if self._tokens:
            if length > self._tokens:
                raise ValueError("%d tokens; the file holds %d" % (length, self._tokens))
            feeds = pad(feeds, self._tokens)
        ready = {name: np.ascontiguousarray(feeds[name], dtype=kind) for name, kind in self._types.items()}
        results = self._session.run(None, ready)
        named = {name: np.asarray(array, dtype=np.float32) for name, array in zip(self._names, results)}
        return _cut(named, self._per_token, length)


class LiteRtModel:
    """A TFLite file with one signature for each length bucket, weights shared.

    `interpreter_module` is LiteRT's or that of its forerunner, the TensorFlow Lite Runtime; their calls are alike.
    """

    def __init__(
        self,
        interpreter_module: Any,
        path: str,
        threads: int,
        buckets: List[int],
        outputs: List[str],
        per_token: Sequence[str] = (),
    ) -> None:
        with _without_banner():
            self._interpreter = interpreter_module.Interpreter(model_path=path, num_threads=threads)
            self._interpreter.allocate_tensors()  # before the first run, or XNNPACK's kernels are not used
        self._buckets = sorted(buckets)
        self._outputs, self._per_token = outputs, per_token
        self._runners = {n: self._interpreter.get_signature_runner("tokens_%d" % n) for n in self._buckets}
        self._types = {n: r.get_input_details() for n, r in self._runners.items()}

    def run(self, feeds: Feeds) -> Outputs:
        """Outputs for `feeds` (integers [1, tokens]), padded to the smallest bucket that holds them."""
        length = next(iter(feeds.values())).shape[1]
        bucket = next((n for n in self._buckets if n >= length), None)
        if bucket is None:
            raise ValueError("%d tokens; the longest bucket holds %d" % (length, self._buckets[-1]))
        padded = pad(feeds, bucket)
        details = self._types[bucket]
        ready = {name: np.ascontiguousarray(padded[name], dtype=details[name]["dtype"]) for name in details}
        results = self._runners[bucket](**ready)
        named = {name: np.asarray(results["output_%d" % i], np.float32) for i, name in enumerate(self._outputs)}
        return _cut(named, self._per_token, length)


def _cut(outputs: Outputs, per_token: Sequence[str], length: int) -> Outputs:
    """Outputs [batch, tokens, ...] without the rows of padding."""
    return {name: array[:, :length] if name in per_token else array for name, array in outputs.items()}


def pad(feeds: Feeds, tokens: int) -> Dict[str, Any]:
    """Feeds lengthened with zeros to `tokens`; the mask's zeros make the model overlook them."""
    return {name: np.pad(array, ((0, 0), (0, tokens - array.shape[1]))) for name, array in feeds.items()}


def open_model(folder: str, entry: Mapping[str, Any], threads: int = 1) -> Any:
    """The model of a manifest's entry, ready to run. Raises RuntimeMissing, ModelUnreadable."""
    versions(entry)  # tells a missing runtime apart from a faulty file
    path = os.path.join(folder, *entry["file"].split("/"))
    outputs = entry["signature"].get("outputs", [])
    per_token = [output["name"] for output in outputs if output.get("per_token")]
    try:
        if entry["format"] == "tflite":
            names = [output["name"] for output in outputs]
            return LiteRtModel(_interpreter(entry)[0], path, threads, entry["buckets"], names, per_token)
        tokens = entry["signature"]["inputs"][0]["shape"][1] or 0
        return OnnxModel(path, threads, entry.get("session"), tokens, per_token)
    except Exception as error:  # each runtime has exceptions of its own
        raise ModelUnreadable("'{}' cannot be loaded: {}".format(entry["file"], error)) from error


def versions(entry: Mapping[str, Any]) -> Dict[str, str]:
    """Name and version of the runtime that `open_model` uses for an entry."""
    if entry["format"] == "tflite":
        from importlib import metadata

        _, name, package = _interpreter(entry)
        return {"name": name, "version": metadata.version(package)}
    return {"name": "onnxruntime", "version": _require("onnxruntime", "onnxruntime").__version__}


def _interpreter(entry: Mapping[str, Any]) -> Tuple[Any, str, str]:
    """The module that interprets a TFLite file, the runtime's name and its package's.

    A file for tflite-runtime runs in LiteRT where that is not installed; all others run in LiteRT alone.
    """
    older = None
    if entry.get("runtime") == "tflite-runtime":
        try:
            return _require("tflite_runtime.interpreter", "tflite-runtime"), "tflite-runtime", "tflite-runtime"
        except RuntimeMissing as error:
            older = error
    try:
        return _require("ai_edge_litert.interpreter", "ai-edge-litert"), "litert", "ai-edge-litert"
    except RuntimeMissing as error:
        raise older or error from None


@contextlib.contextmanager
def _without_banner() -> Iterator[None]:
    """Keep what the runtime's C++ code prints when it starts off standard error; its errors are exceptions."""
    sys.stderr.flush()
    saved, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
        os.close(nowhere)


def _require(module: str, package: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise RuntimeMissing(
            "this bundle runs in {0}, which cannot be imported here ({1}); install it: "
            "python3 -m pip install {0}".format(package, error)
        ) from None

"""Ask a bundle where there is nothing but numpy and its runtime: texts in, `edgebert predict`'s answers out."""

import json
import os
import sys
from typing import Any, Dict, List, Mapping, Sequence

from . import bundle, decoding, reading, runtimes
from .characters import TableUnreadable
from .tokenizer import TABLE, Tokenizer


class Refused(Exception):
    """Rows that cannot be answered; a line for each."""


def answers(folder: str, texts: Sequence[str], model: str = "", threads: int = 1) -> Dict[str, Any]:
    """{bundle, task, predictions} for texts, JSON objects among them; - alone: the lines of standard input.

    Raises BundleError, RuntimeMissing, ModelUnreadable, Refused.
    """
    manifest = bundle.read(folder)
    entry = bundle.model_entry(manifest, model)
    settings = manifest["decoding"]
    rows = [_row(text) for text in _given(texts)]
    wrong = [(number, reading.fault(manifest["task"], row, settings)) for number, row in enumerate(rows, 1)]
    faults = ["row {}: {}".format(number, fault) for number, fault in wrong if fault is not None]
    if faults or not rows:
        raise Refused("\n".join(faults) or "no text was given")
    tokenizer = opened(folder, manifest, entry)
    labels = manifest["labels"] or tokenizer.pieces  # a task without labels answers with pieces, if any
    answering = runtimes.open_model(folder, entry, threads)
    found = []
    for row in rows:
        read = reading.windows(manifest["task"], row, tokenizer, settings)
        windows = [{"outputs": _outputs(answering, window.feeds), "align": window.align} for window in read]
        answer = decoding.answer(manifest["task"], windows, row, labels, settings)
        found.append(dict(answer, truncated=any(window.truncated for window in read)))
    return {"bundle": manifest["name"], "task": manifest["task"], "predictions": found}


def opened(folder: str, manifest: Mapping[str, Any], entry: Mapping[str, Any]) -> Tokenizer:
    """The tokenizer of a bundle, for one of its files. Raises BundleError where it has no table of it."""
    if not os.path.exists(os.path.join(folder, TABLE)):
        reason = (manifest.get("tokenizer") or {}).get("reason") or "an older EdgeBERT made it"
        raise bundle.BundleError("{}: no {} here: {}".format(folder, TABLE, reason))
    inputs = [tensor["name"] for tensor in entry["signature"]["inputs"]]
    try:
        return Tokenizer(folder, int(manifest["decoding"]["max_tokens"]), inputs)
    except TableUnreadable as error:
        raise bundle.BundleError(str(error)) from None


def _outputs(model: Any, feeds: Mapping[str, Any]) -> Dict[str, Any]:
    return {name: array[0] for name, array in model.run(feeds).items()}


def _given(texts: Sequence[str]) -> List[str]:
    if list(texts) != ["-"]:
        return list(texts)
    try:
        lines = sys.stdin.buffer.read().decode("utf-8-sig").split("\n")
    except UnicodeDecodeError as error:
        raise Refused("standard input is not UTF-8 at byte {}".format(error.start + 1)) from None
    return [line[:-1] if line.endswith("\r") else line for line in (lines if lines[-1] else lines[:-1])]


def _row(text: str) -> Dict[str, Any]:
    """A JSON object where the text is one, else a row of the text itself."""
    if text.lstrip().startswith("{"):
        try:
            found = json.loads(text)
        except (ValueError, RecursionError):
            found = None
        if isinstance(found, dict):
            return found
    return {"text": text}

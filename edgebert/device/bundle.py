"""A bundle on disk: every file is checked against SHA256SUMS before anything of it is used."""

import hashlib
import json
import os
from typing import Any, Dict, List

from .onnx_file import keeps_data_outside

SCHEMA = 1
SUMS = "SHA256SUMS"
_NEEDED = ("name", "task", "labels", "default_model", "target", "models", "decoding")


class BundleError(Exception):
    """The folder is not the bundle it claims to be, or not one that this version can read."""


def digest(folder: str) -> str:
    """The bundle's digest: sha256 of SHA256SUMS, which covers every other file."""
    return _sha256(os.path.join(folder, SUMS))


def check_files(folder: str) -> None:
    """Raise BundleError unless the folder holds exactly the files of SHA256SUMS with exactly their contents.

    Links, unlisted files, paths that leave the folder and ONNX tensors kept outside their file are refused;
    `__pycache__` folders are overlooked.
    """
    listed = _listed(folder)
    present = _present(folder)
    for name in sorted(set(present) - set(listed)):
        raise BundleError("{}: holds '{}', which {} does not list".format(folder, name, SUMS))
    for name in sorted(set(listed) - set(present)):
        raise BundleError("{}: '{}' is missing".format(folder, name))
    for name in sorted(listed):
        path = os.path.join(folder, *name.split("/"))
        if _sha256(path) != listed[name]:
            raise BundleError(
                "{}: '{}' was changed after the bundle was made (sha256 differs)".format(folder, name)
            )
        if name.endswith(".onnx"):
            _check_onnx(folder, name)


def read(folder: str) -> Dict[str, Any]:
    """The manifest of a bundle whose files were all checked. Raises BundleError."""
    if not os.path.isfile(os.path.join(folder, "manifest.json")):
        raise BundleError("{}: no bundle here (it has no manifest.json)".format(folder))
    check_files(folder)
    with open(os.path.join(folder, "manifest.json"), encoding="utf-8") as file:
        try:
            manifest = json.load(file)
        except ValueError as error:
            raise BundleError("{}: manifest.json is not JSON: {}".format(folder, error)) from None
    schema = manifest.get("schema") if isinstance(manifest, dict) else None
    if not isinstance(schema, int):
        raise BundleError("{}: manifest.json names no schema".format(folder))
    if schema > SCHEMA:
        raise BundleError(
            "{}: a bundle of schema {}, made by a newer EdgeBERT; this one reads up to {}; "
            "upgrade EdgeBERT to read it".format(folder, schema, SCHEMA)
        )
    missing = [key for key in _NEEDED if key not in manifest]
    if missing or not isinstance(manifest["models"], list) or not manifest["models"]:
        raise BundleError("{}: manifest.json lacks {}".format(folder, ", ".join(missing) or "models"))
    listed = _listed(folder)
    for entry in manifest["models"]:
        if not isinstance(entry, dict) or not {"id", "file", "format", "signature"} <= set(entry):
            raise BundleError("{}: a model of manifest.json lacks id, file, format or signature".format(folder))
        if entry["file"] not in listed:
            said = "{}: manifest.json names the model file '{}', which is not one of the bundle's"
            raise BundleError(said.format(folder, entry["file"]))
        if entry["format"] == "onnx":
            _check_onnx(folder, entry["file"])
    return manifest  # type: ignore[no-any-return]


def golden(folder: str, rows: int = 0) -> List[Dict[str, Any]]:
    """The golden rows of a bundle, the first `rows` of them (0: all)."""
    try:
        with open(os.path.join(folder, "golden.jsonl"), encoding="utf-8") as file:
            found = [json.loads(line) for line in file]
    except (OSError, ValueError) as error:
        raise BundleError("{}: golden.jsonl cannot be read: {}".format(folder, error)) from None
    for number, row in enumerate(found, 1):
        if not isinstance(row, dict) or not {"ids", "outputs", "label", "tolerance"} <= set(row):
            raise BundleError("{}: golden.jsonl line {} is not a golden row".format(folder, number))
    if not found:
        raise BundleError("{}: golden.jsonl has no rows".format(folder))
    return found[:rows] if rows else found


def model_entry(manifest: Dict[str, Any], model: str = "") -> Dict[str, Any]:
    """The manifest's entry of a model file, by id; the default model without one. Raises BundleError."""
    wanted = model or manifest["default_model"]
    for entry in manifest["models"]:
        if entry["id"] == wanted:
            return entry  # type: ignore[no-any-return]
    known = ", ".join(entry["id"] for entry in manifest["models"])
    raise BundleError("no model '{}' in this bundle; known: {}".format(wanted, known))


def _listed(folder: str) -> Dict[str, str]:
    path = os.path.join(folder, SUMS)
    if not os.path.isfile(path) or os.path.islink(path):
        raise BundleError("{}: no {}".format(folder, SUMS))
    listed = {}
    with open(path, encoding="utf-8", errors="replace") as file:
        for number, line in enumerate(file, 1):
            sha256, separator, name = line.rstrip("\n").partition("  ")
            parts = name.split("/")
            if not separator or len(sha256) != 64 or os.path.isabs(name) or ".." in parts or "" in parts:
                raise BundleError("{}: {} line {} is not 'sha256  path'".format(folder, SUMS, number))
            listed[name] = sha256
    return listed


def _present(folder: str) -> List[str]:
    found = []
    for here, folders, files in os.walk(folder):
        if "__pycache__" in folders:
            folders.remove("__pycache__")
        for name in folders + files:
            path = os.path.join(here, name)
            if os.path.islink(path):
                raise BundleError("{}: '{}' is a link".format(folder, os.path.relpath(path, folder)))
        for name in files:
            relative = os.path.relpath(os.path.join(here, name), folder).replace(os.sep, "/")
            if relative != SUMS:
                found.append(relative)
    return found


def _sha256(path: str) -> str:
    state = hashlib.sha256()
    with open(path, "rb") as file:
        for block in iter(lambda: file.read(1 << 20), b""):
            state.update(block)
    return state.hexdigest()


def _check_onnx(folder: str, name: str) -> None:
    """Refuse a file that keeps tensors outside itself: a path in it may lead anywhere."""
    try:
        outside = keeps_data_outside(os.path.join(folder, *name.split("/")))
    except ValueError as error:
        raise BundleError("{}: '{}' is not an ONNX file: {}".format(folder, name, error)) from None
    if outside:
        raise BundleError("{}: '{}' keeps tensors outside its file".format(folder, name))

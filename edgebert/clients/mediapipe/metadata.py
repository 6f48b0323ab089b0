"""What MediaPipe reads beside the graph: TFLite's metadata table, and the files that it names behind the model.

The table is written as `metadata_schema.fbs` of MediaPipe orders its fields; the files are a ZIP archive that is
appended to the flatbuffer.
"""

from __future__ import annotations

import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

VOCABULARY, LABELS = "vocab.txt", "labels.txt"
INPUTS = ("ids", "mask", "segment_ids")  # the names by which MediaPipe finds them, in the graph's order
OUTPUT = "probability"
IDENTIFIER = b"M001"
PARSER = "1.1.0"  # the first that reads a BERT tokenizer
KEY = "TFLITE_METADATA"

# Of enums and unions of the schema:
AXIS_LABELS, VOCABULARY_FILE = 2, 5
FEATURE_PROPERTIES, BERT_TOKENIZER = 1, 4


def write(model: Any, path: Path, name: str, labels: Sequence[str], vocabulary: bytes) -> None:
    """Write a model of the schema's classes to `path`, with its metadata, its vocabulary and its labels."""
    import numpy as np
    from ai_edge_litert import schema_py_generated as schema
    from ai_edge_litert.tools import flatbuffer_utils

    buffer = schema.BufferT()
    buffer.data = table(name)
    model.buffers.append(buffer)
    entry = schema.MetadataT()
    entry.name, entry.buffer = KEY.encode(), len(model.buffers) - 1
    model.metadata = [*(model.metadata or []), entry]
    for one in model.buffers:
        if one.data is not None:  # as an array: bytes are written one by one
            one.data, one.offset, one.size = np.frombuffer(bytes(one.data), np.uint8), 0, 0
    flatbuffer_utils.write_model(model, str(path))
    files = {VOCABULARY: vocabulary, LABELS: "".join(f"{label}\n" for label in labels).encode()}
    with zipfile.ZipFile(path, "a") as archive:
        for file, data in files.items():
            archive.writestr(zipfile.ZipInfo(file), data)  # of 1980: the same bundle gives the same file


def table(name: str) -> bytes:
    """The metadata of a classifier that is called `name`."""
    import flatbuffers

    builder = flatbuffers.Builder(1024)
    vocabulary = _table(builder, {0: VOCABULARY, 2: _Byte(VOCABULARY_FILE)})
    tokenizer = _table(builder, {0: _vector(builder, [vocabulary])})
    unit = _table(builder, {0: _Byte(BERT_TOKENIZER), 1: _Place(tokenizer)})
    inputs = [_table(builder, {0: called, 3: _features(builder)}) for called in INPUTS]
    labels = _table(builder, {0: LABELS, 2: _Byte(AXIS_LABELS)})
    output: Fields = {0: OUTPUT, 3: _features(builder), 6: _vector(builder, [labels])}
    outputs = _vector(builder, [_table(builder, output)])
    graph = _table(builder, {2: _vector(builder, inputs), 3: outputs, 5: _vector(builder, [unit])})
    whole: Fields = {0: name, 3: _vector(builder, [graph]), 7: PARSER}
    builder.Finish(_table(builder, whole), IDENTIFIER)
    return bytes(builder.Output())


class _Byte(int):
    """A field of one byte."""


class _Place(int):
    """A field that is a table or vector written before."""


Fields = Mapping[int, str | _Byte | _Place]


def _table(builder: Any, fields: Fields) -> int:
    """Write a table of the fields with these numbers; its place."""
    ready = {
        slot: _Place(builder.CreateString(value)) if isinstance(value, str) else value
        for slot, value in fields.items()
    }
    builder.StartObject(max(ready) + 1)
    for slot, value in ready.items():
        if isinstance(value, _Byte):
            builder.PrependUint8Slot(slot, value, 0)
        else:
            builder.PrependUOffsetTRelativeSlot(slot, value, 0)
    return int(builder.EndObject())


def _vector(builder: Any, places: Sequence[int]) -> _Place:
    builder.StartVector(4, len(places), 4)
    for place in reversed(places):
        builder.PrependUOffsetTRelative(place)
    return _Place(builder.EndVector())


def _features(builder: Any) -> _Place:
    """Contents that are features, and no image or sound."""
    builder.StartObject(0)
    properties = _Place(builder.EndObject())
    return _Place(_table(builder, {0: _Byte(FEATURE_PROPERTIES), 1: properties}))

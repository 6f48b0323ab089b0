from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from edgebert.android import layout
from tests.conftest import Built


def test_the_order_is_that_of_the_subgraph(built: Built) -> None:
    """The same from LiteRT's own reader of the file."""
    from ai_edge_litert.tools import flatbuffer_utils

    path = built.bundle("android-cpu") / "model.tflite"
    model: Any = flatbuffer_utils.read_model(str(path))
    assert len(model.signatureDefs) > 1
    for signature in model.signatureDefs:
        graph = model.subgraphs[signature.subgraphIndex]
        inputs = {one.tensorIndex: one.name.decode() for one in signature.inputs}
        outputs = {one.tensorIndex: one.name.decode() for one in signature.outputs}
        found = layout.read(path, signature.signatureKey.decode())
        assert found.inputs == [inputs[i] for i in graph.inputs]
        assert [name for name, _ in found.outputs] == [outputs[i] for i in graph.outputs]
        assert [size for _, size in found.outputs] == [3]
    assert sorted(found.inputs) == ["attention_mask", "input_ids", "token_type_ids"]


def test_a_signature_that_is_not_there_is_told(built: Built) -> None:
    with pytest.raises(ValueError, match="no signature 'tokens_7'"):
        layout.read(built.bundle("android-cpu") / "model.tflite", "tokens_7")


@pytest.mark.parametrize("contents", [b"", b"\x10\0\0\0TFL3", b"\xff" * 64, b"\0" * 64])
def test_a_file_that_is_none_is_told(tmp_path: Path, contents: bytes) -> None:
    path = tmp_path / "model.tflite"
    path.write_bytes(contents)
    with pytest.raises(ValueError, match=r"."):
        layout.read(path, "tokens_16")

"""Look into an ONNX file without the onnx package: does it keep tensors outside itself?"""

from typing import Any, Tuple

# Where a tensor can be, by message and field number of onnx.proto.
_WITHIN = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "function": {7: "node", 11: "attribute"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": {},
}  # type: Any
_EXTERNAL_DATA, _DATA_LOCATION, _EXTERNAL = 13, 14, 1  # TensorProto's fields, and the enum's value


def keeps_data_outside(path: str) -> bool:
    """Whether a tensor of the file is stored elsewhere. Raises ValueError where it is not a protobuf message."""
    with open(path, "rb") as file:
        data = memoryview(file.read())
    try:
        return _outside(data, "model")
    except (IndexError, RecursionError):
        raise ValueError("it ends in the middle of a message") from None


def _outside(data: Any, kind: str) -> bool:
    at = 0
    while at < len(data):
        tag, at = _number(data, at)
        field, wire = tag >> 3, tag & 7
        if wire == 0:
            value, at = _number(data, at)
            if kind == "tensor" and field == _DATA_LOCATION and value == _EXTERNAL:
                return True
        elif wire == 2:
            size, at = _number(data, at)
            if at + size > len(data):
                raise ValueError("it is cut")
            if kind == "tensor" and field == _EXTERNAL_DATA:
                return True
            within = _WITHIN[kind].get(field)
            if within and _outside(data[at : at + size], within):
                return True
            at += size
        elif wire in (1, 5):
            at += 8 if wire == 1 else 4
        else:
            raise ValueError("it is not a protobuf message")
    return False


def _number(data: Any, at: int) -> Tuple[int, int]:
    """A variable-length integer and where it ends."""
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
        shift += 7

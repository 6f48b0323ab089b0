"""Export a checkpoint to ONNX with Hugging Face Optimum, in an environment that holds it.

Standard input is a JSON object: `folder` of the checkpoint, `task` as Optimum names it, `out` (a folder), `opset`,
and `shapes`: {batch_size, sequence_length} of a file of fixed shape, empty for any. Written: `out`/model.onnx.
"""

from __future__ import annotations

import json
import os
import sys


def main() -> None:
    """Read the request and export."""
    request = json.load(sys.stdin)
    os.environ["HF_HUB_OFFLINE"] = "1"  # read when the libraries are imported
    from optimum.exporters.onnx import main_export

    main_export(
        request["folder"],
        output=request["out"],
        task=request["task"],
        opset=request["opset"],
        library_name="transformers",
        local_files_only=True,
        do_validation=False,  # it is held against our own torch model
        no_dynamic_axes=bool(request["shapes"]),
        **request["shapes"],
    )


if __name__ == "__main__":
    main()

"""Worker: open a file once, then a line of token ids in, a line of outputs out, until standard input ends."""

import json
import sys
from typing import Any, Dict, Iterator, TextIO

import numpy as np

from . import runtimes


def run(lines: TextIO) -> Iterator[Dict[str, Any]]:
    """Replies to a request (folder, entry and threads) and then to each row of ids by input name.

    The first reply tells the runtime's name and version; the others are outputs by name, rows of float32 that
    JSON's numbers hold exactly. Raises RuntimeMissing, ModelUnreadable.
    """
    request = json.loads(lines.readline())
    model = runtimes.open_model(request["folder"], request["entry"], request["threads"])
    yield runtimes.versions(request["entry"])
    for line in lines:
        found = model.run({name: np.asarray(ids) for name, ids in json.loads(line).items()})
        yield {name: array.tolist() for name, array in found.items()}


if __name__ == "__main__":
    for reply in run(sys.stdin):
        print(json.dumps(reply), flush=True)

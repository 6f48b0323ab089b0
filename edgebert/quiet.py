"""Keep what libraries print, from Python or from C++, in a log file instead of on the user's screen."""

from __future__ import annotations

import contextlib
import ctypes
import logging
import os
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

# Read when the libraries are imported: no telemetry, no banners.
ENVIRONMENT = {
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "TRANSFORMERS_VERBOSITY": "error",
    "TOKENIZERS_PARALLELISM": "false",
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "JAX_PLATFORMS": "cpu",
    # threads that wait sleep instead of spinning: beside other work spinning made training four times slower
    "OMP_WAIT_POLICY": "PASSIVE",
    "GOMP_SPINCOUNT": "0",
}
CHATTY = ("torchao", "torch.utils._pytree")  # warn of GPU kernels and of their own code when they are imported


def prepare() -> None:
    """Set the libraries' environment, where the user has not."""
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    for name in CHATTY:
        logging.getLogger(name).setLevel(logging.ERROR)


def _flush_c() -> None:
    """Write out what C and C++ keep in buffers of their own, while it still goes to the right place."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).fflush(None)


@contextlib.contextmanager
def into(log: Path) -> Iterator[None]:
    """Send standard output and error of this process to a file; Python warnings are dropped."""
    log.parent.mkdir(parents=True, exist_ok=True)
    sys.stdout.flush()
    sys.stderr.flush()
    _flush_c()
    saved = os.dup(1), os.dup(2)
    level = logging.root.manager.disable
    with log.open("a", encoding="utf-8") as file, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
            yield
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            _flush_c()
            os.dup2(saved[0], 1)
            os.dup2(saved[1], 2)
            os.close(saved[0])
            os.close(saved[1])
            logging.disable(level)

"""EdgeBERT: compile BERT-family models into on-device bundles that were checked as shipped."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edgebert.opening import Bundle, open_bundle
    from edgebert.pipeline import build

__version__ = "0.1.0"
__all__ = ["Bundle", "__version__", "build", "open_bundle"]

_HOME = {"build": "edgebert.pipeline", "open_bundle": "edgebert.opening", "Bundle": "edgebert.opening"}


def __getattr__(name: str) -> Any:
    """Import the public functions on first use, so that `import edgebert` stays light."""
    if name in _HOME:
        import importlib

        return getattr(importlib.import_module(_HOME[name]), name)
    raise AttributeError(f"module 'edgebert' has no attribute '{name}'")

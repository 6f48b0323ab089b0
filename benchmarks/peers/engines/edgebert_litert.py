"""A second bundle of the same checkpoint, for LiteRT, opened by its own device code."""

from __future__ import annotations

from engines.edgebert import make as make, opened as opened

ENVIRONMENT = None
NEEDS: tuple[str, ...] = ()
FILES: tuple[str, ...] = ()  # the bundle's default file

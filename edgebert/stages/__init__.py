"""Stages: each a function from artifact to artifact, in a file of its own; none imports another."""

from __future__ import annotations

from collections.abc import Callable

Tell = Callable[[int, int], None]  # how many units of the step's work are done, of how many

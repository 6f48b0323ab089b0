"""Runtimes for boards: what is listed, for which Pythons, and what is told where one cannot be had."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from edgebert import environments
from edgebert.device import board
from edgebert.emulation import userland
from edgebert.errors import SurroundingsError

PYTHONS = ["3.9", "3.10", "3.11", "3.12", "3.13", "3.14"]
LISTED = {
    "onnxruntime": ["3.8", *PYTHONS],
    "ai-edge-litert": PYTHONS,  # never made for 3.8
    "tflite-runtime": ["3.9", "3.10", "3.11"],  # the last release, of 2023
}


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, so that nothing of the user's is seen or changed."""
    monkeypatch.setenv("EDGEBERT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path / "cache"


def test_every_runtime_is_listed_for_every_python() -> None:
    assert set(LISTED) == set(userland.RUNTIMES.values())
    for package, pythons in LISTED.items():
        assert environments.board_pythons(package) == pythons
    assert LISTED["onnxruntime"][0] == ".".join(map(str, board.OLDEST))
    assert all(userland.PYTHON in pythons for pythons in LISTED.values())


@pytest.mark.parametrize("package", sorted(LISTED))
def test_a_list_names_the_runtime_and_numpy_pinned_and_hashed(package: str) -> None:
    for python in LISTED[package]:
        text = (environments.LISTS / userland.wheels(package, python)).read_text(encoding="utf-8")
        lines = text.replace("\\\n", " ").splitlines()
        assert {line.partition("==")[0] for line in lines} == {package, "numpy"}
        assert all("--hash=sha256:" in line for line in lines)


def test_a_python_without_wheels_is_told_with_the_known_ones(cache: Path) -> None:
    wanted = r"no wheels of ai-edge-litert are listed for Python 3\.8 on aarch64; known: Python 3\.9, 3\.10, 3\.11"
    with pytest.raises(SurroundingsError, match=wanted) as told:
        environments.board_runtime("ai-edge-litert", "3.8")
    assert "install it there by hand: python3 -m pip install ai-edge-litert numpy" in str(told.value)
    assert not cache.exists()


def test_a_runtime_without_any_list_is_told_too(cache: Path) -> None:
    with pytest.raises(SurroundingsError, match=r"on aarch64; install it there by hand") as told:
        environments.board_runtime("tensorflow", "3.11")
    assert "known" not in str(told.value)


def test_wheels_that_cannot_be_had_leave_a_log_and_nothing_else(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", "")
    with pytest.raises(SurroundingsError, match="run the same command again") as told:
        environments.board_runtime("onnxruntime", "3.11")
    log = Path(str(told.value).partition("what it printed is in ")[2].partition(";")[0])
    assert "No matching distribution" in log.read_text(encoding="utf-8")
    assert [path.name for path in cache.rglob("*") if path.is_dir()] == ["runtimes"]

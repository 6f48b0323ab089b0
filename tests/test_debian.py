"""Packages of a Debian release as files: what is run for them, and what is told where it cannot be."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest

from edgebert import debian
from edgebert.errors import SurroundingsError


def test_a_package_is_downloaded_with_lists_of_its_own_and_unpacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(debian, "KEYRING", tmp_path)
    monkeypatch.setattr(shutil, "which", lambda tool: f"/usr/bin/{tool}")
    ran: list[Sequence[str]] = []

    def run(command: Sequence[str]) -> None:
        ran.append(command)
        if command[0] == "env":
            folder = Path(command[1].removeprefix("--chdir="))
            assert f"signed-by={tmp_path}] " in (folder / "sources.list").read_text()
            (folder / "tool_1.0_amd64.deb").touch()

    out = tmp_path / "root"
    debian.unpack("tool", "trixie", out, run)
    assert [command[-1] for command in ran] == ["update", "tool", str(out)]
    for command in ran[:2]:
        own = [option for option in command if option.startswith("Dir::")]
        assert len(own) == 6 and all(str(tmp_path) in option for option in own)
    assert list(tmp_path.iterdir()) == []


def test_what_is_missing_is_told_with_the_command_that_mends_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(debian, "KEYRING", tmp_path / "keys.gpg")
    monkeypatch.setattr(shutil, "which", lambda tool: None)
    with pytest.raises(
        SurroundingsError, match=r"sudo apt-get install apt dpkg coreutils debian-archive-keyring$"
    ):
        debian.unpack("tool", "trixie", tmp_path / "root", lambda command: None)
    assert list(tmp_path.iterdir()) == []

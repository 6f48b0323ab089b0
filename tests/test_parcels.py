"""Parcels: the same files have the same name and the same bytes, other files another name."""

from __future__ import annotations

import os
import tarfile
from pathlib import Path

from edgebert import parcels


def write(folder: Path) -> Path:
    (folder / "onnx").mkdir(parents=True)
    (folder / "a.txt").write_text("a")
    (folder / "onnx" / "model.onnx").write_bytes(bytes(5000))
    return folder


def test_the_same_files_have_one_name_and_one_archive(tmp_path: Path) -> None:
    first, second = write(tmp_path / "first"), write(tmp_path / "second")
    os.utime(second / "a.txt", (1, 1))
    (second / "a.txt").chmod(0o600)
    packed = [parcels.of_folder("bundle", folder) for folder in (first, second)]
    assert packed[0].name == packed[1].name
    assert packed[0].name.startswith("bundle-")
    assert packed[0].pack(tmp_path / "1.tar") == packed[1].pack(tmp_path / "2.tar")
    assert (tmp_path / "1.tar").read_bytes() == (tmp_path / "2.tar").read_bytes()
    assert packed[0].size == 5001


def test_another_byte_or_another_path_is_another_name(tmp_path: Path) -> None:
    folder = write(tmp_path / "folder")
    names = {parcels.of_folder("bundle", folder).name}
    (folder / "a.txt").write_text("b")
    names.add(parcels.of_folder("bundle", folder).name)
    (folder / "a.txt").rename(folder / "b.txt")
    names.add(parcels.of_folder("bundle", folder).name)
    assert len(names) == 3


def test_a_folder_with_a_digest_of_its_own_is_named_by_it(tmp_path: Path) -> None:
    assert parcels.of_folder("bundle", write(tmp_path / "folder"), "abc").name == "bundle-abc"


def test_compiled_files_are_neither_packed_nor_named(tmp_path: Path) -> None:
    folder = write(tmp_path / "folder")
    before = parcels.of_folder("code", folder)
    (folder / "onnx" / "__pycache__").mkdir()
    (folder / "onnx" / "__pycache__" / "x.pyc").write_bytes(b"x")
    after = parcels.of_folder("code", folder)
    assert after == before
    after.pack(tmp_path / "1.tar")
    with tarfile.open(tmp_path / "1.tar") as tar:
        assert tar.getnames() == ["a.txt", "onnx/model.onnx"]
        assert {member.mode for member in tar.getmembers()} == {0o644}


def test_some_files_of_a_folder_are_named_by_their_content(tmp_path: Path) -> None:
    folder = write(tmp_path / "folder")
    one = parcels.of_files("reference", folder, ["onnx/model.onnx"])
    assert one.size == 5000
    (folder / "a.txt").write_text("of no matter")
    assert parcels.of_files("reference", folder, ["onnx/model.onnx"]).name == one.name
    (folder / "onnx" / "model.onnx").write_bytes(b"1")
    assert parcels.of_files("reference", folder, ["onnx/model.onnx"]).name != one.name

"""A bundle is read only while it holds exactly the files of SHA256SUMS with exactly their contents."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edgebert.device import bundle as bundles
from edgebert.device.bundle import BundleError
from tests.conftest import Built


@pytest.fixture
def copied(bundle: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(bundle, tmp_path / "copied"))


def reseal(folder: Path) -> None:
    """Write SHA256SUMS anew, as somebody who changed a bundle on purpose would."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != "SHA256SUMS")
    lines = [f"{hashlib.sha256(p.read_bytes()).hexdigest()}  {p.relative_to(folder).as_posix()}\n" for p in files]
    (folder / "SHA256SUMS").write_text("".join(lines))


def change_manifest(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    manifest = json.loads((folder / "manifest.json").read_text())
    change(manifest)
    (folder / "manifest.json").write_text(json.dumps(manifest))
    reseal(folder)


@pytest.mark.parametrize("target", ["raspberry-pi-5", "android-cpu", "jetson-orin-nano"])
def test_a_bundle_as_built_is_sound(target: str, built: Built) -> None:
    manifest = bundles.read(str(built.bundle(target)))
    assert manifest["schema"] == bundles.SCHEMA
    assert manifest["target"]["name"] == target


def test_sha256sum_reads_the_sums_and_agrees(bundle: Path) -> None:
    done = subprocess.run(
        ["sha256sum", "--check", "--strict", "--quiet", "SHA256SUMS"], cwd=bundle, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_the_digest_is_the_sha256_of_the_sums_and_the_one_build_told(built: Built) -> None:
    folder = built.bundle("raspberry-pi-5")
    expected = hashlib.sha256((folder / "SHA256SUMS").read_bytes()).hexdigest()
    assert bundles.digest(str(folder)) == expected
    assert built.outcomes["raspberry-pi-5"].verdict.digest == expected


def test_sealing_a_copy_anew_gives_the_same_sums(copied: Path, bundle: Path) -> None:
    reseal(copied)
    assert (copied / "SHA256SUMS").read_text() == (bundle / "SHA256SUMS").read_text()


def flip_a_bit(folder: Path) -> None:
    path = folder / "onnx" / "model_quantized.onnx"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def link_a_file(folder: Path) -> None:
    (folder / "vocab.txt").rename(folder.parent / "vocab.txt")
    (folder / "vocab.txt").symlink_to(folder.parent / "vocab.txt")


def link_a_folder(folder: Path) -> None:
    (folder / "device").rename(folder.parent / "device")
    (folder / "device").symlink_to(folder.parent / "device", target_is_directory=True)


def append(name: str, text: str) -> Callable[[Path], None]:
    def add(folder: Path) -> None:
        with (folder / name).open("a") as file:
            file.write(text)

    return add


DAMAGE: dict[str, tuple[Callable[[Path], object], str]] = {
    "a flipped bit": (flip_a_bit, r"'onnx/model_quantized\.onnx' was changed"),
    "a longer manifest": (append("manifest.json", "\n"), "'manifest.json' was changed"),
    "a missing file": (lambda f: (f / "vocab.txt").unlink(), "'vocab.txt' is missing"),
    "another file": (lambda f: (f / "more.txt").write_text("x"), "'more.txt', which SHA256SUMS does not list"),
    "a hidden file": (lambda f: (f / "onnx" / ".x").write_text("x"), "'onnx/.x', which SHA256SUMS does not list"),
    "a link to a file": (link_a_file, "'vocab.txt' is a link"),
    "a link to a folder": (link_a_folder, "'device' is a link"),
    "no sums": (lambda f: (f / "SHA256SUMS").unlink(), "no SHA256SUMS"),
    "no manifest": (lambda f: (f / "manifest.json").unlink(), "no bundle here"),
    "a path that leaves": (append("SHA256SUMS", f"{'0' * 64}  ../outside\n"), r"line \d+ is not 'sha256  path'"),
    "an absolute path": (append("SHA256SUMS", f"{'0' * 64}  /etc/hostname\n"), r"line \d+ is not 'sha256  path'"),
    "a line of another kind": (append("SHA256SUMS", "what is this\n"), r"line \d+ is not 'sha256  path'"),
    "sums that are no text": (lambda f: (f / "SHA256SUMS").write_bytes(b"\xff\xfe\x00"), "SHA256SUMS"),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_a_damaged_bundle_is_refused_with_the_file_that_is_wrong(kind: str, copied: Path) -> None:
    damage, told = DAMAGE[kind]
    damage(copied)
    with pytest.raises(BundleError, match=told) as caught:
        bundles.read(str(copied))
    assert str(copied) in str(caught.value)


def test_a_cache_of_byte_code_is_overlooked(copied: Path) -> None:
    (copied / "device" / "__pycache__").mkdir()
    (copied / "device" / "__pycache__" / "bundle.cpython-38.pyc").write_bytes(b"any")
    bundles.check_files(str(copied))


def test_a_tensor_kept_outside_its_file_is_refused_even_where_the_sums_hold(copied: Path) -> None:
    import onnx

    path = copied / "onnx" / "model_quantized.onnx"
    onnx.save(onnx.load(str(path)), str(path), save_as_external_data=True, location="w.bin", size_threshold=0)
    reseal(copied)
    with pytest.raises(BundleError, match="keeps tensors outside its file"):
        bundles.check_files(str(copied))


def test_an_unknown_key_of_the_manifest_is_ignored(copied: Path) -> None:
    change_manifest(copied, lambda manifest: manifest.update(later={"what": "ever"}))
    assert bundles.read(str(copied))["later"] == {"what": "ever"}


@pytest.mark.parametrize(
    ("schema", "told"), [(bundles.SCHEMA + 1, "upgrade EdgeBERT"), (None, "no schema"), ("1", "no schema")]
)
def test_a_manifest_of_another_schema_is_refused(schema: object, told: str, copied: Path) -> None:
    change_manifest(copied, lambda manifest: manifest.update(schema=schema))
    with pytest.raises(BundleError, match=told):
        bundles.read(str(copied))


@pytest.mark.parametrize("text", ["", "{", "[1, 2]", "null"])
def test_a_manifest_that_is_no_json_object_is_refused(text: str, copied: Path) -> None:
    (copied / "manifest.json").write_text(text)
    reseal(copied)
    with pytest.raises(BundleError, match=r"manifest\.json"):
        bundles.read(str(copied))


def test_there_are_at_least_64_golden_rows_of_known_keys(bundle: Path) -> None:
    rows = bundles.golden(str(bundle))
    assert len(rows) >= 64
    assert bundles.golden(str(bundle), 5) == rows[:5]
    for row in rows:
        assert {"inputs", "ids", "outputs", "reference", "label", "tolerance"} <= set(row)
        assert len({len(ids) for ids in row["ids"].values()}) == 1
        assert len(row["outputs"]["logits"]) == len(row["reference"]["logits"]) == 3
        assert row["tolerance"] > 0


def test_a_model_is_found_by_its_id_and_the_default_without_one(built: Built) -> None:
    manifest = bundles.read(str(built.bundle("jetson-orin-nano")))
    assert bundles.model_entry(manifest)["id"] == manifest["default_model"] == "fp16"
    assert bundles.model_entry(manifest, "int8")["file"] == "onnx/model_quantized.onnx"
    with pytest.raises(BundleError, match="no model 'int4' in this bundle; known: fp16, int8"):
        bundles.model_entry(manifest, "int4")

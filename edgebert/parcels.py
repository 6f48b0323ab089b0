"""Parcels: folders packed for a board, named by what is in them, so that none is sent twice."""

from __future__ import annotations

import tarfile
from dataclasses import dataclass
from pathlib import Path

from edgebert.store import digest_of, digest_of_files, key_of


@dataclass(frozen=True)
class Parcel:
    """Files to send, by their path in the parcel; `name` holds the hash of them all."""

    name: str
    files: dict[str, Path]

    @property
    def size(self) -> int:
        """Bytes of the files."""
        return sum(path.stat().st_size for path in self.files.values())

    def pack(self, archive: Path) -> str:
        """Write the parcel as a tar file; its sha256. The same files give the same bytes."""
        with tarfile.open(archive, "w", format=tarfile.PAX_FORMAT) as tar:
            for name, path in sorted(self.files.items()):
                entry = tarfile.TarInfo(name)
                entry.size = path.stat().st_size
                entry.mode = 0o644
                with path.open("rb") as file:
                    tar.addfile(entry, file)
        return digest_of(archive)


def of_folder(kind: str, folder: Path, digest: str | None = None) -> Parcel:
    """All files of a folder; named by `digest` where the folder has one of its own."""
    found = digest_of_files(folder, ignore=())
    listed = {name: sha256 for name, sha256 in found.items() if "__pycache__" not in name.split("/")}
    files = {name: folder / name for name in listed}
    return Parcel(f"{kind}-{digest or key_of(listed)}", files)


def of_files(kind: str, folder: Path, names: list[str]) -> Parcel:
    """Some files of a folder."""
    files = {name: folder / name for name in names}
    return Parcel(f"{kind}-{key_of({name: digest_of(path) for name, path in files.items()})}", files)

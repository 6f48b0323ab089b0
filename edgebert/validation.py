"""The verb `validate`: where to run a bundle, with which rows; the proof is written beside the bundle."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from edgebert import opening, proof, transports
from edgebert.device import bundle as bundles
from edgebert.errors import InputError, is_disk_full
from edgebert.jobs import Tell
from edgebert.proof import Proof
from edgebert.references import Shipped
from edgebert.stages import validate
from edgebert.transports import Options

LIMIT_S = 1800.0
SUSTAINED_S = 60.0


@dataclass(frozen=True)
class Request:
    """What the command line asks for; `rows` and `sustained_s` of None stand for the transport's own habit."""

    folder: Path
    on: str
    model: str = ""
    data: Path | None = None
    rows: int | None = None
    reference: Path | None = None
    digest: str | None = None
    threads: int = 1
    sustained_s: float | None = None
    limit_s: float = LIMIT_S
    options: Options = field(default_factory=Options)


def run(request: Request, tell: Tell = lambda *_: None) -> tuple[Proof, Path]:
    """Validate a bundle and keep the proof: the proof and its file.

    Raises InputError for a faulty bundle, place or data file before anything runs, SurroundingsError where the
    device cannot be used.
    """
    manifest = opening.read_manifest(request.folder)
    _check_digest(request)
    try:
        entry = bundles.model_entry(manifest.model_dump(by_alias=True), request.model)
    except bundles.BundleError as error:
        raise InputError(str(error)) from None
    transport, address = transports.place("--on", request.on, manifest.target)
    transports.check_options(request.options, transport)
    rows, sha256 = [], None
    if request.data is not None:
        split = opening.read_rows(manifest, request.data)
        rows, sha256 = split.rows[: request.rows or None], split.sha256
    _check_writable(proof.folder_of(request.folder, manifest.target.name))
    sustained = SUSTAINED_S if transport.SUSTAINED else 0.0
    work = validate.Work(
        shipped=Shipped(request.folder.resolve(), manifest, entry),
        transport=transport,
        address=address,
        options=request.options,
        golden=0 if request.data is not None else request.rows or 0,
        rows=rows,
        data=sha256,
        reference=request.reference,
        threads=request.threads,
        sustained_s=sustained if request.sustained_s is None else request.sustained_s,
        limit_s=request.limit_s,
    )
    found = validate.run(work, tell)
    return found, proof.write(found, request.folder)


def _check_writable(folder: Path) -> None:
    """Told before the run rather than after it; nothing is left behind."""
    try:
        there = next(place for place in (folder, *folder.parents) if place.exists())
        with tempfile.TemporaryFile(dir=there):
            pass
    except OSError as error:
        if is_disk_full(error):
            raise
        raise InputError(
            f"the proof, which is kept in {folder}, cannot be written: {error.strerror}; copy the bundle to a "
            "folder of yours"
        ) from None


def _check_digest(request: Request) -> None:
    if request.digest is not None and request.digest.lower() != (found := opening.digest(request.folder)):
        raise InputError(
            f"--digest {request.digest}: {request.folder} has the digest {found}; it is another bundle"
        )

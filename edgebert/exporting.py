"""Write a client for bundles: their files checked, what it cannot serve told before anything is written."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from edgebert import members, opening
from edgebert.clients import Checked, Client
from edgebert.errors import InputError

MARK = ".edgebert-client"  # in a folder that an export wrote, and another may replace


def export(folders: Sequence[Path], name: str, out: Path) -> dict[str, Any]:
    """Write the client `name` for the bundles in `folders` to `out`: {client, out, files, bytes, next}.

    An earlier export in `out` is replaced as a whole. Raises InputError, NotTrustedError, MissingExtraError.
    """
    client: Client = members.find("clients", name)
    for package, extra in client.NEEDS.items():
        members.require((package,), f"export-client {name}", extra)
    bundles = [_checked(folder) for folder in folders]
    if faults := [fault for one in bundles if (fault := misfit(client, name, one)) is not None]:
        raise InputError(faults)
    if not 1 <= len(bundles) <= client.MOST:
        one = "one bundle" if client.MOST == 1 else f"1 to {client.MOST} bundles"
        raise InputError(f"{name}: takes {one} at once, {len(bundles)} were given")
    if out.exists() and (not out.is_dir() or (any(out.iterdir()) and not (out / MARK).exists())):
        raise InputError(f"-o {out}: exists and was not written by export-client; name another folder")
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{out.name}.", dir=out.parent) as room:
        made = Path(room) / out.name
        made.mkdir()
        told = client.write(bundles, made)
        (made / MARK).write_text(name + "\n", encoding="utf-8")
        if out.exists():
            out.replace(Path(room) / "before")
        made.replace(out)
    files = [path for path in sorted(out.rglob("*")) if path.is_file() and path.name != MARK]
    return {
        "client": name,
        "out": str(out),
        "bundles": [{"name": one.manifest.name, "digest": one.digest} for one in bundles],
        "files": len(files),
        "bytes": sum(path.stat().st_size for path in files),
        "next": told,
    }


def _checked(folder: Path) -> Checked:
    return Checked(folder, opening.read_manifest(folder), opening.digest(folder))


def misfit(client: Client, name: str, bundle: Checked) -> str | None:
    """Why a client does not serve a bundle, or None."""
    manifest, where = bundle.manifest, bundle.folder
    if manifest.task not in client.TASKS:
        return f"{where}: its task is {manifest.task}; the {name} client serves {', '.join(client.TASKS)}"
    form = manifest.file().format
    if form not in client.FORMATS:
        return f"{where}: its file is {form}; the {name} client opens {', '.join(client.FORMATS)}"
    runtime = manifest.target.runtime
    if runtime not in client.RUNTIMES:
        return f"{where}: it is for {runtime}; the {name} client runs {', '.join(client.RUNTIMES)}"
    if manifest.tokenizer is None:
        return f"{where}: an older EdgeBERT made it, without the tokenizer's table; build it again"
    if manifest.tokenizer.table is None:
        return f"{where}: its tokenizer cannot be put into a table: {manifest.tokenizer.reason}"
    return None

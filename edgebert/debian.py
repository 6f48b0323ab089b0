"""Packages of a Debian release, fetched and unpacked as files: neither root nor that release is needed."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from edgebert.errors import SurroundingsError

MIRROR = "http://deb.debian.org/debian"  # what comes from it is signed
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
TOOLS = {"apt-get": "apt", "dpkg-deb": "dpkg", "env": "coreutils"}

Run = Callable[[Sequence[str]], None]  # runs a command to its end; raises SurroundingsError where it fails


def unpack(package: str, suite: str, out: Path, run: Run) -> None:
    """Put a package's files into the folder `out`, as the release `suite` (bookworm, trixie ...) has it.

    apt checks Debian's signature. It works on lists of its own, so that the system's are neither read nor changed.
    Raises SurroundingsError where a tool or Debian's keys are missing, naming the command that mends it.
    """
    absent = [name for tool, name in TOOLS.items() if shutil.which(tool) is None]
    absent += [] if KEYRING.exists() else ["debian-archive-keyring"]
    if absent:
        raise SurroundingsError(
            f"{package} is fetched with tools of Debian: sudo apt-get install {' '.join(absent)}"
        )
    state = out.with_name(f"{out.name}.apt")
    for folder in ("lists/partial", "archives/partial", "parts"):
        (state / folder).mkdir(parents=True)
    (state / "sources.list").write_text(f"deb [signed-by={KEYRING}] {MIRROR} {suite} main\n", encoding="utf-8")
    (state / "status").touch()
    places = {
        "Dir::State": state,
        "Dir::State::status": state / "status",
        "Dir::Cache": state,
        "Dir::Etc::SourceList": state / "sources.list",
        "Dir::Etc::SourceParts": state / "parts",
        "Dir::Etc::PreferencesParts": state / "parts",
        "APT::Sandbox::User": "root",  # a user of apt's own may not read the folder
    }
    options = [option for name, value in places.items() for option in ("-o", f"{name}={value}")]
    run(["apt-get", "--quiet", *options, "update"])
    run(["env", f"--chdir={state}", "apt-get", "--quiet", *options, "download", package])
    [file] = state.glob("*.deb")
    run(["dpkg-deb", "--extract", str(file), str(out)])
    shutil.rmtree(state)

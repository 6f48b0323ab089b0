"""The errors a user can meet; each carries its exit status and needs no traceback.

EdgeBertError
├── InputError          2   the recipe, data, bundle or argument is wrong: file, key, value, nearest name
├── NotTrustedError     2   a bundle whose files are not the ones its hashes name
└── SurroundingsError   4   a tool, host, disk or network failed: with the command that mends it
    ├── MissingExtraError   a part of EdgeBERT that is not installed
    └── DiskFullError       no space left where something was being written

Exit status 1 (a check failed) is a result, not an error; 3 is a bug of ours and shows its traceback.
"""

from __future__ import annotations

import difflib
import errno
from collections.abc import Iterable, Sequence


class EdgeBertError(Exception):
    """Base of every error whose message is meant for the user."""

    status = 3


class InputError(EdgeBertError):
    """The user's input is wrong; the message lists every fault that was found."""

    status = 2

    def __init__(self, faults: str | Sequence[str]) -> None:
        self.faults = [faults] if isinstance(faults, str) else list(faults)
        super().__init__("\n".join(self.faults))


class NotTrustedError(InputError):
    """The files of a bundle are not the ones its SHA256SUMS names."""


class SurroundingsError(EdgeBertError):
    """Something around us failed; the message ends with what mends it."""

    status = 4


class MissingExtraError(SurroundingsError):
    """An optional part of the installation is needed and absent."""

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(
            f"{what} needs the '{extra}' part of EdgeBERT, which is not installed here; "
            f"install it: pip install 'edgebert[{extra}]' (from a checkout: pip install -e '.[{extra}]')"
        )


class DiskFullError(SurroundingsError):
    """No space left on the device that was written to."""

    def __init__(self, where: str) -> None:
        super().__init__(
            f"no space left on the disk while writing {where}; free some space, "
            "or put the results elsewhere with -o or EDGEBERT_STORE, and run the same command again: "
            "finished steps are kept"
        )


def nearest(name: str, known: Iterable[str]) -> str:
    """A hint for a name that is not known: the closest one, or all of them."""
    known = list(known)
    close = difflib.get_close_matches(name, known, 1)
    return f"did you mean '{close[0]}'?" if close else f"known: {', '.join(sorted(known))}"


def is_disk_full(error: BaseException | None) -> bool:
    """Whether an error, or what caused it, is the disk being full.

    Libraries written in C++ or Rust report ENOSPC as text in exceptions of their own.
    """
    while error is not None:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            return True
        if "No space left on device" in str(error) or "os error 28" in str(error):
            return True
        error = error.__cause__ or error.__context__
    return False

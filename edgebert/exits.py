"""How a command ends: its exit status, and the one message that a user meets."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable
from typing import Any

import typer

from edgebert.errors import DiskFullError, EdgeBertError, is_disk_full
from edgebert.training import processes


def run(app: Callable[..., Any]) -> None:
    """Run the command line; the exit statuses are those of `edgebert.errors`."""
    try:
        status = app(standalone_mode=False) or 0  # the status of a typer.Exit, and 130 for Ctrl-C
        if status == 130:
            raise KeyboardInterrupt
        sys.exit(status)
    except (typer.Abort, KeyboardInterrupt):
        _complain("interrupted; finished steps are kept, run the same command again to go on")
        sys.exit(130)
    except EdgeBertError as error:
        _complain(str(error))
        sys.exit(error.status)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        sys.exit(0)
    except Exception as error:
        sys.exit(_unexpected(error))


def _unexpected(error: Exception) -> int:
    """Exit status of what is not ours: usage errors of the command line, a full disk, or a bug."""
    show_usage, status = getattr(error, "show", None), getattr(error, "exit_code", None)
    if callable(show_usage) and isinstance(status, int):  # click's own, which Typer keeps a copy of
        show_usage(sys.stderr)
        return status
    if is_disk_full(error):
        named = getattr(error, "filename2", None) or getattr(error, "filename", None)
        full = DiskFullError(str(named or "the results"))
        _complain(str(full))
        return full.status
    traceback.print_exception(error)
    _complain("this is a bug of EdgeBERT; please report it with the lines above")
    return EdgeBertError.status


def _complain(message: str) -> None:
    number = processes.rank()
    who = f"edgebert: process {number}" if number else "edgebert"
    for line in message.splitlines():
        sys.stderr.write(f"{who}: {line}\n")

"""The Python that runs a target's files: our own, or that of an environment that holds another runtime.

In an environment there is a runtime and numpy and nothing of ours but device code, so all goes through workers:
modules of `edgebert.device` that read a request from standard input.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from edgebert import device, environments
from edgebert.device import runtimes
from edgebert.errors import SurroundingsError

WORKERS = ("answers", "measure", "replay")
# Loads the folder of device code as a package by its path: nothing else of our installation, such as a numpy that
# the environment's runtime was not made for, comes in sight.
_START = """
import importlib.util, runpy, sys
folder, worker = sys.argv[1:3]
del sys.argv[1:3]
init = folder + "/__init__.py"
spec = importlib.util.spec_from_file_location("device", init, submodule_search_locations=[folder])
sys.modules["device"] = importlib.util.module_from_spec(spec)
runpy.run_module("device." + worker, run_name="__main__", alter_sys=True)
"""


class Model(Protocol):
    """An opened file."""

    def run(self, feeds: Mapping[str, Any]) -> dict[str, Any]:
        """Outputs (float32) for a row's token ids, integers [1, tokens] by input name."""


@dataclass(frozen=True)
class Python:
    """A Python in which files run; `environment` names it to doctor, and is empty for our own."""

    environment: str = ""

    @property
    def is_ours(self) -> bool:
        """Whether files run beside us, with our tokenizers at hand."""
        return not self.environment

    def require(self) -> None:
        """Raise SurroundingsError, which names the command that mends it, where the environment is absent."""
        if not self.is_ours:
            environments.python_of(self.environment)

    @property
    def key(self) -> str:
        """What a figure taken here depends on beside the versions of our own packages."""
        return "" if self.is_ours else environments.fingerprint_of(self.environment)

    def ask(self, worker: str, request: dict[str, Any]) -> Any:
        """The answer of a worker of device code in a process of its own. Raises RuntimeError where it fails."""
        return json.loads(finish(self.command(worker), f"edgebert.device.{worker}", json.dumps(request)))

    @contextlib.contextmanager
    def open(self, folder: Path, entry: dict[str, Any], threads: int = 1) -> Iterator[Model]:
        """A file ready to run. Raises RuntimeMissing, ModelUnreadable; elsewhere RuntimeError."""
        if self.is_ours:
            yield runtimes.open_model(str(folder), entry, threads)
            return
        request = {"folder": str(folder), "entry": entry, "threads": threads}
        with _conversation(self.command("answers")) as ask:
            yield _Elsewhere(ask, request)

    def runtime(self, folder: Path, entry: dict[str, Any]) -> dict[str, str]:
        """Name and version of the runtime that runs a file here.

        Raises SurroundingsError where an environment turns out not to hold the runtime that the entry names.
        """
        if self.is_ours:
            return runtimes.versions(entry)
        with _conversation(self.command("answers")) as ask:
            found = _Elsewhere(ask, {"folder": str(folder), "entry": entry, "threads": 1}).versions
        if found["name"] != entry["runtime"]:
            raise SurroundingsError(
                f"the environment '{self.environment}' runs {found['name']} {found['version']}, not "
                f"{entry['runtime']}; remove {environments.python_of(self.environment).parents[1]}, then: "
                f"edgebert doctor --install {self.environment}"
            )
        return found

    def command(self, worker: str, *arguments: str) -> list[str]:
        """What starts a worker here. Raises SurroundingsError where the environment is absent."""
        if self.is_ours:
            return [sys.executable, "-m", f"edgebert.device.{worker}", *arguments]
        python, code = environments.python_of(self.environment), Path(str(device.__file__)).parent
        return [str(python), "-I", "-B", "-c", _START, str(code), worker, *arguments]


OURS = Python()


def finish(command: list[str], said: str, request: str) -> str:
    """What a process prints for a request. Raises RuntimeError naming it as `said` where it fails."""
    done = subprocess.run(command, input=request, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{said} ended with status {done.returncode}: {done.stderr.strip()[-2000:]}")
    return done.stdout


class _Elsewhere:
    """A file that another Python has opened, asked through its worker."""

    def __init__(self, ask: Callable[[dict[str, Any]], dict[str, Any]], request: dict[str, Any]) -> None:
        self._ask = ask
        self.versions: dict[str, str] = ask(request)

    def run(self, feeds: Mapping[str, Any]) -> dict[str, Any]:
        found = self._ask({name: np.asarray(ids).tolist() for name, ids in feeds.items()})
        return {name: np.asarray(values, np.float32) for name, values in found.items()}


@contextlib.contextmanager
def _conversation(command: list[str]) -> Iterator[Callable[[dict[str, Any]], dict[str, Any]]]:
    """A worker that answers line by line, and ends when its standard input does: with us, whatever ends us."""
    with (
        tempfile.TemporaryFile("w+") as said,
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=said, text=True) as worker,
    ):
        given, answers = worker.stdin, worker.stdout
        assert given is not None and answers is not None

        def ask(line: dict[str, Any]) -> dict[str, Any]:
            with contextlib.suppress(BrokenPipeError):  # what ended it, it has said
                given.write(json.dumps(line) + "\n")
                given.flush()
            if answer := answers.readline():
                found: dict[str, Any] = json.loads(answer)
                return found
            with contextlib.suppress(BrokenPipeError):
                given.close()
            status = worker.wait()
            said.seek(0)
            raise RuntimeError(
                f"edgebert.device.answers ended with status {status}: {said.read().strip()[-2000:]}"
            )

        yield ask

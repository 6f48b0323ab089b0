"""ssh: a real board, over the user's own OpenSSH client. What is sent is kept there under its digest."""

from __future__ import annotations

import contextlib
import json
import math
import re
import shlex
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from packaging.specifiers import SpecifierSet
from packaging.version import InvalidVersion, Version

from edgebert import environments, jobs, openssh, parcels
from edgebert.device import board as boards, bundle as bundles
from edgebert.errors import InputError, SurroundingsError
from edgebert.jobs import Finished
from edgebert.manifest import TargetFacts
from edgebert.openssh import Client
from edgebert.parcels import Parcel
from edgebert.transports import WRONG_INPUT, Contest, Job, Observation, Options, evidence_of, result_of

NAME = "ssh"
USES: tuple[str, ...] = ("ssh_config", "install_runtime", "clean")
TIMED = True
SUSTAINED = True
# The manifest's runtime to the distribution that brings it; files for TensorRT run in ONNX Runtime on the CPU.
PACKAGES = {
    "onnxruntime": "onnxruntime",
    "onnxruntime-qnn": "onnxruntime",
    "tensorrt": "onnxruntime",
    "litert": "ai-edge-litert",
    "tflite-runtime": "tflite-runtime",
}
# Distributions that bring a package's module; the first is what we install.
MODULES = {"onnxruntime": ("onnxruntime", "onnxruntime-gpu", "onnxruntime-qnn")}
PROBE_S, SEND_S = 60.0, 1800.0


@dataclass(frozen=True)
class Board:
    """The far side, probed."""

    client: Client
    facts: dict[str, Any]

    def has(self, name: str) -> bool:
        """Whether something was received there before."""
        return name in self.facts["here"]


def fault(address: str, target: TargetFacts) -> str | None:
    """An address is //user@host[:port], or a host of the user's ssh config."""
    try:
        openssh.destination(address)
    except ValueError as error:
        return str(error)
    if target.system == "android":
        return f"{target.name} is for Android; use --on adb"
    return None


def run(address: str, job: Job, options: Options) -> Observation:
    """Probe the board, send what it lacks, run the job there. Raises InputError, SurroundingsError."""
    target = job.manifest.target
    board = _reached(address, target, options)
    client = board.client
    config = ["--ssh-config", str(options.ssh_config)] if options.ssh_config else []
    mend = ["edgebert", "validate", str(job.bundle), "--on", str(client.to), *config, "--install-runtime"]
    try:
        paths = _runtime(board, target, options, shlex.join(mend), job.tell)
        with tempfile.TemporaryDirectory(prefix="edgebert-") as folder:
            sent = _send(board, job, Path(folder))
        found = _run(board, job, sent, [*paths, sent["code"]])
    finally:
        if options.clean:
            with contextlib.suppress(SurroundingsError):
                _called(client, PROBE_S, "clean")
    evidence, absent = evidence_of(found, target, "the board")
    found["host"].update({name: board.facts[name] for name in ("features", "memory_available_mb", "disk_free_mb")})
    return Observation(NAME, found, evidence, not_measured=absent)


def race(address: str, contest: Contest, options: Options) -> dict[str, Any]:
    """Time files side by side on the board; what was sent of them does not stay there.

    Raises InputError, SurroundingsError.
    """
    board = _reached(address, contest.target, options)
    mend = "the same command with --install-runtime"
    paths = _runtime(board, contest.target, options, mend, contest.tell)
    parts = {name: parcels.of_files("race", one.folder, [one.file]) for name, one in contest.files.items()}
    with tempfile.TemporaryDirectory(prefix="edgebert-") as folder:
        room = Path(folder)
        jobs.copy_code(room / "code")
        code = parcels.of_folder("code", room / "code")
        try:
            _deliver(board, [code, *{one.name: one for one in parts.values()}.values()], room, contest.tell)
            request = contest.request({name: one.name for name, one in parts.items()})
            paths = [*paths, code.name]
            command = board.client.command(contest.limit_s, "run", ":".join(paths), "device.job", "race")
            longest = contest.limit_s + board.client.connect_s
            return _result(board, jobs.follow(command, request, longest, contest.tell), contest.limit_s)
        finally:
            with contextlib.suppress(SurroundingsError):
                for name in {one.name for one in parts.values()}:
                    _called(board.client, PROBE_S, "drop", name)


def _reached(address: str, target: TargetFacts, options: Options) -> Board:
    """The board at an address, probed. Raises InputError, SurroundingsError where it is none for the target."""
    openssh.require()
    openssh.check_config(options.ssh_config)
    board = _probe(Client(openssh.destination(address), options.ssh_config), PACKAGES[target.runtime])
    _check_machine(board, target)
    return board


def _called(client: Client, limit_s: float, *arguments: str) -> str:
    printed, finished = client.call(limit_s, *arguments)
    client.check(finished, limit_s)
    return printed


def _probe(client: Client, package: str) -> Board:
    said = _called(client, PROBE_S, "probe", *MODULES.get(package, (package,)), "numpy")
    try:
        facts = json.loads(said.splitlines()[-1])
        version = tuple(facts["python"])
    except (ValueError, IndexError, TypeError, KeyError):
        raise SurroundingsError(
            f"{client.to}: its python3 answered with something else than asked ({said.strip()[:200]!r}); does its "
            "shell print at login? ~/.bashrc must be silent for programs"
        ) from None
    if version < boards.OLDEST:
        has, needs = (".".join(map(str, one)) for one in (version, boards.OLDEST))
        raise SurroundingsError(
            f"{client.to}: Python {has} is too old, {needs} or newer is needed; use a newer system image "
            "(Raspberry Pi OS 11 or newer, JetPack 5 or newer)"
        )
    return Board(client, facts)


def _check_machine(board: Board, target: TargetFacts) -> None:
    """Refuse a machine that cannot stand for the target, before anything is sent there."""
    facts, where = board.facts, board.client.to
    if target.arch and facts["arch"] != target.arch:
        raise SurroundingsError(f"{where}: that machine is {facts['arch']}, {target.name} needs {target.arch}")
    if facts["bits"] != 64:
        raise SurroundingsError(
            f"{where}: its Python is a {facts['bits']}-bit program; install the 64-bit system image, on which "
            "the runtimes exist"
        )
    if target.board and facts["board"] and target.board not in facts["board"]:
        raise InputError(
            f"{where}: that board is a '{facts['board']}', not what {target.name} is for ('{target.board}'); "
            "give it what is built for it"
        )


def _runtime(
    board: Board, wanted: TargetFacts, options: Options, mend: str, tell: Callable[[int, int], None]
) -> list[str]:
    """Folders there to import the runtime from; empty where the board's own Python has it.

    `mend` is the command that puts it there.
    """
    package = PACKAGES[wanted.runtime]
    if options.install_runtime:
        return [_install_runtime(board, package, tell)]
    packages = board.facts["packages"]
    version = next((packages[name] for name in MODULES.get(package, (package,)) if name in packages), None)
    allowed = wanted.version if wanted.runtime != "tensorrt" else ""  # that range is TensorRT's
    if version is not None and "numpy" in packages and _fits(version, allowed):
        return []
    if ours := _installed(board, package, allowed):
        return ours[-1:]
    if version is None:
        lacks = f"its python3 has no {package}"
    elif "numpy" not in packages:
        lacks = "its python3 has no numpy"
    else:
        lacks = f"its python3 has {package} {version}, the bundle needs {allowed}"
    raise SurroundingsError(f"{board.client.to}: {lacks}; have it put in a folder of its own there: {mend}")


def _fits(version: str, allowed: str) -> bool:
    try:
        return SpecifierSet(allowed).contains(Version(version), prereleases=True)
    except InvalidVersion:
        return False


def _installed(board: Board, package: str, allowed: str) -> list[str]:
    """Runtimes that were put there before for its Python, in versions that fit, the newest last."""
    given = re.compile(rf"{_runtime_name(board, package, '(.+)')}-[0-9a-f]+")
    found = [(match[1], name) for name in board.facts["here"] if (match := given.fullmatch(name))]
    return [name for _, name in sorted((Version(v), name) for v, name in found if _fits(v, allowed))]


def _runtime_name(board: Board, package: str, version: str) -> str:
    major, minor = board.facts["python"][:2]
    return f"runtime-{package}-cp{major}{minor}-{version}"


def _install_runtime(board: Board, package: str, tell: Callable[[int, int], None]) -> str:
    python = ".".join(map(str, board.facts["python"][:2]))
    if board.facts["arch"] != "aarch64":
        raise SurroundingsError(
            f"{board.client.to}: wheels are at hand for aarch64 only, that machine is {board.facts['arch']}; "
            f"install it there: python3 -m pip install {package} numpy"
        )
    folder = environments.board_runtime(package, python)
    version = next(one.version for one in metadata.distributions(name=package, path=[str(folder)]))
    parcel = parcels.of_folder(_runtime_name(board, package, version), folder)
    with tempfile.TemporaryDirectory(prefix="edgebert-") as room:
        _deliver(board, [parcel], Path(room), tell)
    return parcel.name


def _send(board: Board, job: Job, room: Path) -> dict[str, str]:
    """Send what the board lacks of code, bundle and reference; their names there."""
    jobs.copy_code(room / "code")
    code = parcels.of_folder("code", room / "code")
    bundle = parcels.of_folder("bundle", job.bundle, bundles.digest(str(job.bundle)))
    parts = {"code": code, "bundle": bundle}
    if job.reference is not None:
        parts["reference"] = parcels.of_files("reference", job.reference.folder, [job.reference.file])
    _deliver(board, list(parts.values()), room, job.tell)
    return {name: parcel.name for name, parcel in parts.items()}


def _deliver(board: Board, wanted: Sequence[Parcel], room: Path, tell: Callable[[int, int], None]) -> None:
    missing = [parcel for parcel in wanted if not board.has(parcel.name)]
    total = sum(parcel.size for parcel in missing)
    needed = (total + max((parcel.size for parcel in missing), default=0)) / 1e6  # one is there packed as well
    free = board.facts["disk_free_mb"]
    if missing and needed > free:
        raise SurroundingsError(
            f"{board.client.to}: {free} MB are free on its disk, {math.ceil(needed)} MB are needed; free some "
            "space, or remove what EdgeBERT left: --clean"
        )
    before = 0
    for parcel in missing:
        archive = room / "archive.tar"
        sha256 = parcel.pack(archive)
        with archive.open("rb") as file:
            _, finished = board.client.call(
                SEND_S,
                "receive",
                parcel.name,
                sha256,
                source=file,
                tell=lambda sent, start=before: tell(min(start + sent, total), total),  # type: ignore[misc]
            )
        board.client.check(finished, SEND_S)
        before += parcel.size


def _run(board: Board, job: Job, sent: dict[str, str], paths: list[str]) -> dict[str, Any]:
    """Run the job; a bundle that was damaged on the board's disk since it was sent is sent once more."""
    request = job.request(sent["bundle"], sent.get("reference"))
    command = board.client.command(job.limit_s, "run", ":".join(paths), "device.job", "run")
    finished = jobs.follow(command, request, job.limit_s + board.client.connect_s, job.tell)
    if finished.status == WRONG_INPUT and sent["bundle"] in finished.said:
        for name in (sent["bundle"], sent.get("reference")):
            if name is not None:
                _called(board.client, PROBE_S, "drop", name)
        fresh = Board(board.client, {**board.facts, "here": [sent["code"], *paths]})
        with tempfile.TemporaryDirectory(prefix="edgebert-") as room:
            _send(fresh, job, Path(room))
        finished = jobs.follow(command, request, job.limit_s + board.client.connect_s, job.tell)
    return _result(board, finished, job.limit_s)


def _result(board: Board, finished: Finished, limit_s: float) -> dict[str, Any]:
    if finished.status in (openssh.LOST, 127):
        board.client.check(finished, limit_s)
    where, mend = str(board.client.to), "or have it put there: --install-runtime"
    return result_of(finished, where, limit_s, lambda said: f"{said}; {mend}")

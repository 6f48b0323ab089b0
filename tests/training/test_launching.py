"""accelerate's lone process is noticed, and the others are started."""

import os
import sys
from typing import Any

import pytest

from edgebert.errors import SurroundingsError
from edgebert.training import launching, processes

LAUNCHER = [
    "python",
    "/bin/accelerate",
    "launch",
    "--cpu",
    "--num_processes=4",
    "-m",
    "edgebert",
    "pretrain",
    "a.toml",
]


class Replaced(Exception):
    """Stands for the process that execv would become."""


@pytest.fixture
def lone(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """The surroundings that `accelerate launch --cpu --num_processes 4` leaves its one process in."""
    for name in processes.RANKS:
        monkeypatch.delenv(name, raising=False)
    for name, value in {"ACCELERATE_USE_CPU": "True", "MASTER_ADDR": "10.0.0.1", "MASTER_PORT": "29500"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "argv", ["edgebert", "pretrain", "a.toml", "--json"])

    def replace(program: str, command: list[str]) -> None:
        raise Replaced(" ".join(command))

    monkeypatch.setattr(os, "execv", replace)
    return monkeypatch


def launched_by(monkeypatch: pytest.MonkeyPatch, words: list[str]) -> None:
    class Parent:
        def __init__(self, pid: int) -> None:
            assert pid == os.getppid()

        def cmdline(self) -> list[str]:
            return words

    monkeypatch.setattr("psutil.Process", Parent)


def test_the_processes_that_were_asked_for_are_started(lone: pytest.MonkeyPatch) -> None:
    launched_by(lone, LAUNCHER)
    with pytest.raises(
        Replaced, match=r"torch\.distributed\.run --standalone --nproc-per-node 4 -m edgebert pretrain"
    ):
        launching.complete()


def test_on_several_machines_each_starts_its_own(lone: pytest.MonkeyPatch) -> None:
    launched_by(lone, [*LAUNCHER[:3], "--num_machines", "2", "--machine_rank", "1", *LAUNCHER[3:]])
    with pytest.raises(Replaced) as told:
        launching.complete()
    wanted = "--nnodes 2 --node-rank 1 --master-addr 10.0.0.1 --master-port 29500 --nproc-per-node 2"
    assert wanted in str(told.value)


def test_where_it_cannot_be_seen_how_many_it_is_told(lone: pytest.MonkeyPatch) -> None:
    launched_by(lone, ["bash"])
    with pytest.raises(SurroundingsError, match="--multi_gpu --num_processes N"):
        launching.complete()


@pytest.mark.parametrize(
    "changes",
    [{"RANK": "0"}, {"OMPI_COMM_WORLD_RANK": "1"}, {"ACCELERATE_USE_CPU": "False"}, {"MASTER_ADDR": None}],
)
def test_any_other_process_goes_on(lone: pytest.MonkeyPatch, changes: dict[str, Any]) -> None:
    for name, value in changes.items():
        lone.setenv(name, value) if value is not None else lone.delenv(name)
    launching.complete()


def test_a_process_of_mpi_knows_its_number(lone: pytest.MonkeyPatch) -> None:
    assert processes.rank() == 0
    lone.setenv("PMI_RANK", "2")
    assert processes.rank() == 2

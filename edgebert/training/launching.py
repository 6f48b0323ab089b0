"""Starting the processes that `accelerate launch --cpu` does not start."""

from __future__ import annotations

import os
import sys
from typing import Any

from edgebert.errors import SurroundingsError
from edgebert.training.processes import RANKS


def complete() -> None:
    """Start all processes that were asked for where accelerate has started one in place of them.

    accelerate 1.15 leaves `--cpu --num_processes 2` to mpirun and, without it, runs a single process that knows
    nothing of another. Here torch's launcher takes its place. Raises SurroundingsError where it cannot be seen how
    many were asked for.
    """
    alone = not any(name in os.environ for name in RANKS)
    on_cpu = os.environ.get("ACCELERATE_USE_CPU", "").lower() in ("true", "1", "yes", "on")
    if not (alone and on_cpu and "MASTER_ADDR" in os.environ):
        return
    asked = _asked()
    machines = asked.num_machines or 1
    place = ["--master-addr", os.environ["MASTER_ADDR"], "--master-port", os.environ["MASTER_PORT"]]
    several = ["--nnodes", str(machines), "--node-rank", str(asked.machine_rank or 0), *place]
    command = [sys.executable, "-m", "torch.distributed.run", *(several if machines > 1 else ["--standalone"])]
    command += ["--nproc-per-node", str(asked.num_processes // machines), "-m", "edgebert", *sys.argv[1:]]
    os.execv(sys.executable, command)  # noqa: S606  # no shell, and the words are our own


def _asked() -> Any:
    """The options of the `accelerate launch` that started this process."""
    import psutil
    from accelerate.commands.launch import launch_command_parser

    words = psutil.Process(os.getppid()).cmdline()
    launchers = [i for i, word in enumerate(words) if word == "launch" or word.endswith(("launch.py", ".launch"))]
    found = None
    if launchers:
        found, _ = launch_command_parser().parse_known_args(words[launchers[0] + 1 :])
    if found is None or not found.num_processes:
        raise SurroundingsError(
            "accelerate has started one process in place of several (its --cpu takes mpirun for more); use "
            "accelerate launch --multi_gpu --num_processes N, which starts N processes with or without a GPU"
        )
    return found

"""Connections that cannot be made, or do not last: each is told with what mends it, and nothing runs on."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.bad_input.test_recipes import Run, message
from tests.transports import sshd
from tests.transports.sshd import Board

pytestmark = pytest.mark.slow
LONG = ("--rows", "8", "--sustained", "600")


def refused(run: Run, bundle: Path, board: Board, *wanted: str, on: str = f"ssh://{sshd.HOST}") -> None:
    done = run("validate", bundle, "--on", on, "--ssh-config", board.config)
    said = message(done, 4)
    assert len(said.splitlines()) == 1
    assert said.startswith(f"edgebert: {on}: ")
    assert all(part in said for part in wanted), said
    assert not (bundle.parent / "proof").exists() or not list((bundle.parent / "proof").rglob("*.json"))
    assert not board.kept.exists()


def reconfigured(board: Board, **changed: str) -> None:
    """Change options of the client's config, by their names there."""
    lines = board.config.read_text(encoding="utf-8").strip().splitlines()
    kept = [line for line in lines if line.split()[0] not in changed]
    added = [f"  {name} {value}" for name, value in changed.items()]
    board.config.write_text("\n".join([kept[0], *added, *kept[1:], ""]), encoding="utf-8")


def start(*arguments: str | Path) -> subprocess.Popen[str]:
    """The command line in a session of its own, so that it can be interrupted as a terminal does."""
    command = [sys.executable, "-m", "edgebert", "validate", *map(str, arguments)]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, start_new_session=True)


def ended(process: subprocess.Popen[str]) -> subprocess.CompletedProcess[str]:
    answered, told = process.communicate()
    return subprocess.CompletedProcess(process.args, process.returncode, answered, told)


def test_nothing_listens(run_edgebert: Run, shipped: Path, board: Board) -> None:
    port = str(sshd.free_port())
    reconfigured(board, Port=port)
    refused(run_edgebert, shipped, board, f"connection refused on port {port}", "sudo systemctl start ssh")


def test_a_host_that_says_nothing(run_edgebert: Run, shipped: Path, board: Board) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        port = silent.getsockname()[1]
        reconfigured(board, ConnectTimeout="2")
        on = f"ssh://{sshd.HOST}:{port}"
        by_hand = f"try: ssh -F {board.config} -p {port} {sshd.HOST}"
        refused(run_edgebert, shipped, board, f"it does not answer on port {port}", by_hand, on=on)


def test_a_name_that_nobody_has(run_edgebert: Run, shipped: Path, board: Board) -> None:
    refused(run_edgebert, shipped, board, "no machine of that name is known", on="ssh://no-such-host.invalid")


def test_a_key_that_is_not_accepted(run_edgebert: Run, shipped: Path, board: Board) -> None:
    sshd.make_key(board.folder / "other")
    shutil.move(board.folder / "other", board.folder / "key")
    mend = f"put yours there once: ssh-copy-id -F {board.config} {sshd.HOST}"
    refused(run_edgebert, shipped, board, "it refuses the key", mend)


def test_a_host_that_was_never_seen(run_edgebert: Run, shipped: Path, board: Board) -> None:
    (board.folder / "known_hosts").write_text("")
    mend = f"accept it once: ssh -F {board.config} {sshd.HOST}"
    refused(run_edgebert, shipped, board, "its host key is not known yet", mend)
    assert (board.folder / "known_hosts").read_text() == ""  # nothing was accepted in the user's name


def test_a_host_key_that_changed_and_the_command_that_forgets_it(
    run_edgebert: Run, shipped: Path, board: Board
) -> None:
    sshd.make_key(board.folder / "other")
    board.remember_host("other")
    forget = ["ssh-keygen", "-f", str(board.folder / "known_hosts"), "-R", f"[127.0.0.1]:{board.port}"]
    mend = f"forget the old one: {' '.join(forget[:-1])} '{forget[-1]}'"
    refused(run_edgebert, shipped, board, "another machine, or a new card", mend)
    subprocess.run(forget, check=True, capture_output=True)
    refused(run_edgebert, shipped, board, "its host key is not known yet")


def test_a_faulty_config(run_edgebert: Run, shipped: Path, board: Board) -> None:
    reconfigured(board, Hots="pi5")
    refused(run_edgebert, shipped, board, "Bad configuration option: hots", str(board.config))


def test_no_ssh_client(run_edgebert: Run, shipped: Path, board: Board, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    done = run_edgebert("validate", shipped, *board.on, PATH=str(tmp_path / "empty"))
    assert "sudo apt-get install openssh-client" in message(done, 4)


def test_a_connection_that_breaks_in_the_middle_of_the_run(shipped: Path, board: Board) -> None:
    process = start(shipped, *board.on, *LONG)
    board.wait_for_run()
    for number in board.sessions():
        os.kill(number, signal.SIGKILL)
    said = message(ended(process), 4)
    assert "the connection was lost; what ran there ends by itself; run the same command again" in said
    board.wait_until_idle()


def test_a_job_that_is_killed_there(shipped: Path, board: Board) -> None:
    process = start(shipped, *board.on, *LONG)
    os.kill(board.wait_for_run(), signal.SIGKILL)
    said = message(ended(process), 4)
    assert "ssh://pi5: the run was killed there" in said
    assert "close other programs and try again" in said


def test_a_run_that_takes_too_long(run_edgebert: Run, shipped: Path, board: Board) -> None:
    said = message(run_edgebert("validate", shipped, *board.on, *LONG, "--limit", "5"), 4)
    assert "ssh://pi5: the run took longer than 5 s and was stopped; raise --limit or lower --rows" in said
    assert not board.emulated("device.job")
    assert not list((shipped.parent / "proof").rglob("*.json"))


@pytest.mark.parametrize("ended_by", [os.killpg, os.kill], ids=["terminal", "one process"])
def test_an_interrupted_run_ends_on_both_sides(
    shipped: Path, board: Board, ended_by: Callable[[int, int], None]
) -> None:
    process = start(shipped, *board.on, *LONG)
    board.wait_for_run()
    ended_by(process.pid, signal.SIGINT)
    assert "interrupted" in message(ended(process), 130)
    board.wait_until_idle()
    assert not list((shipped.parent / "proof").rglob("*.json"))


def test_a_killed_command_line_leaves_nothing_running(shipped: Path, board: Board) -> None:
    process = start(shipped, *board.on, *LONG)
    board.wait_for_run()
    process.kill()
    assert ended(process).returncode == -signal.SIGKILL
    board.wait_until_idle()


def test_an_interrupted_upload_leaves_nothing_and_goes_on_when_run_again(
    run_edgebert: Run, shipped: Path, board: Board
) -> None:
    process = start(shipped, *board.on, *LONG)
    number = board.wait_for("receive")
    os.kill(number, signal.SIGSTOP)
    time.sleep(0.5)  # the rest of the upload waits
    os.killpg(process.pid, signal.SIGINT)
    done = ended(process)
    os.kill(number, signal.SIGCONT)
    assert "interrupted" in message(done, 130)
    board.wait_until_idle()
    assert not board.drafts()
    again = run_edgebert("validate", shipped, *board.on, "--rows", "8", "--sustained", "0")
    assert again.returncode == 0, again.stderr


HANGS = """
import os, time
real = os.mkdir
def mkdir(path, *more, **named):
    if str(path).endswith("/folder"):  # the upload has arrived and is about to be unpacked
        time.sleep(600)
    return real(path, *more, **named)
os.mkdir = mkdir
"""


def test_an_upload_that_is_killed_there_is_harmless(run_edgebert: Run, shipped: Path, board: Board) -> None:
    hook = board.modules() / "sitecustomize.py"
    hook.write_text(HANGS)
    process = start(shipped, *board.on, *LONG)
    number = board.wait_for("receive")
    while not board.drafts() and process.poll() is None:
        time.sleep(0.05)
    os.kill(number, signal.SIGKILL)
    assert "ssh://pi5: python3 was killed there" in message(ended(process), 4)
    assert board.drafts()
    hook.unlink()
    again = run_edgebert("validate", shipped, *board.on, "--rows", "8", "--sustained", "0")
    assert again.returncode == 0, again.stderr
    assert not board.drafts()

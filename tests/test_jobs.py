"""A worker is followed to its end, whatever it prints and however it or its listener ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edgebert import jobs
from edgebert.jobs import Finished
from tests.conftest import ROOT

FOREVER = "import time; time.sleep(600)"
GREETING = "import json, os, sys; asked = json.loads(sys.stdin.readline())\n"


def worker(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def follow(code: str, limit_s: float = 60, tell: Any = lambda *_: None, **more: Any) -> Finished:
    return jobs.follow(worker(GREETING + code), {"who": "a test"}, limit_s, tell, **more)


def alive(pid: int) -> bool:
    """Whether a process runs; one that ended and was not yet taken note of does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def wait_until(holds: Callable[[], bool]) -> None:
    for _ in range(3000):
        if holds():
            return
        time.sleep(0.01)
    raise AssertionError("it never came to be")


def test_the_worker_reads_the_request_and_its_result_comes_back() -> None:
    told: list[tuple[int, int]] = []
    code = "for i in 1, 2: print(json.dumps({'done': i, 'total': 2}))\nprint(json.dumps({'result': asked}))"
    found = follow(code, tell=lambda *at: told.append(at))
    assert found == Finished(0, {"who": "a test"}, "")
    assert told == [(1, 2), (2, 2)]
    assert not found.killed


@pytest.mark.parametrize(
    "noise",
    [
        "hello",
        "{",
        "[1, 2]",
        "null",
        "7",
        '{"done": 1}',
        '{"done": true, "more": 1}',
        '{"result": 5}',
        "\\xff\\xfe",
    ],
)
def test_what_a_runtime_prints_on_the_way_is_passed_over(noise: str) -> None:
    told: list[tuple[int, int]] = []
    say = f"os.write(1, b'''{noise}\\n''')\n"
    code = f"{say}print(json.dumps({{'result': asked}}), flush=True)\n{say}"
    found = follow(code, tell=lambda *at: told.append(at))
    assert (found.status, found.result) == (0, {"who": "a test"})
    assert told == []


def test_a_worker_that_says_nothing_has_no_result() -> None:
    assert follow("pass") == Finished(0, None, "")


def test_a_failing_worker_is_told_by_its_status_and_its_last_words() -> None:
    found = follow("print('mind the gap', file=sys.stderr); sys.exit(3)")
    assert found == Finished(3, None, "mind the gap")


def test_a_worker_that_ends_before_it_reads_is_told_alike() -> None:
    request = {"much": "x" * 10**7}  # more than a pipe holds
    found = jobs.follow(worker("import sys; sys.exit('no such thing')"), request, 60, lambda *_: None)
    assert found == Finished(1, None, "no such thing")


def test_complaints_without_end_do_not_stop_it_and_their_end_is_kept() -> None:
    found = follow("sys.stderr.write('x' * 10**7 + 'the end')\nprint(json.dumps({'result': {}}))")
    assert found.status == 0
    assert found.said.endswith("xxthe end")
    assert len(found.said) == 4000


def test_a_worker_that_takes_too_long_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[Any] = []
    begin: Any = subprocess.Popen

    def noted(*arguments: Any, **more: Any) -> Any:
        started.append(begin(*arguments, **more))
        return started[-1]

    monkeypatch.setattr(subprocess, "Popen", noted)
    found = follow(FOREVER, limit_s=0.2)
    assert (found.status, found.result) == (jobs.TIME_LIMIT, None)
    assert not found.killed
    assert started[0].returncode == -signal.SIGKILL


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_killed_worker_is_told_as_killed(number: signal.Signals) -> None:
    found = follow(f"os.kill(os.getpid(), {int(number)})")
    assert (found.status, found.result) == (-number, None)
    assert found.killed


@pytest.mark.parametrize(("status", "killed"), [(137, True), (143, True), (0, False), (1, False), (-11, False)])
def test_a_kill_is_known_by_what_a_shell_says_of_it_too(status: int, killed: bool) -> None:
    assert Finished(status, None, "").killed is killed


@pytest.mark.parametrize("kind", [RuntimeError, KeyboardInterrupt])
def test_a_listener_that_fails_leaves_no_worker(kind: type[BaseException]) -> None:
    seen: list[int] = []

    def fail(pid: int, total: int) -> None:
        seen.append(pid)
        raise kind

    with pytest.raises(kind):
        follow(f"print(json.dumps({{'done': os.getpid(), 'total': 0}}), flush=True)\n{FOREVER}", tell=fail)
    wait_until(lambda: not alive(seen[0]))


def test_a_worker_can_be_stopped_from_elsewhere() -> None:
    stop = threading.Event()
    code = f"print(json.dumps({{'done': 1, 'total': 2}}), flush=True)\n{FOREVER}"
    found = follow(code, tell=lambda *_: stop.set(), stop=stop)
    assert found == Finished(-9, None, "")


def test_one_that_was_stopped_before_it_began_does_not_go_on() -> None:
    stop = threading.Event()
    stop.set()
    assert follow(FOREVER, stop=stop).killed


FOLLOWING = """
import sys
from edgebert import jobs
code = (
    "import json, os, sys, threading, time\\n"
    "from edgebert.device import job\\n"
    "asked = json.loads(sys.stdin.buffer.readline())\\n"
    "threading.Thread(target=job._watch_input, daemon=True).start()\\n"
    "print(json.dumps({'done': os.getpid(), 'total': 0}), flush=True)\\n"
    "time.sleep(600)"
)
jobs.follow([sys.executable, "-c", code], {}, 600, lambda pid, _: print(pid, flush=True))
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_no_worker_outlives_the_process_that_follows_it(number: signal.Signals) -> None:
    process = subprocess.Popen(
        worker(FOLLOWING), cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert process.stdout is not None
    pid = int(process.stdout.readline())
    assert alive(pid)
    os.kill(process.pid, number)  # to this process alone, unlike Ctrl-C
    process.wait()
    process.stdout.close()
    wait_until(lambda: not alive(pid))


def test_the_code_that_is_copied_is_a_package_that_runs_without_ours(tmp_path: Path) -> None:
    jobs.copy_code(tmp_path)
    source, copied = ROOT / "edgebert" / "device", tmp_path / "device"
    assert {path.relative_to(copied) for path in copied.rglob("*.py")} == {
        path.relative_to(source) for path in source.rglob("*.py")
    }
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [
            sys.executable,
            "-I",
            "-c",
            "import sys; sys.path[0:0] = ['.']; import device.job; print(list(sys.modules))",
        ],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "'device.selftest'" in done.stdout
    assert "'edgebert" not in done.stdout


def test_the_request_is_one_line() -> None:
    code = "print(json.dumps({'result': {'rest': sys.stdin.readable(), 'text': asked['text']}}))"
    found = jobs.follow(worker(GREETING + code), {"text": "two\nlines and \u2028 more"}, 60, lambda *_: None)
    assert found.result == {"rest": True, "text": "two\nlines and \u2028 more"}

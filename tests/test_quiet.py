from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

INTO = """
import ctypes, logging, os, subprocess, sys, warnings
from pathlib import Path
from edgebert import quiet

with quiet.into(Path("logs/step.log")):
    {noise}
print("ours")
sys.stderr.write("ours too\\n")
"""
LOUD = """
with quiet.into(Path("logs/step.log")):
    print("noise")
    logging.disable(logging.CRITICAL)
    raise ValueError("of the step")
"""


def run(folder: Path, code: str, **more: str) -> subprocess.CompletedProcess[str]:
    # Unbuffered Python makes C's standard output unbuffered too, which would hide what C keeps back.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"} | more
    return subprocess.run(
        [sys.executable, "-c", code], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize(
    "noise",
    [
        "print('noise')",
        "sys.stderr.write('noise')",
        "os.write(1, b'noise')",
        "os.write(2, b'noise')",
        "ctypes.CDLL(None).printf(b'noise')",
        "ctypes.CDLL(None).perror(b'noise')",
        "subprocess.run(['echo', 'noise'])",
        "logging.getLogger('library').warning('noise')",
    ],
)
def test_what_libraries_print_goes_to_the_log_and_nowhere_else(tmp_path: Path, noise: str) -> None:
    done = run(tmp_path, INTO.format(noise=noise))
    assert (done.returncode, done.stdout, done.stderr) == (0, "ours\n", "ours too\n")
    assert "noise" in (tmp_path / "logs" / "step.log").read_text()


def test_warnings_do_not_reach_the_user(tmp_path: Path) -> None:
    done = run(tmp_path, INTO.format(noise="warnings.warn('noise')"))
    assert (done.stdout, done.stderr) == ("ours\n", "ours too\n")


def test_what_was_printed_before_stays_out_of_the_log(tmp_path: Path) -> None:
    done = run(tmp_path, "print('before')" + INTO.format(noise="print('noise')"))
    assert done.stdout == "before\nours\n"
    assert (tmp_path / "logs" / "step.log").read_text() == "noise\n"


def test_a_log_keeps_what_earlier_steps_wrote(tmp_path: Path) -> None:
    run(tmp_path, INTO.format(noise="print('first')"))
    run(tmp_path, INTO.format(noise="print('second')"))
    assert (tmp_path / "logs" / "step.log").read_text() == "first\nsecond\n"


def test_after_an_error_the_user_hears_us_again(tmp_path: Path) -> None:
    caught = "\n".join(f"    {line}" for line in LOUD.strip().splitlines())
    after = "print(error)\n    logging.getLogger('library').warning('heard')\n    warnings.warn('told')\n"
    head = INTO.partition("with")[0] + "warnings.simplefilter('always')\n"
    done = run(tmp_path, f"{head}try:\n{caught}\nexcept ValueError as error:\n    {after}")
    assert (done.returncode, done.stdout) == (0, "of the step\n")
    assert "heard" in done.stderr and "told" in done.stderr
    assert (tmp_path / "logs" / "step.log").read_text() == "noise\n"


def test_libraries_are_told_to_be_quiet_unless_the_user_wants_otherwise(tmp_path: Path) -> None:
    code = "import os; from edgebert import quiet; quiet.prepare()\n"
    code += "print(os.environ['HF_HUB_DISABLE_TELEMETRY'], os.environ['TRANSFORMERS_VERBOSITY'])"
    done = run(tmp_path, code, TRANSFORMERS_VERBOSITY="debug")
    assert done.stdout == "1 debug\n"


@pytest.mark.slow
def test_libraries_that_warn_when_they_are_imported_do_not(tmp_path: Path) -> None:
    done = run(tmp_path, "from edgebert import quiet; quiet.prepare(); import torch, transformers, torchao")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")

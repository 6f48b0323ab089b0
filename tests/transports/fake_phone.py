"""A phone that is a folder: what `adb`, and the shell behind it, answer in the tests.

Called as `adb` it copies files into the folder and runs scripts in a shell whose tools are the folder's; called as
`program` it stands in for the kernel that executes an AArch64 file: the benchmark binaries, with recorded answers
(LiteRT's also runs the model it was given, here). FAKE_PHONE names the folder:

    root/                  the phone's file system: data/, sys/, proc/, and bin/ with the tools that differ there
    devices                what `adb devices` prints
    calls.jsonl            every argument list of adb
    programs.jsonl         every argument list of a program that was run, and its process
    says.json              what goes wrong, and what the runner prints: see `Says`
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, TypedDict


class Says(TypedDict, total=False):
    """What is recorded; nothing of it: all goes well."""

    push: str  # adb's complaint about every push
    damage: bool  # what is pushed arrives with another last byte
    gone_at: str  # part of the script at which the phone vanishes
    gone: str  # adb's complaint then
    printed: str  # what the runner prints
    status: int  # its exit status; negative: the signal it dies of
    unknown: list[str]  # options it does not know
    seconds: float  # how long it runs
    garbled: bool  # it writes outputs that are cut


PHONE = Path(os.environ.get("FAKE_PHONE", "."))
ROOT = PHONE / "root"
WITHIN = re.compile(r"(?<![\w/.])/(data|sys|proc)/")


def main(words: list[str]) -> int:
    """Answer as adb, or as a program on the phone."""
    if words[0] == "program":
        return program(words[1:])
    with (PHONE / "calls.jsonl").open("a") as file:
        file.write(json.dumps(words[1:]) + "\n")
    return adb(words[1:])


def says() -> Says:
    path = PHONE / "says.json"
    found: Says = json.loads(path.read_text()) if path.is_file() else {}
    return found


def adb(words: list[str]) -> int:
    if words == ["devices"]:
        sys.stdout.write((PHONE / "devices").read_text())
        return 0
    option, serial, verb, *rest = words
    assert option == "-s"
    if verb == "push":
        return push(*rest)
    assert verb == "shell" and len(rest) == 1, words
    told = says()
    if told.get("gone_at", "\0") in rest[0]:
        sys.stderr.write(told.get("gone", f"error: device '{serial}' not found\n"))
        return 1
    script = WITHIN.sub(rf"{ROOT}/\1/", rest[0])
    tools = {**os.environ, "PATH": f"{ROOT}/bin:{os.environ['PATH']}"}
    done = subprocess.run(
        [os.environ.get("FAKE_SHELL", "/bin/sh"), "-c", script], env=tools, start_new_session=True, check=False
    )
    return done.returncode


def push(local: str, remote: str) -> int:
    told = says()
    if "push" in told:
        sys.stderr.write(told["push"])
        return 1
    there = Path(WITHIN.sub(rf"{ROOT}/\1/", remote))
    shutil.copyfile(local, there)
    if told.get("damage"):
        there.write_bytes(there.read_bytes()[:-1] + b"?")
    sys.stdout.write(f"{local}: 1 file pushed, 0 skipped. 35.2 MB/s\n")
    return 0


def program(words: list[str]) -> int:
    """Run what is at words[0] as the phone's kernel would."""
    path = Path(words[0])
    assert path.read_bytes()[:4] == b"\x7fELF" and path.stat().st_mode & 0o111
    with (PHONE / "programs.jsonl").open("a") as file:
        file.write(json.dumps({"words": words[1:], "process": os.getpid()}) + "\n")
    told = says()
    time.sleep(told.get("seconds", 0))
    given = dict(word.removeprefix("--").split("=", 1) for word in words[1:] if word.startswith("--"))
    unknown = sorted(set(told.get("unknown", [])) & set(given))
    if unknown:
        print("WARN: Unconsumed cmdline flags: " + " ".join(f"--{name}={given[name]}" for name in unknown))
    print(told.get("printed", ""), flush=True)
    if (status := told.get("status", 0)) < 0:
        os.kill(os.getpid(), -status)
    if "output_filepath" in given and "output_filepath" not in unknown and not status:
        written = invoke(given)
        Path(given["output_filepath"]).write_bytes(written[:-1] if told.get("garbled") else written)
    return status


def invoke(given: dict[str, str]) -> bytes:
    """One inference as benchmark_model makes it: files and outputs by their place in the signature's subgraph."""
    import numpy as np
    from ai_edge_litert.interpreter import Interpreter
    from ai_edge_litert.tools import flatbuffer_utils

    model: Any = flatbuffer_utils.read_model(given["graph"])
    key = given["signature_to_run_for"]
    [signature] = [one for one in model.signatureDefs if one.signatureKey.decode() == key]
    graph = model.subgraphs[signature.subgraphIndex]
    inputs = {one.tensorIndex: one.name.decode() for one in signature.inputs}
    outputs = {one.tensorIndex: one.name.decode() for one in signature.outputs}
    files = [word.partition(":")[2] for word in given["input_layer_value_files"].split(",")]
    shapes = [[int(size) for size in word.split(",")] for word in given["input_layer_shape"].split(":")]
    feeds = {
        inputs[place]: np.fromfile(file, np.int32).reshape(shape)
        for place, file, shape in zip(graph.inputs, files, shapes, strict=True)
    }
    found = Interpreter(model_path=given["graph"]).get_signature_runner(key)(**feeds)
    return b"".join(found[outputs[place]].tobytes() for place in graph.outputs)


if __name__ == "__main__":
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    sys.exit(main(sys.argv[1:]))

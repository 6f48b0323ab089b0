from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgebert import store
from edgebert.store import Store

OPEN_A_DRAFT = """
import sys
from pathlib import Path
from edgebert.store import Store

with Store(Path(sys.argv[1])).draft("load", "key", {}) as draft:
    (draft / "weights").write_text("half")
    print("ready", flush=True)
    sys.stdin.readline()
    (draft / "weights").write_text("whole")
"""
DRAFT_OFTEN = """
import sys
from pathlib import Path
from edgebert.store import Store

store = Store(Path(sys.argv[1]))
for number in range(150):
    with store.draft("load", "key", {"who": sys.argv[2]}) as draft:
        (draft / "one").write_text(sys.argv[2])
        (draft / "two").write_text(sys.argv[2])
print("done", flush=True)
"""
SWEEP_OFTEN = """
import sys
from pathlib import Path
from edgebert.store import Store

print("ready", flush=True)
while True:
    Store(Path(sys.argv[1])).sweep()
"""

Process = subprocess.Popen[str]


def start(code: str, *arguments: str | Path) -> Process:
    command = [sys.executable, "-c", code, *map(str, arguments)]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True)


@pytest.fixture
def drafting(tmp_path: Path) -> Iterator[Process]:
    """Another process in the middle of a draft."""
    with start(OPEN_A_DRAFT, tmp_path) as process:
        assert process.stdout is not None and process.stdout.readline() == "ready\n"
        yield process
        process.kill()


@pytest.fixture
def finished(tmp_path: Path) -> Path:
    """The folder of a finished step of two files."""
    with Store(tmp_path).draft("load", "key", {"about": "a step"}) as draft:
        (draft / "weights").write_bytes(b"12345678")
        (draft / "deep").mkdir()
        (draft / "deep" / "labels").write_text("a b c")
    found = Store(tmp_path).find("load", "key")
    assert found is not None
    return found


def rooms(root: Path) -> list[Path]:
    return list(root.glob(".*"))


def test_a_draft_takes_its_place_when_it_is_done(tmp_path: Path) -> None:
    keeper = Store(tmp_path / "not" / "there" / "yet")
    with keeper.draft("load", "key", {}) as draft:
        (draft / "weights").write_text("whole")
        assert keeper.find("load", "key") is None
        assert not keeper.place("load", "key").exists()
    found = keeper.find("load", "key")
    assert found == keeper.place("load", "key")
    assert (found / "weights").read_text() == "whole"
    assert keeper.find("load", "other") is None and keeper.find("export", "key") is None
    assert rooms(keeper.root) == []


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_an_error_leaves_nothing(tmp_path: Path, error: type[BaseException]) -> None:
    with pytest.raises(error), Store(tmp_path).draft("load", "key", {}) as draft:
        (draft / "weights").write_text("half")
        raise error
    assert list(tmp_path.iterdir()) == []


def test_an_error_leaves_the_older_folder(tmp_path: Path, finished: Path) -> None:
    with pytest.raises(ValueError), Store(tmp_path).draft("load", "key", {}):
        raise ValueError
    assert Store(tmp_path).find("load", "key") == finished


def test_a_second_draft_replaces_the_first(tmp_path: Path, finished: Path) -> None:
    with Store(tmp_path).draft("load", "key", {}) as draft:
        (draft / "other").write_text("new")
    assert Store(tmp_path).find("load", "key") == finished
    assert store.digest_of_files(finished).keys() == {"other"}
    assert rooms(tmp_path) == []


def truncate(folder: Path) -> None:
    (folder / "weights").write_bytes(b"1234")


def alter(folder: Path) -> None:
    (folder / "weights").write_bytes(b"12345679")


def remove(folder: Path) -> None:
    (folder / "deep" / "labels").unlink()


def add(folder: Path) -> None:
    (folder / "deep" / "more").touch()


def rename(folder: Path) -> None:
    (folder / "weights").rename(folder / "weight")


def lose_the_entry(folder: Path) -> None:
    (folder / store.ENTRY).unlink()


def truncate_the_entry(folder: Path) -> None:
    entry = folder / store.ENTRY
    entry.write_bytes(entry.read_bytes()[:40])


def empty_the_entry(folder: Path) -> None:
    (folder / store.ENTRY).write_text("[]")


def garble_the_entry(folder: Path) -> None:
    (folder / store.ENTRY).write_bytes(b"\xff\xfe")


@pytest.mark.parametrize(
    "damage",
    [
        truncate,
        alter,
        remove,
        add,
        rename,
        lose_the_entry,
        truncate_the_entry,
        empty_the_entry,
        garble_the_entry,
    ],
)
def test_what_is_no_longer_what_was_written_is_not_found(tmp_path: Path, finished: Path, damage: object) -> None:
    assert callable(damage)
    damage(finished)
    assert Store(tmp_path).find("load", "key") is None


def test_a_killed_draft_is_not_found_and_is_swept(tmp_path: Path, drafting: Process) -> None:
    drafting.send_signal(signal.SIGKILL)
    drafting.wait()
    assert Store(tmp_path).find("load", "key") is None
    assert len(rooms(tmp_path)) == 1
    Store(tmp_path).sweep()
    assert rooms(tmp_path) == []


def test_a_draft_of_a_living_process_is_left_alone(tmp_path: Path, drafting: Process) -> None:
    Store(tmp_path).sweep()
    assert len(rooms(tmp_path)) == 1
    _, complaint = drafting.communicate("go on\n")
    assert drafting.returncode == 0, complaint
    found = Store(tmp_path).find("load", "key")
    assert found is not None and (found / "weights").read_text() == "whole"


def test_what_is_not_a_draft_is_never_swept(tmp_path: Path, finished: Path) -> None:
    others = tmp_path / ".config-of-somebody"
    others.mkdir()
    (others / "precious").touch()
    (others / "lock").touch()
    (tmp_path / ".cache-without-a-lock").mkdir()
    (tmp_path / ".a-file").touch()
    (tmp_path / "logs").mkdir()
    Store(tmp_path).sweep()
    assert {path.name for path in others.iterdir()} == {"precious", "lock"}
    assert list((tmp_path / ".cache-without-a-lock").iterdir()) == []
    assert (tmp_path / ".a-file").exists() and (tmp_path / "logs").exists()
    assert Store(tmp_path).find("load", "key") == finished


def test_sweeping_where_nothing_is_does_nothing(tmp_path: Path) -> None:
    Store(tmp_path / "absent").sweep()
    assert not (tmp_path / "absent").exists()


@pytest.mark.slow
def test_two_processes_at_the_same_step_both_end_well(tmp_path: Path) -> None:
    processes = [start(DRAFT_OFTEN, tmp_path, name) for name in ("first", "second")]
    ends = [process.communicate() for process in processes]
    assert [said for said, _ in ends] == ["done\n", "done\n"], "\n".join(complaint for _, complaint in ends)
    found = Store(tmp_path).find("load", "key")
    assert found is not None
    assert (found / "one").read_text() == (found / "two").read_text()
    assert rooms(tmp_path) == []


@pytest.mark.slow
def test_a_build_that_begins_does_not_disturb_one_under_way(tmp_path: Path) -> None:
    with start(SWEEP_OFTEN, tmp_path) as sweeping:
        try:
            assert sweeping.stdout is not None and sweeping.stdout.readline() == "ready\n"
            said, complaint = start(DRAFT_OFTEN, tmp_path, "first").communicate()
        finally:
            sweeping.kill()
    assert said == "done\n", complaint
    assert Store(tmp_path).find("load", "key") is not None


def test_a_key_follows_every_value_and_no_order_of_names() -> None:
    key = store.key_of({"seed": 1, "path": Path("a"), "gates": [1, 2]})
    assert len(key) == 16 and int(key, 16) >= 0
    assert key == store.key_of({"gates": [1, 2], "path": Path("a"), "seed": 1})
    others = [{"seed": 2, "path": "a", "gates": [1, 2]}, {"seed": 1, "path": "a", "gates": [2, 1]}, {"seed": 1}]
    assert len({key, *map(store.key_of, others)}) == 4


def test_digests_are_those_of_the_known_algorithm(finished: Path) -> None:
    wanted = "ef797c8118f02dfb649607dd5d3f8c7623048c9c063d532cc95c5ed7a898a64f"  # printf 12345678 | sha256sum
    assert store.digest_of(finished / "weights") == wanted
    assert list(store.digest_of_files(finished)) == ["deep/labels", "weights"]


def test_a_room_is_kept_until_its_step_is_finished(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    with store.room("train", "k") as room:
        (room / "checkpoint").write_text("half the way")
    with store.room("train", "k") as again:
        assert (again / "checkpoint").read_text() == "half the way"
    with store.draft("train", "k", {}) as draft:
        (draft / "model").write_text("done")
    assert not again.exists() and store.find("train", "k") is not None


def test_a_second_build_has_a_room_of_its_own_and_leaves_the_firsts_alone(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    with store.room("train", "k") as first:
        with store.room("train", "k") as second:
            assert second != first and second.is_dir()
        with store.draft("train", "k", {}) as draft:
            (draft / "model").write_text("done")
        assert first.is_dir() and not second.exists()


def test_a_step_that_is_forgotten_starts_anew(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    with store.room("train", "k") as room:
        (room / "checkpoint").write_text("half the way")
    store.remove("train", "k")
    with store.room("train", "k") as room:
        assert not (room / "checkpoint").exists()

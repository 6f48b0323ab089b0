"""Clocks, heat and power of a board that is faked file by file, and what they say against a run."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edgebert.device import conditions

MAX = 2400000  # kHz
Write = Callable[[str, object], None]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """A machine that tells nothing, until a file of it is written; its tools are in `bin`."""
    root = tmp_path / "root"
    for name in ("_CPU", "_FIRMWARE", "_THERMAL", "_MEMORY", "_L4T"):
        monkeypatch.setattr(conditions, name, f"{root}{getattr(conditions, name)}")
    (root / "bin").mkdir(parents=True)
    monkeypatch.setenv("PATH", str(root / "bin"))

    def one(name: str, content: object) -> None:
        path = root / name.lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{content}\n", encoding="utf-8")
        if path.parent.name == "bin":
            path.chmod(0o755)

    return one


def clocks(write: Write, cur: int = MAX, scaling: int = MAX, cores: int = 4) -> None:
    values = {"scaling_cur_freq": cur, "scaling_max_freq": scaling, "cpuinfo_max_freq": MAX}
    for core in range(cores):
        for name, value in {**values, "scaling_governor": "ondemand"}.items():
            write(f"sys/devices/system/cpu/cpu{core}/cpufreq/{name}", value)


def test_a_machine_that_tells_nothing_has_unknown_conditions_and_no_faults(write: Write) -> None:
    found = conditions.snapshot()
    assert (found["khz"], found["max_khz"], found["allowed_khz"], found["governors"]) == ([], [], [], [])
    assert found["temperatures_c"] == {}
    assert {found[key] for key in ("throttled", "power_mode", "l4t", "memory_available_mb")} == {None}
    assert found["load_1m"] == pytest.approx(os.getloadavg()[0], abs=5)
    assert conditions.faults({"before": found, "during": [found], "after": found}) == []


def test_a_board_is_read_core_by_core_and_zone_by_zone(write: Write) -> None:
    clocks(write, cur=1500000, scaling=1800000)
    write("sys/class/thermal/thermal_zone0/type", "cpu-thermal")
    write("sys/class/thermal/thermal_zone0/temp", "48250")
    write("sys/class/thermal/thermal_zone1/temp", "-3000")
    write("sys/class/thermal/thermal_zone2/temp", "no sensor")
    write("proc/meminfo", "MemTotal:  3884352 kB\nMemFree:  10 kB\nMemAvailable:   1000000 kB")
    write("etc/nv_tegra_release", "# R36 (release), REVISION: 4.0")
    found = conditions.snapshot()
    assert found["khz"] == [1500000] * 4
    assert (found["max_khz"], found["allowed_khz"]) == ([MAX] * 4, [1800000] * 4)
    assert found["governors"] == ["ondemand"]
    assert found["temperatures_c"] == {"cpu-thermal": 48.25, "thermal_zone1": -3.0}
    assert found["memory_available_mb"] == 1024.0
    assert found["l4t"] == "# R36 (release), REVISION: 4.0"
    assert json.loads(json.dumps(found)) == found


def test_throttling_is_told_by_the_firmware_or_else_by_the_boards_tool(write: Write) -> None:
    write("bin/vcgencmd", '#!/bin/sh\n[ "$1" = get_throttled ] && echo throttled=0x50005')
    assert conditions.snapshot()["throttled"] == 0x50005
    assert conditions.snapshot(thorough=False)["throttled"] is None  # each second no process is started
    write("sys/devices/platform/soc/soc:firmware/get_throttled", "50000")
    assert conditions.snapshot(thorough=False)["throttled"] == 0x50000
    assert conditions.snapshot()["throttled"] == 0x50000


@pytest.mark.parametrize("content", ["#!/bin/sh\nexit 255", "#!/bin/sh\n", "#!/no/such/shell"])
def test_a_tool_that_fails_tells_nothing(write: Write, content: str) -> None:
    write("bin/vcgencmd", content)
    write("bin/nvpmodel", content)
    found = conditions.snapshot()
    assert (found["throttled"], found["power_mode"]) == (None, None)


def test_the_power_mode_of_a_jetson_is_asked_for(write: Write) -> None:
    write("bin/nvpmodel", "#!/bin/sh\necho NV Power Mode: 15W\necho 0")
    assert conditions.snapshot()["power_mode"] == "NV Power Mode: 15W\n0"


def test_a_watch_looks_before_during_and_after(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conditions, "SECONDS", 0.01)
    clocks(write, cur=1000000)
    with conditions.Watch() as watch:
        while len(watch.during) < 3:
            time.sleep(0.01)
        clocks(write, cur=2000000)
    record = watch.record()
    count = len(record["during"])
    assert record["before"]["khz"] == [1000000] * 4
    assert record["during"][0]["khz"] == [1000000] * 4
    assert "governors" not in record["during"][0]
    assert record["after"]["khz"] == [2000000] * 4
    assert record["before"]["governors"] == record["after"]["governors"] == ["ondemand"]
    time.sleep(0.05)
    assert len(record["during"]) == count, "it goes on looking after its end"


def test_a_watch_ends_with_a_block_that_fails(write: Write) -> None:
    watch = conditions.Watch()
    with pytest.raises(KeyError), watch:
        raise KeyError
    assert not watch._thread.is_alive()
    assert watch.after["governors"] == []


def record(before: dict[str, Any], during: list[dict[str, Any]], after: dict[str, Any]) -> dict[str, Any]:
    steady = {"khz": [MAX], "max_khz": [MAX], "allowed_khz": [MAX], "governors": ["performance"], "throttled": 0}
    return {
        "before": {**steady, **before},
        "during": [{"khz": [MAX], "throttled": 0, **one} for one in during],
        "after": {**steady, **after},
    }


def test_a_steady_board_has_no_faults() -> None:
    assert conditions.faults(record({}, [{}] * 20, {})) == []


@pytest.mark.parametrize(
    ("bit", "told"),
    [(0, "under-voltage"), (1, "the ARM clock is capped"), (2, "throttled"), (3, "soft temperature limit")],
)
def test_what_the_firmware_reports_now_or_for_the_first_time_is_a_fault(bit: int, told: str) -> None:
    now, since = 1 << bit, 1 << (16 + bit)
    expected = [f"the board reports: {told}"]
    assert conditions.faults(record({"throttled": now | since}, [], {})) == expected
    assert conditions.faults(record({}, [{}, {"throttled": now}, {}], {})) == expected
    assert conditions.faults(record({}, [], {"throttled": now})) == expected
    assert conditions.faults(record({}, [{}], {"throttled": since})) == expected  # between two looks


def test_what_happened_before_the_run_is_no_fault() -> None:
    sticky = {"throttled": 0xF0000}
    assert conditions.faults(record(sticky, [sticky] * 3, sticky)) == []
    assert conditions.faults(record({"throttled": 0x10000}, [], {"throttled": 0x50000})) == [
        "the board reports: throttled"
    ]


def test_bits_of_no_known_meaning_are_no_fault() -> None:
    assert conditions.faults(record({}, [{"throttled": 0x10}], {"throttled": 0x100010})) == []


def test_a_limited_clock_is_told_once_with_its_governor() -> None:
    limited = {"allowed_khz": [1500000, 1500000], "governors": ["powersave"]}
    found = conditions.faults(record(limited, [{"khz": [1500000]}] * 20, {}))
    assert found == ["the clock is limited to 1500 of 2400 MHz (governor powersave)"]
    assert conditions.faults(record({"allowed_khz": [0.96 * MAX]}, [], {})) == []


def test_a_limit_on_the_small_cores_alone_is_no_fault() -> None:
    assert conditions.faults(record({"max_khz": [1800000, MAX], "allowed_khz": [1800000, MAX]}, [], {})) == []


@pytest.mark.parametrize(
    ("slow", "samples", "fault"), [(1, 2, False), (2, 2, True), (2, 40, False), (3, 40, True)]
)
def test_a_clock_that_falls_in_more_than_a_twentieth_of_the_samples_is_a_fault(
    slow: int, samples: int, fault: bool
) -> None:
    during = [{"khz": [1200000, 600000]}] * slow + [{"khz": [MAX, 600000]}] * (samples - slow)
    expected = [f"the clock fell to 1200 of 2400 MHz in {slow} of {samples} samples"] if fault else []
    assert conditions.faults(record({}, during, {})) == expected


def test_one_core_at_full_speed_is_enough_and_unknown_clocks_are_no_fault() -> None:
    assert conditions.faults(record({}, [{"khz": [600000, MAX, 600000]}] * 20, {})) == []
    assert conditions.faults(record({"max_khz": []}, [{"khz": [600000]}] * 20, {})) == []
    assert conditions.faults(record({}, [{"khz": []}] * 20, {})) == []
    unknown = {"throttled": None}
    assert conditions.faults(record(unknown, [unknown], unknown)) == []

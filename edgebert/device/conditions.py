"""What may slow a board down while it is measured: clocks, heat, power; before, each second during, and after."""

import glob
import os
import shutil
import subprocess
import threading
from typing import Any, Dict, List, Optional

FULL_SPEED = 0.95  # of the highest clock; below it a run says nothing of the board
SECONDS = 1.0  # between two looks during a run
STRAY = 0.05  # share of the samples that may be slow: one reading can fall into a change of clocks
# Bits of `vcgencmd get_throttled` (raspberrypi.com/documentation, vcgencmd): now; 16 higher: since boot
THROTTLED = {0: "under-voltage", 1: "the ARM clock is capped", 2: "throttled", 3: "soft temperature limit"}
_CPU = "/sys/devices/system/cpu/cpu[0-9]*/cpufreq/"
_FIRMWARE = "/sys/devices/platform/soc/soc:firmware/get_throttled"
_THERMAL = "/sys/class/thermal/thermal_zone*/"
_MEMORY = "/proc/meminfo"
_L4T = "/etc/nv_tegra_release"


def snapshot(thorough: bool = True) -> Dict[str, Any]:
    """Clocks in kHz a core, temperatures in degrees Celsius a zone, load, free memory, throttling, power mode.

    What a machine does not tell is None or empty. `thorough` also asks the board's own tools: new processes.
    """
    found = {
        "khz": _numbers(_CPU + "scaling_cur_freq"),
        "temperatures_c": _temperatures(),
        "throttled": _hex(_text(_FIRMWARE)),
    }  # type: Dict[str, Any]
    if thorough:
        found.update(
            {
                "max_khz": _numbers(_CPU + "cpuinfo_max_freq"),
                "allowed_khz": _numbers(_CPU + "scaling_max_freq"),
                "governors": sorted(set(filter(None, map(_text, glob.glob(_CPU + "scaling_governor"))))),
                "load_1m": os.getloadavg()[0],
                "memory_available_mb": memory_available_mb(),
                "power_mode": _asked("nvpmodel", "-q"),
                "l4t": _text(_L4T),
            }
        )
        if found["throttled"] is None:
            found["throttled"] = _hex((_asked("vcgencmd", "get_throttled") or "").rpartition("=")[2])
    return found


class Watch:
    """Conditions while a block runs: `before`, `during` (a snapshot every `SECONDS`) and `after`."""

    def __init__(self) -> None:
        self.before = {}  # type: Dict[str, Any]
        self.during = []  # type: List[Dict[str, Any]]
        self.after = {}  # type: Dict[str, Any]
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> "Watch":
        self.before = snapshot()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        self.after = snapshot()

    def _look(self) -> None:
        while not self._over.wait(SECONDS):
            self.during.append(snapshot(thorough=False))

    def record(self) -> Dict[str, Any]:
        """All of it, ready for JSON."""
        return {"before": self.before, "during": self.during, "after": self.after}


def faults(record: Dict[str, Any]) -> List[str]:
    """Why a run under these conditions says nothing of the board's speed; empty where it does."""
    before, during, after = record["before"], record["during"], record["after"]
    found = []
    highest = before.get("max_khz") or []
    allowed = before.get("allowed_khz") or []
    if highest and allowed and max(allowed) < FULL_SPEED * max(highest):
        said = "the clock is limited to {:.0f} of {:.0f} MHz (governor {})"
        governors = ", ".join(before.get("governors") or ["unknown"])
        found.append(said.format(max(allowed) / 1e3, max(highest) / 1e3, governors))
    clocks = [max(sample["khz"]) for sample in during if sample.get("khz")]
    slow = [clock for clock in clocks if highest and clock < FULL_SPEED * max(highest)]
    if not found and len(slow) > max(1, STRAY * len(clocks)):
        said = "the clock fell to {:.0f} of {:.0f} MHz in {} of {} samples"
        found.append(said.format(min(slow) / 1e3, max(highest) / 1e3, len(slow), len(clocks)))
    now = 0
    for one in [before, *during, after]:
        now |= (one.get("throttled") or 0) & 0xF
    since = (after.get("throttled") or 0) >> 16 & ~((before.get("throttled") or 0) >> 16) & 0xF
    for bit, name in THROTTLED.items():
        if (now | since) >> bit & 1:
            found.append("the board reports: " + name)
    return found


def memory_available_mb() -> Optional[float]:
    """Memory that a new process can have, in 10^6 bytes."""
    for line in (_text(_MEMORY) or "").splitlines():
        if line.startswith("MemAvailable:"):
            return round(int(line.split()[1]) * 1024 / 1e6, 1)
    return None


def _temperatures() -> Dict[str, float]:
    found = {}
    for zone in sorted(glob.glob(_THERMAL)):
        value = _text(zone + "temp")
        if value is not None and value.lstrip("-").isdigit():
            found[_text(zone + "type") or os.path.basename(zone[:-1])] = int(value) / 1e3
    return found


def _numbers(pattern: str) -> List[int]:
    return [int(text) for text in map(_text, sorted(glob.glob(pattern))) if text and text.isdigit()]


def _hex(text: Optional[str]) -> Optional[int]:
    try:
        return int(text or "", 16)
    except ValueError:
        return None


def _text(path: str) -> Optional[str]:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read().strip("\0\n ") or None
    except OSError:
        return None


def _asked(*command: str) -> Optional[str]:
    """What a tool of the board prints, or None where there is none or it fails."""
    if shutil.which(command[0]) is None:
        return None
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.decode("utf-8", "replace").strip() or None if done.returncode == 0 else None

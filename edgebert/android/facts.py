"""What a phone says of itself: what it is, and what may slow it down, in the shapes of `edgebert.device`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from edgebert.android.bridge import Phone
from edgebert.device import conditions

ABI = "arm64-v8a"
# PowerManager.THERMAL_STATUS_*; at LIGHT "UX is not impacted", from MODERATE on clocks are taken back to cool down
THERMAL = ("none", "light", "moderate", "severe", "critical", "emergency", "shutdown")
THROTTLED = THERMAL.index("moderate")
_PROPERTIES = {
    "manufacturer": "ro.product.manufacturer",
    "model": "ro.product.model",
    "soc_maker": "ro.soc.manufacturer",  # since Android 12
    "soc": "ro.soc.model",
    "platform": "ro.board.platform",
    "release": "ro.build.version.release",
    "abis": "ro.product.cpu.abilist",
    "qemu": "ro.kernel.qemu",
    "qemu_boot": "ro.boot.qemu",
    "hardware": "ro.hardware",
}
_EMULATORS = ("ranchu", "goldfish", "cutf_cvm")  # ro.hardware of Android's emulator and of Cuttlefish
_CPU = "/sys/devices/system/cpu/cpu[0-9]*"
_FREQUENCY = f"{_CPU}/cpufreq"
_WHAT = {
    **{name: f"getprop {key}" for name, key in _PROPERTIES.items()},
    "kernel": "uname -r",
    "arch": "uname -m",
    "cores": f"ls -d {_CPU}",
    "governors": f"cat {_FREQUENCY}/scaling_governor",
}
_NOW = {
    "khz": f"cat {_FREQUENCY}/scaling_cur_freq",
    "max_khz": f"cat {_FREQUENCY}/cpuinfo_max_freq",
    "allowed_khz": f"cat {_FREQUENCY}/scaling_max_freq",
    "governors": f"cat {_FREQUENCY}/scaling_governor",
    "load": "cat /proc/loadavg",
    "memory": "cat /proc/meminfo",
    "thermal": "dumpsys thermalservice",  # since Android 10
    "zones": 'for z in /sys/class/thermal/thermal_zone*; do echo "$(cat $z/type) $(cat $z/temp)"; done',
    "battery": "dumpsys battery",
    "saver": "settings get global low_power",
}
_HEAT = re.compile(r"Temperature\{mValue=([-\d.]+),.*?mName=([^,}]+)")
_MARK = "@edgebert:"


@dataclass(frozen=True)
class Facts:
    """What a phone is. `board` is maker and model, `soc` its chip; `emulated`: it is no phone but an emulator."""

    board: str
    soc: str
    arch: str
    abi: str
    cores: int
    kernel: str
    release: str
    governor: str | None
    emulated: bool

    def host(self) -> dict[str, Any]:
        """As `edgebert.device.measure.host` tells of a machine; no serial number and no address."""
        return {
            "board": self.board or None,
            "cpu": self.soc or self.arch,
            "arch": self.arch,
            "cores": self.cores,
            "kernel": self.kernel,
            "system": f"Android {self.release}",
            "python": None,
            "governor": self.governor,
        }


def ask(phone: Phone) -> Facts:
    """Ask a phone what it is. Raises SurroundingsError where it is lost."""
    said = _asked(phone, _WHAT)
    first = {name: lines[0] if lines else "" for name, lines in said.items()}
    board = first["model"]
    if not board.lower().startswith(first["manufacturer"].lower()):
        board = f"{first['manufacturer']} {board}".strip()
    soc = f"{first['soc_maker']} {first['soc']}".strip() or first["platform"] or first["hardware"]
    return Facts(
        board=board,
        soc=soc,
        arch=first["arch"],
        abi=first["abis"].split(",")[0],
        cores=len(said["cores"]) or 1,
        kernel=first["kernel"],
        release=first["release"],
        governor=first["governors"] or None,
        emulated="1" in (first["qemu"], first["qemu_boot"]) or first["hardware"] in _EMULATORS,
    )


def snapshot(phone: Phone) -> dict[str, Any]:
    """Clocks in kHz, degrees Celsius a zone, throttling, battery: as `edgebert.device.conditions.snapshot`.

    What the phone does not tell is None or empty; `thermal_status` is an index of THERMAL.
    """
    said = _asked(phone, _NOW)
    battery = dict(line.strip().split(": ", 1) for line in said["battery"] if ": " in line)
    powered = [name for name, value in battery.items() if name.endswith("powered") and value == "true"]
    available = [line.split()[1] for line in said["memory"] if line.startswith("MemAvailable:")]
    return {
        "khz": _numbers(said["khz"]),
        "temperatures_c": _temperatures(said),
        "throttled": None,
        "max_khz": _numbers(said["max_khz"]),
        "allowed_khz": _numbers(said["allowed_khz"]),
        "governors": sorted(set(said["governors"])),
        "load_1m": float(said["load"][0].split()[0]) if said["load"] else None,
        "memory_available_mb": round(int(available[0]) * 1024 / 1e6, 1) if available else None,
        "power_mode": None,
        "l4t": None,
        "thermal_status": _thermal_status(said["thermal"]),
        "battery_percent": int(battery["level"]) if battery.get("level", "").isdigit() else None,
        "charging": bool(powered) if battery else None,
        "battery_saver": {"1": True, "0": False}.get("".join(said["saver"][:1])),
    }


def faults(record: dict[str, Any]) -> list[str]:
    """Why a run under these conditions says nothing of the phone's speed; empty where it does."""
    found = conditions.faults(record)
    ends = [record["before"], record["after"]]
    worst = max(one["thermal_status"] or 0 for one in ends)
    if worst >= THROTTLED:
        found.append(f"the phone reports throttling: thermal status {worst} ({THERMAL[min(worst, 6)]})")
    if any(one["battery_saver"] for one in ends):
        found.append("the phone's battery saver is on")
    return found


def _asked(phone: Phone, questions: dict[str, str]) -> dict[str, list[str]]:
    """What each command prints, line by line without its complaints, in one call."""
    script = "\n".join(f"echo; echo {_MARK}{name}; {{ {one}; }} 2>/dev/null" for name, one in questions.items())
    found: dict[str, list[str]] = {name: [] for name in questions}
    name = ""
    for line in phone.shell(script).output.splitlines():
        if line.startswith(_MARK):
            name = line.removeprefix(_MARK).strip()
        elif name in found and line.strip():
            found[name].append(line.strip())
    return found


def _numbers(lines: list[str]) -> list[int]:
    return [int(line) for line in lines if line.isdigit()]


def _thermal_status(lines: list[str]) -> int | None:
    said = [line.partition(":")[2].strip() for line in lines if line.startswith("Thermal Status:")]
    return int(said[0]) if said and said[0].isdigit() else None


def _temperatures(said: dict[str, list[str]]) -> dict[str, float]:
    """Current ones of the thermal service (what it lists last), else those of the kernel's zones."""
    text = "\n".join(said["thermal"])
    found = {name: float(value) for value, name in _HEAT.findall(text)}
    if not found:
        for line in said["zones"]:
            name, _, value = line.rpartition(" ")
            if name and value.lstrip("-").isdigit():
                found[name] = int(value) / 1e3
    return found

"""CPUs that QEMU emulates, and what Linux says of a board with one: /proc/cpuinfo, /sys/devices/system/cpu.

Runtimes choose kernels by these files and by the CPU itself: where the two disagree they end with SIGILL, without
the files with SIGSEGV.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

BOOTED = "0.01 0.02 0.00 1/100 1234"


@dataclass(frozen=True)
class Cpu:
    """One CPU on a board of four.

    `part`, `variant` and `revision` are fields of MIDR_EL1 as /proc/cpuinfo prints them, `features` the kernel's
    names of the instruction set's parts, clocks in kHz, caches in KiB. Sources: the Arm Technical Reference Manual
    of each core (MIDR_EL1, ID_AA64ISAR0_EL1, caches); clocks and boards of raspberrypi.com/documentation.
    """

    part: str
    variant: str
    revision: str
    features: str
    slowest_khz: int
    fastest_khz: int
    l1_instructions_kib: int
    l1_data_kib: int
    l2_kib: int
    board: str
    memory_kib: int = 3884352


_ARMV8_0 = "fp asimd evtstrm crc32 cpuid"
_ARMV8_2 = "fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop asimddp"
KNOWN = {
    "cortex-a35": Cpu("0xd04", "0x0", "2", _ARMV8_0, 600000, 1300000, 32, 32, 512, "an emulated Cortex-A35"),
    "cortex-a53": Cpu(
        "0xd03", "0x0", "4", _ARMV8_0, 600000, 1400000, 32, 32, 512, "Raspberry Pi 3 Model B Plus Rev 1.3", 948304
    ),
    "cortex-a57": Cpu("0xd07", "0x1", "3", _ARMV8_0, 600000, 1900000, 48, 32, 2048, "an emulated Cortex-A57"),
    "cortex-a72": Cpu(
        "0xd08", "0x0", "3", _ARMV8_0, 600000, 1800000, 48, 32, 1024, "Raspberry Pi 4 Model B Rev 1.4"
    ),
    "cortex-a76": Cpu(
        "0xd0b", "0x4", "1", _ARMV8_2, 1500000, 2400000, 64, 64, 512, "Raspberry Pi 5 Model B Rev 1.0"
    ),
    "neoverse-n1": Cpu("0xd0c", "0x3", "1", _ARMV8_2, 1000000, 3000000, 64, 64, 1024, "an emulated Neoverse-N1"),
}
CORES = 4


def write(cpu: Cpu, root: Path) -> None:
    """Write what Linux would say of a board with this CPU below `root`."""
    _text(root, "proc/cpuinfo", "\n".join([*(_core(cpu, i) for i in range(CORES)), f"Model\t\t: {cpu.board}"]))
    _text(root, "proc/device-tree/model", cpu.board)
    _text(root, "proc/loadavg", BOOTED)
    memory = {
        "MemTotal": cpu.memory_kib,
        "MemFree": cpu.memory_kib * 3 // 4,
        "MemAvailable": cpu.memory_kib * 4 // 5,
    }
    _text(root, "proc/meminfo", "\n".join(f"{name}: {kib} kB" for name, kib in memory.items()))
    _text(root, "sys/class/thermal/thermal_zone0/type", "cpu-thermal")
    _text(root, "sys/class/thermal/thermal_zone0/temp", "48000")
    everyone = f"0-{CORES - 1}"
    for name in ("possible", "present", "online"):
        _text(root, f"sys/devices/system/cpu/{name}", everyone)
    _text(root, "sys/devices/system/cpu/kernel_max", "255")
    for core in range(CORES):
        here = f"sys/devices/system/cpu/cpu{core}"
        for name, value in {**_topology(core, everyone), **_frequencies(cpu)}.items():
            _text(root, f"{here}/{name}", value)
        caches = (
            ("Data", 1, cpu.l1_data_kib, str(core)),
            ("Instruction", 1, cpu.l1_instructions_kib, str(core)),
            ("Unified", 2, cpu.l2_kib, everyone),
        )
        for i, (kind, level, kib, shared) in enumerate(caches):
            facts = {"type": kind, "level": str(level), "size": f"{kib}K", "coherency_line_size": "64"}
            for name, value in {**facts, "shared_cpu_list": shared}.items():
                _text(root, f"{here}/cache/index{i}/{name}", value)


def _core(cpu: Cpu, number: int) -> str:
    return "\n".join(
        [
            f"processor\t: {number}",
            "BogoMIPS\t: 108.00",
            f"Features\t: {cpu.features}",
            "CPU implementer\t: 0x41",
            "CPU architecture: 8",
            f"CPU variant\t: {cpu.variant}",
            f"CPU part\t: {cpu.part}",
            f"CPU revision\t: {cpu.revision}",
            "",
        ]
    )


def _topology(core: int, everyone: str) -> dict[str, str]:
    alone = dict.fromkeys(("core_id", "thread_siblings_list", "core_cpus_list"), str(core))
    shared = dict.fromkeys(("core_siblings_list", "package_cpus_list", "cluster_cpus_list"), everyone)
    one = {"physical_package_id": "0", "cluster_id": "0"}
    return {f"topology/{name}": value for name, value in {**alone, **shared, **one}.items()}


def _frequencies(cpu: Cpu) -> dict[str, str]:
    fastest = dict.fromkeys(
        ("scaling_cur_freq", "scaling_max_freq", "cpuinfo_cur_freq", "cpuinfo_max_freq"), str(cpu.fastest_khz)
    )
    slowest = dict.fromkeys(("scaling_min_freq", "cpuinfo_min_freq"), str(cpu.slowest_khz))
    found = {**fastest, **slowest, "scaling_governor": "ondemand"}
    return {f"cpufreq/{name}": value for name, value in found.items()}


def _text(root: Path, name: str, text: str) -> None:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text + "\n", encoding="utf-8")

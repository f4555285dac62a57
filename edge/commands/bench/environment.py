"""This machine in, everything about it that a figure depends on out: what it is, and what else happened meanwhile."""

from __future__ import annotations

import os
import platform
import re
import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import psutil

from edge import __version__
from edge.backends import table
from edge.commands.bench import power
from edge.commands.bench.power import output_of, smi

LIBRARIES = (
    "numpy",
    "opencv-python-headless",
    "opencv-python",
    *table.libraries(),
    "tifffile",
    "imagecodecs",
    "pydantic",
    "paho-mqtt",
)
SYSTEM = Path("/sys/devices/system/cpu")
THROTTLED_BY_HEAT_OR_POWER = 0x08 | 0x20 | 0x40 | 0x80
"""Of NVML's clock event reasons: hardware slowdown, software and hardware thermal slowdown, power brake."""


def describe() -> dict[str, Any]:
    """What stays the same during a run: processor, memory, GPU, power mode, versions, date."""
    frequency = psutil.cpu_freq()
    powered = power.describe()
    return {
        "date": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "cpu": {
            "model": cpu_model(),
            "cores_usable": usable_cores(),
            "cores_logical": psutil.cpu_count(),
            "cores_physical": psutil.cpu_count(logical=False),
            "quota_cores": _quota(),
            "mhz_now": round(frequency.current) if frequency and frequency.current else None,
            "mhz_max": round(frequency.max) if frequency and frequency.max else None,
            "governor": _text(SYSTEM / "cpu0/cpufreq/scaling_governor"),
            "virtual_machine": "hypervisor" in _cpuinfo("flags").split(),
        },
        "memory_mib": round(psutil.virtual_memory().total / 2**20),
        "gpu": _gpu(),
        "power_mode": powered["mode"],
        "power": powered,
        "system": platform.platform(),
        "process": {"niceness": os.nice(0), "omp_num_threads": os.environ.get("OMP_NUM_THREADS")},
        "load_average_before": [round(value, 2) for value in os.getloadavg()],
        "versions": {"edge": __version__, "python": platform.python_version(), **_versions()},
    }


def cpu_model() -> str:
    """The processor's name; a Jetson's is that of the board."""
    board = (_text(Path("/proc/device-tree/model")) or "").rstrip("\0")
    return _cpuinfo("model name") or board or platform.processor() or platform.machine()


def usable_cores() -> int:
    """Logical cores that this process may run on."""
    return len(os.sched_getaffinity(0))


def all_cores() -> int:
    """Logical cores of this machine."""
    return psutil.cpu_count() or 1


@dataclass
class Meanwhile:
    """What happened on the machine during a run.

    wall_s: how long it took.  cores_used: mean of this process and its ended children.  cores_used_by_others: the same of
    everything else here.  steal_fraction: time that the host of a virtual machine gave to others, of all cores' time.
    cpu_throttled: how often a core was slowed down by heat.  gpu_throttled: why the GPU was slow at the end, None without.
    cpu_mhz_before, cpu_mhz_after: mean clock of all cores, None where nobody tells; gpu_mhz_after: of the GPU.
    """

    wall_s: float = 0.0
    cores_used: float = 0.0
    cores_used_by_others: float = 0.0
    steal_fraction: float = 0.0
    cpu_throttled: int | None = None
    gpu_throttled: bool | None = None
    cpu_mhz_before: float | None = None
    cpu_mhz_after: float | None = None
    gpu_mhz_after: float | None = None
    peak_rss_mib: float | None = None
    gpu_memory_mib: float | None = None

    def document(self) -> dict[str, Any]:
        """In the form of the JSON document."""
        return {name: round(value, 3) if isinstance(value, float) else value for name, value in asdict(self).items()}


@contextmanager
def watched() -> Iterator[Meanwhile]:
    """Yields what is filled in when the block ends."""
    found = Meanwhile()
    _forget_peak()
    throttled = _throttle_count()
    found.cpu_mhz_before = _mean_mhz()
    before, own, started = psutil.cpu_times(), _own_seconds(), time.perf_counter()
    yield found
    found.wall_s = time.perf_counter() - started
    after = psutil.cpu_times()
    own = _own_seconds() - own
    found.cores_used = own / found.wall_s
    found.cores_used_by_others = max(0.0, (_busy_s(after) - _busy_s(before) - own) / found.wall_s)
    steal = getattr(after, "steal", 0.0) - getattr(before, "steal", 0.0)
    found.steal_fraction = steal / (found.wall_s * all_cores())
    now_throttled = _throttle_count()
    if throttled is not None and now_throttled is not None:
        found.cpu_throttled = now_throttled - throttled
    found.cpu_mhz_after, found.gpu_mhz_after = _mean_mhz(), _gpu_mhz()
    found.peak_rss_mib = _peak_rss_mib()
    found.gpu_throttled = _gpu_throttled()
    found.gpu_memory_mib = _gpu_memory_mib()


def _busy_s(times: Any) -> float:
    idle = times.idle + getattr(times, "iowait", 0.0) + getattr(times, "steal", 0.0)
    # A guest's time is counted in user and nice too.
    guests = getattr(times, "guest", 0.0) + getattr(times, "guest_nice", 0.0)
    return float(sum(times) - idle - guests)


def _own_seconds() -> float:
    spent = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in spent)


def _forget_peak() -> None:
    """Linux forgets the highest memory use when told so; elsewhere the peak is that of the process's whole life."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return


def _peak_rss_mib() -> float:
    status = _text(Path("/proc/self/status")) or ""
    if found := re.search(r"VmHWM:\s+(\d+) kB", status):
        return int(found[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _throttle_count() -> int | None:
    counts = [_text(path) for path in SYSTEM.glob("cpu[0-9]*/thermal_throttle/core_throttle_count")]
    return sum(int(count) for count in counts if count) if counts else None


def _quota() -> float | None:
    """Cores that a container may use, None without a limit (cgroup v2)."""
    limit, _, period = (_text(Path("/sys/fs/cgroup/cpu.max")) or "max").partition(" ")
    return None if limit == "max" else int(limit) / int(period or 100_000)


def _cpuinfo(name: str) -> str:
    found = re.search(rf"^{name}\s*:\s*(.*)$", _text(Path("/proc/cpuinfo")) or "", re.MULTILINE)
    return found[1] if found else ""


def _text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return None


def _gpu() -> dict[str, str] | None:
    names = ("name", "driver_version", "memory.total", "power.limit", "clocks.sm", "clocks.max.sm", "persistence_mode")
    values = smi(*names)
    return dict(zip((name.replace(".", "_") for name in names), values, strict=False)) if values else None


def _mean_mhz() -> float | None:
    clocks = power.cpu_mhz()
    return sum(clocks) / len(clocks) if clocks else None


def _gpu_mhz() -> float | None:
    values = smi("clocks.sm")
    try:
        return float(values[0]) if values else None
    except ValueError:
        return None


def _gpu_throttled() -> bool | None:
    """Whether heat or power slow the GPU down now."""
    values = smi("clocks_throttle_reasons.active")
    try:
        return bool(int(values[0], 16) & THROTTLED_BY_HEAT_OR_POWER) if values else None
    except ValueError:
        return None


def _gpu_memory_mib() -> float | None:
    """GPU memory of this process."""
    output = output_of("nvidia-smi", "--query-compute-apps=pid,used_memory", "--format=csv,noheader,nounits")
    for line in (output or "").splitlines():
        pid, _, used = line.partition(",")
        if pid.strip() == str(os.getpid()) and used.strip().isdigit():
            return float(used)
    return None


def _versions() -> dict[str, str]:
    found = {}
    for name in LIBRARIES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found

"""This machine in, how fast it may run and how fast it runs now out: power mode, governor, clocks; a reason where unknown.

Linux tells it in sysfs (cpufreq, devfreq), a Jetson in nvpmodel's files, an NVIDIA card through nvidia-smi.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ANSWER_WITHIN_S = 10.0
SMI_FIELDS = ("pstate", "clocks.sm", "clocks.mem", "clocks.max.sm", "power.draw", "power.limit")


def output_of(*command: str) -> str | None:
    """What a command prints; None when it is not there, fails or hangs."""
    found = shutil.which(command[0])
    if found is None:
        return None
    try:
        done = subprocess.run([found, *command[1:]], capture_output=True, text=True, timeout=ANSWER_WITHIN_S, check=True)
    except (OSError, subprocess.SubprocessError, UnicodeDecodeError):
        return None
    return done.stdout.strip()


def smi(*fields: str) -> list[str] | None:
    """Fields of the first NVIDIA GPU."""
    output = output_of("nvidia-smi", f"--query-gpu={','.join(fields)}", "--format=csv,noheader,nounits")
    return [value.strip() for value in output.splitlines()[0].split(",")] if output else None


@dataclass(frozen=True, slots=True)
class Places:
    """Where the facts lie; root is another folder in tests."""

    root: Path = Path("/")
    ask: Callable[..., str | None] = output_of

    def text(self, place: str) -> str | None:
        """A file's text without white space around it; None when it cannot be read or is empty."""
        try:
            return (self.root / place).read_text(encoding="utf-8", errors="replace").strip("\0 \n\t") or None
        except OSError:
            return None

    def all(self, pattern: str) -> list[Path]:
        """Files and folders of this pattern, in order."""
        return sorted(self.root.glob(pattern))


def describe(places: Places = Places()) -> dict[str, Any]:
    """For the JSON document. Each of `mode`, `governor`, `cpu_mhz`, `gpu` has its `…_reason` where it is null."""
    mode, why_no_mode = power_mode(places)
    governor, why_no_governor = _governor(places)
    clocks, why_no_clocks = _cpu_clocks(places)
    gpu, why_no_gpu = _gpu(places)
    return {
        "mode": mode,
        "mode_reason": why_no_mode,
        "governor": governor,
        "governor_reason": why_no_governor,
        "cpu_mhz": clocks,
        "cpu_mhz_reason": why_no_clocks,
        "gpu": gpu,
        "gpu_reason": why_no_gpu,
    }


def power_mode(places: Places = Places()) -> tuple[str | None, str | None]:
    """A Jetson's power mode as nvpmodel says it or its files do, or a laptop's platform profile; else why it is unknown."""
    if said := places.ask("nvpmodel", "-q"):
        return " ".join(said.split()), None
    number = re.search(r"pmode:0*(\d+)", places.text("var/lib/nvpmodel/status") or "")
    if number:
        names = dict(re.findall(r"POWER_MODEL\s+ID=(\d+)\s+NAME=(\S+)", places.text("etc/nvpmodel.conf") or ""))
        return f"NV Power Mode: {names.get(number[1], '?')} {number[1]}", None
    if profile := places.text("sys/firmware/acpi/platform_profile"):
        return f"platform profile {profile}", None
    return None, "neither nvpmodel (a Jetson) nor an ACPI platform profile is here"


def cpu_mhz(places: Places = Places()) -> list[float]:
    """What each core runs at now, in MHz; empty where nobody tells."""
    sysfs = [int(value) / 1e3 for value in _all(places, "scaling_cur_freq") if value.isdigit()]
    return sysfs or [float(value) for value in re.findall(r"^cpu MHz\s*:\s*([\d.]+)$", places.text("proc/cpuinfo") or "", re.M)]


def _governor(places: Places) -> tuple[str | None, str | None]:
    found = sorted(set(_all(places, "scaling_governor")))
    return (", ".join(found), None) if found else (None, _no_cpufreq(places))


def _cpu_clocks(places: Places) -> tuple[dict[str, Any] | None, str | None]:
    """Of all cores in MHz. locked: whether the least clock is the largest one, as jetson_clocks sets it."""
    now = cpu_mhz(places)
    if not now:
        return None, "neither cpufreq nor /proc/cpuinfo tells a clock"
    least, most = (
        [int(value) / 1e3 for value in _all(places, f"scaling_{end}_freq") if value.isdigit()] for end in ("min", "max")
    )
    return {
        "now_min": round(min(now), 1),
        "now_mean": round(sum(now) / len(now), 1),
        "now_max": round(max(now), 1),
        "allowed_min": min(least, default=None),
        "allowed_max": max(most, default=None),
        "locked": least == most if least and most else None,
    }, None


def _gpu(places: Places) -> tuple[dict[str, Any] | None, str | None]:
    """An NVIDIA card's state and clocks, or a Jetson's clocks, in MHz and W."""
    said = places.ask("nvidia-smi", f"--query-gpu={','.join(SMI_FIELDS)}", "--format=csv,noheader,nounits")
    if said:
        values = [value.strip() for value in said.splitlines()[0].split(",")]
        known = {name.replace(".", "_"): _known(value) for name, value in zip(SMI_FIELDS, values, strict=False)}
        if any(value is not None for value in known.values()):
            return known, None
    for folder in places.all("sys/class/devfreq/*"):
        if not re.search(r"gpu|gv11b|ga10b|gp10b", folder.name):
            continue
        clocks = [places.text(str(folder.relative_to(places.root) / f"{name}_freq")) for name in ("cur", "min", "max")]
        current, least, most = (int(value) / 1e6 if value and value.isdigit() else None for value in clocks)
        locked = least == most if least and most else None
        return {"clocks_sm": current, "allowed_min": least, "allowed_max": most, "locked": locked}, None
    return None, "no NVIDIA GPU answers (nvidia-smi), and devfreq has none"


def _known(value: str) -> float | str | None:
    """A number where it is one; None for what the card does not tell."""
    if not value or value.strip("[]").upper() in ("N/A", "NOT SUPPORTED", "UNKNOWN ERROR"):
        return None
    try:
        return float(value)
    except ValueError:
        return value


def _all(places: Places, name: str) -> Sequence[str]:
    """A cpufreq file of each core."""
    found = (
        places.text(str(path.relative_to(places.root)))
        for path in places.all(f"sys/devices/system/cpu/cpu[0-9]*/cpufreq/{name}")
    )
    return [value for value in found if value]


def _no_cpufreq(places: Places) -> str:
    virtual = " hypervisor" in (places.text("proc/cpuinfo") or "")
    return "no cpufreq in /sys/devices/system/cpu" + (": a virtual machine's host decides" if virtual else "")

"""A piece of work in, the joules that the machine counted meanwhile out, where it counts any.

What each meter sees differs, so a figure carries its meter's name: RAPL counts the processor's packages, NVML one GPU
board, tegrastats a Jetson's whole module. All of them count everything that runs, not this process alone.
"""

from __future__ import annotations

import ctypes
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

POWERCAP = Path("/sys/class/powercap")
TEGRASTATS_EVERY_MS = 100
_TEGRA_POWER = re.compile(r"\b(?:VDD_IN|POM_5V_IN) (\d+)(?:mW)?/")


class UnavailableError(Exception):
    """There is no such meter here; the message says why."""


class Meter(Protocol):
    """One running measurement."""

    name: str

    def joules(self) -> float:
        """Since it was started; ends it."""
        ...


@dataclass
class Energy:
    """What was found: one entry for each meter, or why there is none."""

    joules: dict[str, float] = field(default_factory=dict)
    reason: str | None = None


class Rapl:
    """The packages of Intel and AMD processors (Linux powercap); root alone may read it on most systems."""

    name = "rapl"

    def __init__(self, folder: Path = POWERCAP) -> None:
        zones = sorted(zone for zone in folder.glob("intel-rapl:*") if zone.name.count(":") == 1)
        if not zones:
            raise UnavailableError("the processor's energy is not counted here (no RAPL in /sys/class/powercap)")
        self._zones = zones
        self._before = self._read()

    def joules(self) -> float:
        """Counters that wrapped once meanwhile are right; they wrap after minutes under full load."""
        total = 0.0
        for zone, before, after in zip(self._zones, self._before, self._read(), strict=True):
            span = int((zone / "max_energy_range_uj").read_text()) if after < before else 0
            total += (after - before + span) / 1e6
        return total

    def _read(self) -> list[int]:
        try:
            return [int((zone / "energy_uj").read_text()) for zone in self._zones]
        except (OSError, ValueError) as error:
            raise UnavailableError(f"RAPL cannot be read ({error}): run as root, or give read access to energy_uj") from error


class Nvml:
    """The first NVIDIA GPU's own counter (Volta and later)."""

    name = "nvml"

    def __init__(self, library: ctypes.CDLL | None = None) -> None:
        try:
            self._nvml = library or ctypes.CDLL("libnvidia-ml.so.1")
        except OSError:
            raise UnavailableError("no NVIDIA driver (libnvidia-ml.so.1)") from None
        self._device = ctypes.c_void_p()
        if self._nvml.nvmlInit_v2() or self._nvml.nvmlDeviceGetHandleByIndex_v2(0, ctypes.byref(self._device)):
            raise UnavailableError("NVML finds no GPU")
        self._before = self._millijoules()

    def joules(self) -> float:
        """Since it was started."""
        spent = (self._millijoules() - self._before) / 1e3
        self._nvml.nvmlShutdown()
        return spent

    def _millijoules(self) -> int:
        count = ctypes.c_ulonglong()
        if self._nvml.nvmlDeviceGetTotalEnergyConsumption(self._device, ctypes.byref(count)):
            raise UnavailableError("this GPU does not count its energy")
        return count.value


class Tegrastats:
    """A Jetson's input power, read ten times a second and averaged over the time."""

    name = "tegrastats"

    def __init__(self, command: str = "tegrastats") -> None:
        found = shutil.which(command)
        if found is None:
            raise UnavailableError("no tegrastats, so this is no Jetson")
        self._started = time.monotonic()
        self._process = subprocess.Popen(
            [found, "--interval", str(TEGRASTATS_EVERY_MS)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )

    def joules(self) -> float:
        """Mean power times time; 0 when no power was told."""
        elapsed_s = time.monotonic() - self._started
        self._process.terminate()
        output, _ = self._process.communicate()
        watts = [int(power) / 1e3 for power in _TEGRA_POWER.findall(output)]
        if not watts:
            raise UnavailableError("tegrastats says nothing of the input power")
        return sum(watts) / len(watts) * elapsed_s


METERS: tuple[Callable[[], Meter], ...] = (Rapl, Nvml, Tegrastats)


@contextmanager
def metered(meters: tuple[Callable[[], Meter], ...] = METERS) -> Iterator[Energy]:
    """Yields what is filled in when the block ends."""
    found = Energy()
    running: list[Meter] = []
    reasons: list[str] = []
    for start in meters:
        try:
            running.append(start())
        except UnavailableError as error:
            reasons.append(str(error))
    yield found
    for meter in running:
        try:
            found.joules[meter.name] = meter.joules()
        except UnavailableError as error:
            reasons.append(str(error))
    if not found.joules:
        found.reason = "; ".join(reasons)

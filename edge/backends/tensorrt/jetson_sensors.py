"""The kernel's files about a Jetson's GPU in, how it does out; `tegrastats` reads the same files.

Which files there are differs from board to board and from release to release, so each is found by what it says it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from edge.backends.tensorrt.state import GpuState

SYS: Final = Path("/sys")
MODEL: Final = Path("/proc/device-tree/model")

_NODES: Final = ("gpu", "ga10b", "gb10b", "gv11b", "gp10b")
"""What the device tree calls a Jetson's GPU."""
_SHARED: Final = "the GPU shares the machine's memory: see memory"
_COLDEST_C: Final = -100
"""The kernel gives less for a GPU that is switched off."""


class JetsonSensors:
    """Looked at again and again by one thread; never raises."""

    def __init__(self) -> None:
        self._over_currents: dict[Path, int] = {}

    def look(self, name: str) -> GpuState:
        """How the GPU does now. name: where the device tree does not tell."""
        unknown = {
            "memory_used_mib": _SHARED,
            "memory_total_mib": _SHARED,
            "xid": "the driver of a Jetson numbers no errors: see journalctl -k",
        }

        def ask(
            figure: str, call: Callable[[], float | tuple[str, ...] | None], lacking: str
        ) -> float | tuple[str, ...] | None:
            try:
                value = call()
            except (OSError, ValueError) as error:
                unknown[figure] = f"{lacking}: {error}"
                return None
            if value is None:
                unknown[figure] = lacking
            return value

        utilisation = ask("utilisation", _utilisation, "no load of a GPU is under class/devfreq")
        temperature = ask("temperature_c", _temperature_c, "no thermal zone of a GPU that is switched on")
        power = ask("power_w", _power_w, "no INA3221 measures a rail of the GPU")
        throttling = ask("throttling", self._throttling, "neither alerts of temperature nor over-current counters are there")
        return GpuState(
            _words(MODEL) or name,
            utilisation=utilisation if isinstance(utilisation, float) else None,
            temperature_c=temperature if isinstance(temperature, float) else None,
            power_w=power if isinstance(power, float) else None,
            throttling=throttling if isinstance(throttling, tuple) else None,
            unknown=unknown,
        )

    def _throttling(self) -> tuple[str, ...] | None:
        """Alerts that are on, by their own names, and over-current events since the last look, as "over_current"."""
        seen, words = False, []
        for device in _folders("class/thermal", "cooling_device*"):
            kind = _words(device / "type")
            if kind.endswith("alert"):
                seen = True
                if _number(device / "cur_state") > 0:
                    words.append(kind)
        for sensor in _sensors("soctherm_oc"):
            for counter in sorted(sensor.glob("oc*_event_cnt")):
                seen, count = True, int(_number(counter))
                if count > self._over_currents.get(counter, count) and "over_current" not in words:
                    words.append("over_current")
                self._over_currents[counter] = count
        return tuple(words) if seen else None


def _utilisation() -> float | None:
    for clock in _folders("class/devfreq", "*"):
        device = clock / "device"
        if _words(device / "of_node" / "name") in _NODES or clock.name.rpartition(".")[2] in _NODES:
            return min(max(_number(device / "load") / 1000, 0.0), 1.0)  # in thousandths
    return None


def _temperature_c() -> float | None:
    for zone in _folders("class/thermal", "thermal_zone*"):
        if _words(zone / "type").lower().startswith("gpu"):
            degrees = _number(zone / "temp") / 1000
            return round(degrees, 1) if degrees > _COLDEST_C else None
    return None


def _power_w() -> float | None:
    for sensor in _sensors("ina3221"):
        for label in sorted(sensor.glob("in*_label")):
            if "GPU" in _words(label).upper():
                channel = label.name.removeprefix("in").removesuffix("_label")
                millivolts, milliamperes = (_number(sensor / f"{kind}{channel}_input") for kind in ("in", "curr"))
                return round(max(millivolts * milliamperes, 0.0) / 1e6, 2)
    return None


def _sensors(kind: str) -> Iterator[Path]:
    return (folder for folder in _folders("class/hwmon", "hwmon*") if _words(folder / "name") == kind)


def _folders(place: str, pattern: str) -> list[Path]:
    return sorted((SYS / place).glob(pattern))


def _words(path: Path) -> str:
    """A file's text without the device tree's closing nought; empty where it cannot be read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip("\0 \n")
    except OSError:
        return ""


def _number(path: Path) -> float:
    """A file's number. Raises OSError and ValueError."""
    return float(int(path.read_text(encoding="ascii", errors="replace")))

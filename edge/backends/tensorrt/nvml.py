"""NVIDIA's management library in, how a GPU does out; what it does not tell has its own words as the reason."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable
from typing import Any, Final

from edge.backends.tensorrt.state import GpuState, blank

log = logging.getLogger(__name__)

MISSING: Final = "NVIDIA's management library is not installed: pip install 'sem-corrosion-edge[tensorrt]'"
# NVML, nvmlClocksEventReason…: those that lower clocks against the user's will, by nvidia-smi's names.
_REASONS: Final = {
    0x04: "sw_power_cap",
    0x08: "hw_slowdown",
    0x20: "sw_thermal_slowdown",
    0x40: "hw_thermal_slowdown",
    0x80: "hw_power_brake_slowdown",
}
_MOST_EVENTS: Final = 64
"""Xids taken at one look; a GPU that fails may tell them without end."""
_MIB: Final = 2**20


class Nvml:
    """One GPU, looked at again and again by one thread. It may hang where the driver does, and never raises."""

    def __init__(self, uuid: str | None = None) -> None:
        """uuid: "GPU-…"; None: the first."""
        self._uuid = uuid
        self._library: Any = None
        self._handle: Any = None
        self._events: Any = None
        self._no_xid = ""
        self._xid: int | None = None

    def look(self, name: str) -> GpuState:
        """How it does now. name: where the library does not tell."""
        try:
            import pynvml
        except ImportError:
            return blank(name, MISSING)
        try:
            if self._handle is None:
                self._open(pynvml)
            return self._figures(pynvml, name)
        except Exception as error:  # the library's errors are of many kinds, and none may end the thread
            self.close()
            return blank(name, f"NVML: {error}")

    def close(self) -> None:
        """Let go of the library; the next look opens it again."""
        library, self._library, self._handle = self._library, None, None
        events, self._events = self._events, None
        with contextlib.suppress(Exception):
            if events is not None:
                library.nvmlEventSetFree(events)
        with contextlib.suppress(Exception):
            if library is not None:
                library.nvmlShutdown()

    def _open(self, pynvml: Any) -> None:
        pynvml.nvmlInit()
        self._library = pynvml
        by_uuid, first = pynvml.nvmlDeviceGetHandleByUUID, pynvml.nvmlDeviceGetHandleByIndex
        self._handle = by_uuid(self._uuid) if self._uuid else first(0)
        try:
            self._events = pynvml.nvmlEventSetCreate()
            pynvml.nvmlDeviceRegisterEvents(self._handle, pynvml.nvmlEventTypeXidCriticalError, self._events)
            self._no_xid = ""
        except Exception as error:  # not every GPU tells events
            self._no_xid = f"NVML: {error}"

    def _figures(self, pynvml: Any, name: str) -> GpuState:
        handle, unknown = self._handle, dict[str, str]()

        def ask(figure: str, call: Callable[[], Any]) -> Any:
            try:
                return call()
            except (pynvml.NVMLError_NotSupported, pynvml.NVMLError_NoPermission, pynvml.NVMLError_FunctionNotFound) as error:
                unknown[figure] = f"NVML: {error}"
                return None

        named = ask("name", lambda: pynvml.nvmlDeviceGetName(handle))
        unknown.pop("name", None)
        memory = ask("memory_used_mib", lambda: pynvml.nvmlDeviceGetMemoryInfo(handle))
        if memory is None:
            unknown["memory_total_mib"] = unknown["memory_used_mib"]
        busy = ask("utilisation", lambda: pynvml.nvmlDeviceGetUtilizationRates(handle))
        power = ask("power_w", lambda: pynvml.nvmlDeviceGetPowerUsage(handle))
        reasons = ask("throttling", lambda: pynvml.nvmlDeviceGetCurrentClocksThrottleReasons(handle))
        degrees = ask("temperature_c", lambda: pynvml.nvmlDeviceGetTemperature(handle, pynvml.NVML_TEMPERATURE_GPU))
        if self._no_xid:
            unknown["xid"] = self._no_xid
        else:
            self._take_events(pynvml)
        return GpuState(
            (named.decode(errors="replace") if isinstance(named, bytes) else named) or name,
            memory_used_mib=None if memory is None else round(memory.used / _MIB, 1),
            memory_total_mib=None if memory is None else round(memory.total / _MIB, 1),
            utilisation=None if busy is None else min(max(busy.gpu / 100, 0.0), 1.0),
            temperature_c=None if degrees is None else float(degrees),
            power_w=None if power is None else round(power / 1e3, 1),
            throttling=None if reasons is None else tuple(word for bit, word in _REASONS.items() if reasons & bit),
            xid=self._xid,
            unknown=unknown,
        )

    def _take_events(self, pynvml: Any) -> None:
        for _ in range(_MOST_EVENTS):
            try:
                event = pynvml.nvmlEventSetWait_v2(self._events, 0)
            except pynvml.NVMLError_Timeout:
                return
            self._xid = int(event.eventData)
            log.warning("the GPU reports Xid %d: see NVIDIA's list of Xid errors and journalctl -k", self._xid)

"""The GPU's own figures, asked in a thread of their own, in; the last ones that are fresh enough for a health message out.

A driver whose GPU has fallen off the bus may not answer for minutes, or ever. Then only this thread waits.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Final

from edge.backends.tensorrt import device
from edge.backends.tensorrt.jetson_sensors import JetsonSensors
from edge.backends.tensorrt.nvml import Nvml
from edge.backends.tensorrt.state import GpuState, blank

log = logging.getLogger(__name__)

EVERY_S: Final = 5.0
STALE_S: Final = 30.0
"""Older figures are not told any more."""

Look = Callable[[], GpuState]


class GpuWatch:
    """Begins to look when it is asked first, where the kernel sees NVIDIA's hardware; else there is nothing to see.

    The thread alone writes `_seen`, which it replaces whole; it ends with the process.
    """

    def __init__(self, open_look: Callable[[], Look] | None = None) -> None:
        """open_look: in place of the GPU's own; called in the thread."""
        self._open_look = open_look or _open_look
        self._thread: threading.Thread | None = None
        self._begun_at = 0.0
        self._seen: tuple[float, GpuState] | None = None
        self._stop = threading.Event()

    def state(self) -> GpuState | None:
        """How the GPU does, as last seen; None where there is none. Does not block."""
        hardware = device.hardware()
        if hardware is None:
            return None
        if self._thread is None:
            self._begun_at = time.monotonic()
            self._thread = threading.Thread(target=self._watch, name="gpu-watch", daemon=True)
            self._thread.start()
        seen = self._seen
        silent_s = time.monotonic() - (self._begun_at if seen is None else seen[0])
        if seen is None:
            return blank(hardware, f"the driver has not answered yet, for {silent_s:.0f} s")
        if silent_s > STALE_S:
            return blank(seen[1].name, f"the driver has not answered for {silent_s:.0f} s")
        return seen[1]

    def close(self) -> None:
        """Look no more. A thread that waits for the driver is left behind."""
        self._stop.set()

    def _watch(self) -> None:
        look: Look | None = None
        while not self._stop.is_set():
            try:
                look = look or self._open_look()
                self._seen = (time.monotonic(), look())
            except Exception:  # whatever is wrong with the GPU, the service lives
                log.exception("the GPU's figures cannot be read")
            self._stop.wait(EVERY_S)


def _open_look() -> Look:
    """What the kernel tells of a Jetson, and NVML of any GPU."""
    found, hardware = device.first_gpu(), device.hardware() or ""
    known = found if isinstance(found, device.FirstGpu) else None
    name = known.name if known else hardware
    nvml = Nvml(known.uuid if known and not known.integrated else None)
    if not hardware.startswith("a Jetson"):
        return lambda: nvml.look(name)
    sensors = JetsonSensors()
    return lambda: sensors.look(name).filled_by(nvml.look(name))

"""A library `pynvml` that is made up: its figures, its refusals, its events and its silence are the test's."""

from __future__ import annotations

import threading
from types import ModuleType, SimpleNamespace
from typing import Any


class NVMLError(Exception):
    """Of the library."""


class NVMLError_NotSupported(NVMLError):  # noqa: N801, N818 (the library's name)
    def __str__(self) -> str:
        return "Not Supported"


class NVMLError_NoPermission(NVMLError):  # noqa: N801, N818 (the library's name)
    """As the library's."""


class NVMLError_FunctionNotFound(NVMLError):  # noqa: N801, N818 (the library's name)
    """As the library's."""


class NVMLError_Timeout(NVMLError):  # noqa: N801, N818 (the library's name)
    """As the library's."""


class NVMLError_GpuIsLost(NVMLError):  # noqa: N801, N818 (the library's name)
    def __str__(self) -> str:
        return "GPU is lost"


class Pynvml(ModuleType):
    """One GPU. fail: of a call, what it raises.  xids: that are told next.  answers: cleared, each call waits for ever."""

    NVML_TEMPERATURE_GPU = 0
    nvmlEventTypeXidCriticalError = 8  # noqa: N815

    def __init__(self) -> None:
        super().__init__("pynvml")
        for kind in (
            NVMLError,
            NVMLError_NotSupported,
            NVMLError_NoPermission,
            NVMLError_FunctionNotFound,
            NVMLError_Timeout,
            NVMLError_GpuIsLost,
        ):
            setattr(self, kind.__name__, kind)
        self.fail: dict[str, Exception] = {}
        self.xids: list[int] = []
        self.opened = self.event_sets = 0
        self.asked: list[str] = []
        self.answers = threading.Event()
        self.answers.set()
        self.values: dict[str, Any] = {
            "nvmlDeviceGetName": "NVIDIA RTX 4090",
            "nvmlDeviceGetMemoryInfo": SimpleNamespace(used=1 << 30, total=24 << 30),
            "nvmlDeviceGetUtilizationRates": SimpleNamespace(gpu=35, memory=10),
            "nvmlDeviceGetPowerUsage": 123456,
            "nvmlDeviceGetCurrentClocksThrottleReasons": 0,
            "nvmlDeviceGetTemperature": 61,
        }

    def _called(self, name: str) -> None:
        self.answers.wait()
        self.asked.append(name)
        if name in self.fail:
            raise self.fail[name]

    def nvmlInit(self) -> None:  # noqa: N802
        self._called("nvmlInit")
        self.opened += 1

    def nvmlShutdown(self) -> None:  # noqa: N802
        self.opened -= 1

    def nvmlDeviceGetHandleByUUID(self, uuid: str) -> str:  # noqa: N802
        self._called("nvmlDeviceGetHandleByUUID")
        return uuid

    def nvmlDeviceGetHandleByIndex(self, index: int) -> str:  # noqa: N802
        self._called("nvmlDeviceGetHandleByIndex")
        return f"GPU {index}"

    def nvmlEventSetCreate(self) -> str:  # noqa: N802
        self.event_sets += 1
        return "events"

    def nvmlEventSetFree(self, events: str) -> None:  # noqa: N802
        assert events == "events"
        self.event_sets -= 1

    def nvmlDeviceRegisterEvents(self, handle: str, kinds: int, events: str) -> None:  # noqa: N802
        assert (kinds, events) == (8, "events")
        self._called("nvmlDeviceRegisterEvents")

    def nvmlEventSetWait_v2(self, events: str, timeout_ms: int) -> Any:  # noqa: N802
        assert (events, timeout_ms) == ("events", 0)
        if not self.xids:
            raise NVMLError_Timeout
        return SimpleNamespace(eventData=self.xids.pop(0))

    def __getattr__(self, name: str) -> Any:
        if name not in self.__dict__.get("values", ()):
            raise AttributeError(name)

        def call(*_: Any) -> Any:
            self._called(name)
            return self.values[name]

        return call

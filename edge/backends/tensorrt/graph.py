"""A function that enqueues work on a CUDA stream in, the same work as one graph that is launched by a single call out.

PyCUDA has no graphs, so these are the driver's own functions through ctypes (CUDA driver API, Graph Management and
Stream Management); they are the same from CUDA 11.4 on.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

from edge.errors import BackendError

_THREAD_LOCAL = 1
"""CU_STREAM_CAPTURE_MODE_THREAD_LOCAL: what other threads do meanwhile cannot spoil the capture."""


def load_driver() -> Any:
    """libcuda with the argument types that ctypes would guess wrong. Raises BackendError."""
    try:
        driver: Any = ctypes.CDLL("libcuda.so.1")
    except OSError as error:
        raise BackendError(f"the CUDA driver cannot be loaded ({error}): install NVIDIA's driver") from error
    try:
        _declare(driver)
    except AttributeError as error:
        raise BackendError(f"the CUDA driver is older than CUDA 11.4 ({error}): update NVIDIA's driver") from error
    return driver


def _declare(driver: Any) -> None:
    """Without argument types ctypes would cut a handle of 64 bits to 32."""
    handle, pointer = ctypes.c_void_p, ctypes.POINTER(ctypes.c_void_p)
    driver.cuStreamBeginCapture_v2.argtypes = (handle, ctypes.c_int)
    driver.cuStreamEndCapture.argtypes = (handle, pointer)
    driver.cuGraphInstantiateWithFlags.argtypes = (pointer, handle, ctypes.c_ulonglong)
    driver.cuGraphLaunch.argtypes = (handle, handle)
    driver.cuGraphDestroy.argtypes = (handle,)
    driver.cuGraphExecDestroy.argtypes = (handle,)
    driver.cuCtxPopCurrent_v2.argtypes = (pointer,)
    driver.cuGetErrorName.argtypes = (ctypes.c_int, ctypes.POINTER(ctypes.c_char_p))


def pop_context(driver: Any) -> None:
    """Take the calling thread's current context off the driver's stack; nothing happens where there is none."""
    driver.cuCtxPopCurrent_v2(ctypes.byref(ctypes.c_void_p()))


class CudaGraph:
    """Recorded work, ready to be launched again and again with the same addresses and shapes.

    Used and destroyed by the thread whose context it was recorded in.
    """

    def __init__(self, driver: Any, stream: int, executable: ctypes.c_void_p) -> None:
        self._driver = driver
        self._stream = ctypes.c_void_p(stream)
        self._executable = executable

    @classmethod
    def record(cls, driver: Any, stream: int, enqueue: Callable[[], bool]) -> CudaGraph:
        """What `enqueue` puts on the stream; nothing runs yet. Raises BackendError when it cannot be recorded.

        enqueue returns False when it failed. It has run once before, so that nothing is left to be set up.
        """
        graph, executable = ctypes.c_void_p(), ctypes.c_void_p()
        handle = ctypes.c_void_p(stream)
        _check(driver, "cuStreamBeginCapture", driver.cuStreamBeginCapture_v2(handle, _THREAD_LOCAL))
        try:
            try:
                enqueued = enqueue()
            finally:
                # The stream is good for nothing else until the capture has ended, whatever happened in it.
                ended = driver.cuStreamEndCapture(handle, ctypes.byref(graph))
            _check(driver, "cuStreamEndCapture", ended)
            if not enqueued:
                raise BackendError("the work could not be enqueued while it was recorded")
            _check(driver, "cuGraphInstantiate", driver.cuGraphInstantiateWithFlags(ctypes.byref(executable), graph, 0))
        finally:
            if graph.value:
                driver.cuGraphDestroy(graph)
        return cls(driver, stream, executable)

    def launch(self) -> None:
        """Put the recorded work on the stream. Raises BackendError."""
        _check(self._driver, "cuGraphLaunch", self._driver.cuGraphLaunch(self._executable, self._stream))

    def destroy(self) -> None:
        """Free it; a second call does nothing."""
        executable, self._executable = self._executable, ctypes.c_void_p()
        if executable.value:
            self._driver.cuGraphExecDestroy(executable)


def _check(driver: Any, call: str, result: int) -> None:
    if result:
        name = ctypes.c_char_p()
        driver.cuGetErrorName(result, ctypes.byref(name))
        raise BackendError(f"{call} failed with {(name.value or b'an unknown error').decode()} ({result})")

"""The CUDA driver's functions for graphs, on a played GPU; ctypes hands them what it would hand to C."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.fakes.pycuda import STREAM

if TYPE_CHECKING:
    from tests.fakes.gpu import Machine

NAMES = {900: b"CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED", 2: b"CUDA_ERROR_OUT_OF_MEMORY"}


class LibCuda:
    """What `edge.backends.tensorrt.graph.load_driver` gives."""

    def __init__(self, gpu: Machine) -> None:
        self._gpu = gpu
        self.cuGraphDestroy = self._destroy(gpu.graphs)
        self.cuGraphExecDestroy = self._destroy(gpu.executables)

    def cuStreamBeginCapture_v2(self, stream: Any, how: int) -> int:  # noqa: N802 (the driver's names)
        assert (_value_of(stream), how) == (STREAM, 1)
        assert self._gpu.capture is None
        self._gpu.capture = []
        return self._status("begin capture")

    def cuStreamEndCapture(self, stream: Any, graph: Any) -> int:  # noqa: N802
        assert _value_of(stream) == STREAM
        assert self._gpu.capture is not None
        work, self._gpu.capture = self._gpu.capture, None
        if failed := self._status("end capture"):
            return failed
        graph._obj.value = self._gpu.new_handle()
        self._gpu.graphs[graph._obj.value] = work
        return 0

    def cuGraphInstantiateWithFlags(self, executable: Any, graph: Any, flags: int) -> int:  # noqa: N802
        assert flags == 0
        if failed := self._status("instantiate"):
            return failed
        executable._obj.value = self._gpu.new_handle()
        self._gpu.executables[executable._obj.value] = self._gpu.graphs[_value_of(graph)]
        return 0

    def cuGraphLaunch(self, executable: Any, stream: Any) -> int:  # noqa: N802
        assert _value_of(stream) == STREAM
        for work in self._gpu.executables[_value_of(executable)]:
            self._gpu.put(work)
        return self._status("launch")

    def cuGetErrorName(self, result: int, name: Any) -> int:  # noqa: N802
        name._obj.value = NAMES.get(result)
        return 0

    def cuCtxPopCurrent_v2(self, context: Any) -> int:  # noqa: N802
        assert isinstance(context._obj, ctypes.c_void_p)
        self._gpu.driver_stack -= 1
        return 0

    def _destroy(self, table: dict[int, Any]) -> Callable[[Any], int]:
        def run(handle: Any) -> int:
            del table[_value_of(handle)]
            return self._status("destroy")

        return run

    def _status(self, event: str) -> int:
        self._gpu.did(event)
        return int(self._gpu.fail.get(event, 0))


def compiled(folder: Path, result: int) -> dict[str, str]:
    """A libcuda.so.1 whose cuInit says `result`, with one GPU where that is 0; the environment that puts it in place."""
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("g++")
    if compiler is None:
        pytest.skip("there is no C++ compiler")
    folder.mkdir(parents=True, exist_ok=True)
    code = """
    #include <string.h>
    int cuInit(unsigned flags) { return RESULT; }
    int cuDeviceGet(int *device, int ordinal) { *device = 0; return 0; }
    int cuDeviceGetName(char *name, int length, int device) { strncpy(name, "A played GPU", length); return 0; }
    int cuDeviceGetAttribute(int *value, int attribute, int device) { *value = attribute == 75 ? 8 : 7; return 0; }
    """
    (folder / "cuda.c").write_text(code.replace("RESULT", str(result)))
    command = [compiler, "-x", "c", "-shared", "-fPIC", "-o", str(folder / "libcuda.so.1"), str(folder / "cuda.c")]
    subprocess.run(command, check=True, capture_output=True)
    return {"LD_LIBRARY_PATH": str(folder)}


def _value_of(handle: Any) -> int:
    return int(handle.value)

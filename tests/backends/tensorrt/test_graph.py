"""CUDA graphs on a played GPU: what is recorded, what is launched, and what happens where nothing can be recorded."""

from __future__ import annotations

import ctypes
import logging
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from edge.backends.tensorrt import graph as cuda_graph
from edge.errors import BackendError
from tests.backends.tensorrt.toy_engine import agrees, images, opened
from tests.fakes.gpu import Machine
from tests.fakes.pycuda import STREAM


def test_plain_runs_and_graphs_give_the_same_numbers(gpu: Machine) -> None:
    with opened(gpu) as engine, opened(gpu, graphs=False) as plain:
        for seed in range(4):
            shown = images(3, seed=seed)
            with_graph, without = engine.run(shown), plain.run(shown)
            assert all(np.array_equal(with_graph[name], without[name]) for name in without)
    assert gpu.events.count("launch") == 3


def test_a_shape_runs_plainly_once_before_it_is_recorded(gpu: Machine) -> None:
    with opened(gpu) as engine:
        engine.run(images(1))
        assert "begin capture" not in gpu.events
        engine.run(images(1))
        engine.run(images(1))
    wanted = ["enqueue", "begin capture", "enqueue", "end capture", "instantiate", "destroy", "launch", "launch"]
    assert [event for event in gpu.events if event in {*wanted}][: len(wanted)] == wanted


@pytest.mark.parametrize("event", ["begin capture", "end capture", "instantiate", "enqueue while captured"])
def test_a_shape_that_cannot_be_recorded_runs_plainly_for_good_and_the_log_says_so(
    gpu: Machine, caplog: pytest.LogCaptureFixture, event: str
) -> None:
    gpu.fail[event] = 900 if event != "enqueue while captured" else False
    if event == "begin capture":
        refuse_to_begin(gpu)
    with opened(gpu) as engine, caplog.at_level(logging.WARNING):
        for seed in range(5):
            assert agrees(engine.run(images(2, seed=seed)), images(2, seed=seed))
    assert sum("without a CUDA graph" in record.message for record in caplog.records) == 1
    assert "launch" not in gpu.events
    assert not gpu.graphs
    assert gpu.is_empty


def refuse_to_begin(gpu: Machine) -> None:
    """A capture that does not begin does not have to be ended."""

    def begin(stream: Any, how: int) -> int:
        gpu.did("begin capture")
        return 900

    gpu.libcuda.cuStreamBeginCapture_v2 = begin


def test_a_graph_is_destroyed_once(gpu: Machine) -> None:
    gpu.executables[7] = []
    graph = cuda_graph.CudaGraph(gpu.libcuda, 1, cuda_graph.ctypes.c_void_p(7))
    graph.destroy()
    graph.destroy()
    assert gpu.events == ["destroy"]


def test_a_graph_whose_recording_raised_is_destroyed_and_the_capture_ended(gpu: Machine) -> None:
    def enqueue() -> bool:
        raise RuntimeError("of TensorRT")

    with pytest.raises(RuntimeError, match="of TensorRT"):
        cuda_graph.CudaGraph.record(gpu.libcuda, STREAM, enqueue)
    assert gpu.capture is None
    assert not gpu.graphs
    assert gpu.events == ["begin capture", "end capture", "destroy"]


def test_a_driver_without_the_functions_is_told_to_be_old(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cuda_graph.ctypes, "CDLL", lambda _: object())
    with pytest.raises(BackendError, match=r"older than CUDA 11\.4"):
        cuda_graph.load_driver()


SIGNATURES = {  # cuda.h: what is passed, as ctypes has it
    "cuStreamBeginCapture_v2": "void* int",
    "cuStreamEndCapture": "void* pointer",
    "cuGraphInstantiateWithFlags": "pointer void* unsigned long long",
    "cuGraphLaunch": "void* void*",
    "cuGraphDestroy": "void*",
    "cuGraphExecDestroy": "void*",
    "cuCtxPopCurrent_v2": "pointer",
    "cuGetErrorName": "int pointer",
}


def test_every_call_passes_what_the_drivers_header_asks_for(monkeypatch: pytest.MonkeyPatch) -> None:
    declared = {name: SimpleNamespace() for name in SIGNATURES}
    monkeypatch.setattr(cuda_graph.ctypes, "CDLL", lambda _: SimpleNamespace(**declared))
    cuda_graph.load_driver()
    names = {ctypes.c_void_p: "void*", ctypes.c_int: "int", ctypes.c_ulonglong: "unsigned long long"}
    names |= {ctypes.c_ulong: "unsigned long long"}  # of the same size here
    found = {name: " ".join(names.get(one, "pointer") for one in call.argtypes) for name, call in declared.items()}
    assert found == SIGNATURES

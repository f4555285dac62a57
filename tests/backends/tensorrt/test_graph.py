"""CUDA graphs on a played GPU: what is recorded, what is launched, and what happens where nothing can be recorded."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import pytest

from edge.backends.tensorrt import graph as cuda_graph
from tests.backends.tensorrt.toy_engine import agrees, images, opened
from tests.fakes.gpu import Machine


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

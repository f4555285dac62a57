"""What is copied over the bus, and how long it takes, to the GPU and back told apart."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.backends.crop import Crop
from edge.backends.tensorrt.cuda import SCENE_BYTES, Copy
from edge.backends.tensorrt.transfers import MOST_SIZES, Transfers
from edge.errors import BackendError
from tests.backends.tensorrt.toy_engine import images, installed, opened, read_only
from tests.conftest import pitted
from tests.fakes.gpu import Machine

OUTPUTS = [8, 16 * 16 * 4]  # of one image of 64 by 64


def test_each_run_counts_what_it_copied_as_a_graph_too(gpu: Machine, kernels: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Transfers, "_ms", lambda _, copy: float(copy.size))
    grey = read_only(pitted(300, 200))
    whole = [Crop(0, 0, 300, 200, 64, 43)]
    with opened(gpu, kernels=kernels) as engine:
        for number in range(4):
            engine.run_on_crops(grey, whole, 64, 64)
            image = grey.size if number == 0 else 0  # it is there already
            assert engine.transfers_ms == (image + SCENE_BYTES, sum(OUTPUTS))
        assert engine.transfers_ms == (0.0, 0.0)
        runs = [engine.submit(images(1)), engine.submit(images(1))]
        for run in runs:
            run.collect()
        assert engine.transfers_ms == (2 * 64 * 64, 2 * sum(OUTPUTS))


def test_a_copy_of_each_size_is_timed_once(gpu: Machine) -> None:
    with opened(gpu) as engine:
        engine.run(images(1))
        to_gpu, back = engine.transfers_ms
        assert to_gpu > 0
        assert back > 0
        engine.run(images(1))
        held, copies = gpu.bytes_held, gpu.events.count("htod")
        assert engine.transfers_ms == (to_gpu, back)
        assert (gpu.bytes_held, gpu.events.count("htod")) == (held, copies)
    assert gpu.is_empty


def test_on_an_integrated_gpu_nothing_crosses(monkeypatch: pytest.MonkeyPatch) -> None:
    gpu = installed(monkeypatch, Machine(integrated=True))
    with opened(gpu) as engine:
        engine.run(images(1))
        assert engine.transfers_ms == (0.0, 0.0)


def test_where_nobody_asks_it_does_not_grow(gpu: Machine) -> None:
    with opened(gpu) as engine:
        engine.run(images(1))
        for size in range(5 * MOST_SIZES):
            engine._transfers.launched([Copy(True, size)])
        assert len(engine._transfers._launched) <= MOST_SIZES + 1


def test_a_copy_that_cannot_be_timed_leaves_nothing_behind(gpu: Machine) -> None:
    with opened(gpu) as engine:
        engine.run(images(1))
        gpu.fail["event synchronize"] = gpu.pycuda.LogicError("cuEventSynchronize failed: unspecified launch failure")
        with pytest.raises(BackendError, match="cannot be timed") as raised:
            _ = engine.transfers_ms
        gpu.fail.clear()
    assert gpu.is_empty, f"{raised.value} holds what lay on the GPU"

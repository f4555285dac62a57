"""The GPU's figures reach the health message, and a driver that hangs or fails touches nothing but its own thread."""

from __future__ import annotations

import sys
import threading
import time
from pathlib import Path

import jsonschema
import pytest

from edge.backends.tensorrt import device, jetson_sensors
from edge.backends.tensorrt.state import FIGURES, GpuState
from edge.service import gpu_watch, health
from edge.service.gpu_watch import GpuWatch
from edge.wire.schema import json_schema
from tests.fakes.brokers import eventually
from tests.fakes.nvml import Pynvml

CARD = GpuState("NVIDIA RTX 4090", 1024, 24576, 0.35, 61.0, 123.5, (), None)


@pytest.fixture(autouse=True)
def hardware(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "hardware", lambda: "an NVIDIA GPU (PCI 0000:01:00.0)")
    monkeypatch.setattr(gpu_watch, "EVERY_S", 0.01)


def test_a_machine_without_a_gpu_starts_no_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "hardware", lambda: None)
    watch = GpuWatch()
    assert watch.state() is None
    assert watch._thread is None


def test_figures_come_from_the_thread_and_fit_the_schema() -> None:
    watch = GpuWatch(lambda: lambda: CARD)
    eventually(lambda: watch.state() == CARD)
    watch.close()
    fields = health.gpu(CARD)
    assert fields is not None
    schema = json_schema("health")
    jsonschema.validate(fields.model_dump(), {**schema["$defs"]["Gpu"], "$defs": schema["$defs"]})
    assert fields.model_dump()["memory_total_mib"] == 24576


def test_a_driver_that_never_answers_is_told_and_blocks_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    never = threading.Event()

    def hang() -> GpuState:
        never.wait()
        return CARD

    watch = GpuWatch(lambda: hang)
    started = time.monotonic()
    state = watch.state()
    assert time.monotonic() - started < 5
    assert state is not None
    assert state.unknown.keys() == set(FIGURES)
    assert "has not answered" in state.unknown["temperature_c"]
    fields = health.gpu(state)
    assert fields is not None
    assert fields.temperature_c is None
    watch.close()
    never.set()


def test_figures_that_grew_old_are_not_told_any_more(monkeypatch: pytest.MonkeyPatch) -> None:
    watch = GpuWatch(lambda: lambda: CARD)
    eventually(lambda: watch.state() == CARD)
    watch.close()
    assert watch._thread is not None
    watch._thread.join()
    monkeypatch.setattr(gpu_watch, "STALE_S", -1.0)
    state = watch.state()
    assert state is not None
    assert (state.name, state.temperature_c) == ("NVIDIA RTX 4090", None)
    assert "has not answered for" in state.unknown["xid"]


def test_a_look_that_fails_is_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    tries = []

    def look() -> GpuState:
        tries.append(1)
        if len(tries) < 3:
            raise RuntimeError("whatever")
        return CARD

    watch = GpuWatch(lambda: look)
    eventually(lambda: watch.state() == CARD)
    watch.close()
    assert "whatever" in caplog.text


def test_a_card_is_asked_through_nvml_by_the_uuid_that_cuda_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    library = Pynvml()
    monkeypatch.setitem(sys.modules, "pynvml", library)
    monkeypatch.setattr(device, "first_gpu", lambda: device.FirstGpu("RTX", "8.9", uuid="GPU-a"))
    assert gpu_watch._open_look()().temperature_c == 61
    assert "nvmlDeviceGetHandleByUUID" in library.asked


def test_a_card_that_cuda_cannot_use_is_still_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", Pynvml())
    monkeypatch.setattr(device, "first_gpu", lambda: device.NoGpu(999, "unknown"))
    assert gpu_watch._open_look()().temperature_c == 61


def test_a_jetson_is_asked_through_its_files_and_nvml_fills_in(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", Pynvml())
    monkeypatch.setattr(device, "hardware", lambda: "a Jetson (nvidia,tegra264)")
    monkeypatch.setattr(device, "first_gpu", lambda: device.FirstGpu("NVIDIA Thor", "11.0", integrated=True))
    monkeypatch.setattr(jetson_sensors, "SYS", tmp_path)
    monkeypatch.setattr(jetson_sensors, "MODEL", tmp_path / "model")
    state = gpu_watch._open_look()()
    assert (state.name, state.temperature_c, state.xid) == ("NVIDIA Thor", 61, None)
    assert not state.unknown

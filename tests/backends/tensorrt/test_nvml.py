"""What NVML tells of a GPU, what it does not tell with its reason, and that its failures are never ours."""

from __future__ import annotations

import logging
import sys

import pytest

from edge.backends.tensorrt.nvml import Nvml
from edge.backends.tensorrt.state import FIGURES
from tests.fakes.nvml import (
    NVMLError,
    NVMLError_FunctionNotFound,
    NVMLError_GpuIsLost,
    NVMLError_NoPermission,
    NVMLError_NotSupported,
    Pynvml,
)


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> Pynvml:
    made = Pynvml()
    monkeypatch.setitem(sys.modules, "pynvml", made)
    return made


def test_every_figure_is_told(library: Pynvml) -> None:
    state = Nvml("GPU-a").look("?")
    assert (state.name, state.memory_used_mib, state.memory_total_mib) == ("NVIDIA RTX 4090", 1024, 24576)
    assert (state.utilisation, state.temperature_c, state.power_w) == (0.35, 61, 123.5)
    assert (state.throttling, state.xid, state.unknown) == ((), None, {})
    assert "nvmlDeviceGetHandleByUUID" in library.asked


def test_without_a_uuid_it_is_the_first(library: Pynvml) -> None:
    Nvml().look("?")
    assert "nvmlDeviceGetHandleByIndex" in library.asked


@pytest.mark.parametrize(
    ("bits", "words"),
    [
        (0x1, ()),  # idle
        (0x2 | 0x10 | 0x100, ()),  # what the user asked for
        (0x4, ("sw_power_cap",)),
        (0x8 | 0x40, ("hw_slowdown", "hw_thermal_slowdown")),
        (0x20 | 0x80, ("sw_thermal_slowdown", "hw_power_brake_slowdown")),
    ],
)
def test_clocks_that_are_lowered_have_the_drivers_reasons(library: Pynvml, bits: int, words: tuple[str, ...]) -> None:
    library.values["nvmlDeviceGetCurrentClocksThrottleReasons"] = bits
    assert Nvml().look("?").throttling == words


@pytest.mark.parametrize("error", [NVMLError_NotSupported(), NVMLError_NoPermission("no"), NVMLError_FunctionNotFound("old")])
def test_one_figure_that_is_not_told_leaves_the_others(library: Pynvml, error: Exception) -> None:
    library.fail |= {"nvmlDeviceGetPowerUsage": error, "nvmlDeviceGetMemoryInfo": error}
    state = Nvml().look("?")
    assert (state.power_w, state.memory_used_mib, state.temperature_c) == (None, None, 61)
    assert state.unknown.keys() == {"power_w", "memory_used_mib", "memory_total_mib"}
    assert all(why == f"NVML: {error}" for why in state.unknown.values())


def test_a_gpu_that_tells_no_events_has_no_xid_with_the_reason(library: Pynvml) -> None:
    library.fail["nvmlDeviceRegisterEvents"] = NVMLError_NotSupported()
    assert Nvml().look("?").unknown == {"xid": "NVML: Not Supported"}


def test_the_last_xid_is_kept_and_each_is_logged(library: Pynvml, caplog: pytest.LogCaptureFixture) -> None:
    nvml = Nvml()
    assert nvml.look("?").xid is None
    library.xids = [31, 79]
    with caplog.at_level(logging.WARNING):
        assert nvml.look("?").xid == 79
    assert [record.args for record in caplog.records] == [(31,), (79,)]
    assert nvml.look("?").xid == 79


def test_a_flood_of_xids_ends(library: Pynvml) -> None:
    library.xids = [13] * 1000
    assert Nvml().look("?").xid == 13
    assert len(library.xids) > 900


@pytest.mark.parametrize("call", ["nvmlInit", "nvmlDeviceGetHandleByIndex", "nvmlDeviceGetTemperature"])
def test_a_gpu_that_is_lost_is_told_and_found_again(library: Pynvml, call: str) -> None:
    nvml = Nvml()
    library.fail[call] = NVMLError_GpuIsLost()
    state = nvml.look("the GPU")
    assert state.name == "the GPU"
    assert state.unknown == dict.fromkeys(FIGURES, "NVML: GPU is lost")
    assert (library.opened, library.event_sets) == (0, 0)
    library.fail.clear()
    assert nvml.look("?").temperature_c == 61


def test_a_library_without_a_driver_is_no_failure(library: Pynvml) -> None:
    library.fail["nvmlInit"] = NVMLError("Driver Not Loaded")
    assert set(Nvml().look("?").unknown.values()) == {"NVML: Driver Not Loaded"}


def test_without_the_library_the_cure_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert "pip install 'sem-corrosion-edge[tensorrt]'" in Nvml().look("?").unknown["power_w"]


def test_the_names_and_numbers_are_those_of_the_real_library() -> None:
    real = pytest.importorskip("pynvml")
    made = Pynvml()
    used = [name for name in (*vars(Pynvml), *made.values) if name.startswith(("nvml", "NVML"))]
    assert [name for name in used if not hasattr(real, name)] == []
    assert real.nvmlEventTypeXidCriticalError == 8
    reasons = ("SwPowerCap", "HwSlowdown", "SwThermalSlowdown", "HwThermalSlowdown", "HwPowerBrakeSlowdown")
    assert [getattr(real, f"nvmlClocksThrottleReason{name}") for name in reasons] == [4, 8, 32, 64, 128]


def test_the_real_library_without_a_gpu_is_a_reason() -> None:
    pytest.importorskip("pynvml")
    state = Nvml("GPU-00000000-0000-0000-0000-000000000000").look("?")
    assert state.name == "?"
    assert all(why.startswith("NVML: ") for why in state.unknown.values())
    assert state.unknown.keys() == set(FIGURES)

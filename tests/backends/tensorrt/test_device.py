"""The driver's answers in words, and what hardware the kernel lists; driver, sysfs and device tree are played."""

from __future__ import annotations

import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from edge.backends.tensorrt import device
from edge.backends.tensorrt.device import NoGpu, closed_nodes, first_gpu, hardware


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine without NVIDIA hardware."""
    monkeypatch.setattr(device, "PCI", tmp_path / "pci")
    monkeypatch.setattr(device, "DEVICE_TREE", tmp_path / "compatible")


def plug_in(tmp_path: Path, vendor: str, kind: str | None, slot: str = "0000:01:00.0") -> None:
    folder = tmp_path / "pci" / slot
    folder.mkdir(parents=True)
    (folder / "vendor").write_text(vendor + "\n")
    if kind is not None:
        (folder / "class").write_text(kind + "\n")


def play(monkeypatch: pytest.MonkeyPatch, **results: int) -> None:
    calls = ("cuInit", "cuDeviceGet", "cuDeviceGetName", "cuDeviceGetAttribute")
    driver = {call: (lambda *_, call=call: results.get(call, 0)) for call in calls}
    monkeypatch.setattr(device.ctypes, "CDLL", lambda _: SimpleNamespace(**driver))


@pytest.mark.parametrize(
    ("result", "name", "cure"),
    [
        (100, "CUDA_ERROR_NO_DEVICE", "groups"),
        (803, "CUDA_ERROR_SYSTEM_DRIVER_MISMATCH", "restart the machine"),
        (804, "CUDA_ERROR_COMPAT_NOT_SUPPORTED_ON_DEVICE", "cuda-compat"),
        (999, "CUDA_ERROR_UNKNOWN", "nvidia-modprobe"),
        (46, "CUDA_ERROR_DEVICE_UNAVAILABLE", "nvidia-smi"),
        (34567, "an error of CUDA", "nvidia-smi"),
    ],
)
def test_each_of_cudas_codes_is_told_with_its_name_and_its_cure(
    result: int, name: str, cure: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    play(monkeypatch, cuInit=result)
    found = first_gpu()
    assert isinstance(found, NoGpu)
    assert found.code == result
    assert found.why.startswith(f"cuInit says {name} ({result})")
    assert cure in found.why


@pytest.mark.parametrize("call", ["cuDeviceGet", "cuDeviceGetName", "cuDeviceGetAttribute"])
def test_the_call_that_fails_is_named(call: str, monkeypatch: pytest.MonkeyPatch) -> None:
    play(monkeypatch, **{call: 999})
    found = first_gpu()
    assert isinstance(found, NoGpu)
    assert found.why.startswith(f"{call} says")


def test_a_driver_that_is_gone_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(name: str) -> Any:
        raise OSError(f"{name}: cannot open shared object file")

    monkeypatch.setattr(device.ctypes, "CDLL", gone)
    found = first_gpu()
    assert isinstance(found, NoGpu)
    assert found.code is None
    assert "libcuda.so.1: cannot open" in found.why


def play_gpu(monkeypatch: pytest.MonkeyPatch, name: str, attributes: dict[int, int], **more: Any) -> None:
    def name_it(text: Any, size: int, _device: Any) -> int:
        assert len(name) < size
        text.value = name.encode()
        return 0

    def attribute_of(value: Any, which: int, _device: Any) -> int:
        if which not in attributes:
            return 1  # CUDA_ERROR_INVALID_VALUE
        value._obj.value = attributes[which]
        return 0

    calls = {"cuInit": lambda *_: 0, "cuDeviceGet": lambda *_: 0, "cuDeviceGetName": name_it, **more}
    monkeypatch.setattr(device.ctypes, "CDLL", lambda _: SimpleNamespace(**calls, cuDeviceGetAttribute=attribute_of))


def total_memory(size: Any, _device: Any) -> int:
    size._obj.value = 40 << 30
    return 0


def uuid_of(octets: Any, _device: Any) -> int:
    octets._obj[:] = range(16)
    return 0


def test_what_tells_two_gpus_of_one_name_apart_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    attributes = {75: 8, 76: 0, 16: 14, 18: 0}
    play_gpu(monkeypatch, "NVIDIA A100 MIG 1g.5gb", attributes, cuDeviceTotalMem_v2=total_memory, cuDeviceGetUuid=uuid_of)
    assert first_gpu() == device.FirstGpu(
        "NVIDIA A100 MIG 1g.5gb", "8.0", 14, 40960, "1g.5gb", "GPU-00010203-0405-0607-0809-0a0b0c0d0e0f"
    )


def test_a_driver_that_knows_neither_memory_nor_uuid_is_no_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    play_gpu(monkeypatch, "Orin", {75: 8, 76: 7, 18: 1})
    assert first_gpu() == device.FirstGpu("Orin", "8.7", integrated=True)


def test_a_uuid_of_noughts_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    play_gpu(monkeypatch, "Orin", {75: 8, 76: 7}, cuDeviceGetUuid=lambda *_: 0, cuDeviceTotalMem_v2=lambda *_: 999)
    assert first_gpu() == device.FirstGpu("Orin", "8.7")


@pytest.mark.parametrize(
    ("vendor", "kind", "seen"),
    [
        ("0x10de", "0x030000", True),
        ("0x10de", "0x030200", True),
        ("0x10de", "0x120000", True),
        ("0x10de", None, True),
        ("0x10de", "0x040300", False),  # the sound of a graphics card
        ("0x10de", "0x068000", False),  # a bridge
        ("0x8086", "0x030000", False),
    ],
)
def test_hardware_is_what_pci_lists_as_a_gpu_of_nvidia(vendor: str, kind: str | None, seen: bool, tmp_path: Path) -> None:
    plug_in(tmp_path, vendor, kind)
    assert (hardware() is not None) is seen
    assert not seen or "0000:01:00.0" in str(hardware())


@pytest.mark.parametrize(
    ("text", "seen"), [(b"nvidia,p3767\0nvidia,tegra234\0", True), (b"raspberrypi,5\0", False), (b"", False)]
)
def test_a_jetson_is_known_by_its_device_tree(text: bytes, seen: bool, tmp_path: Path) -> None:
    (tmp_path / "compatible").write_bytes(text)
    assert (hardware() is not None) is seen


def test_device_files_that_are_missing_or_closed_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    plug_in(tmp_path, "0x10de", "0x030000")
    (tmp_path / "there").touch()
    answers = {
        "/there": None,
        "/gone": FileNotFoundError(2, ""),
        "/group": PermissionError(13, ""),
        "/unit": PermissionError(1, ""),
    }

    def played(node: str, *_: Any) -> int:
        error = answers[node]
        if error is not None:
            raise error
        return real(tmp_path / "there", 0)

    real = device.os.open
    monkeypatch.setattr(device.os, "open", played)
    monkeypatch.setattr(device, "NODES_OF_A_PC", tuple(answers))
    assert closed_nodes() == "; /gone is missing, /group is closed to this user, /unit is closed by the unit"


def test_a_chosen_gpu_is_the_only_one_that_cuda_shows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(device.VISIBLE, "1")
    device.choose("")
    assert device.os.environ[device.VISIBLE] == "1"
    device.choose("GPU-a")
    assert device.os.environ[device.VISIBLE] == "GPU-a"
    play(monkeypatch, cuInit=100)
    found = first_gpu()
    assert isinstance(found, NoGpu)
    assert "only 'GPU-a' was to be shown" in found.why
    assert "nvidia-smi -L" in found.why
    monkeypatch.delenv(device.VISIBLE)
    found = first_gpu()
    assert isinstance(found, NoGpu)
    assert "was to be shown" not in found.why


def test_a_process_that_is_started_sees_the_chosen_gpu_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(device.VISIBLE, "0")
    device.choose("MIG-1")
    seen = subprocess.run(["sh", "-c", f"echo ${device.VISIBLE}"], capture_output=True, text=True, check=True)
    assert seen.stdout == "MIG-1\n"


def test_free_memory_is_that_of_the_context(monkeypatch: pytest.MonkeyPatch) -> None:
    def info(free: Any, total: Any) -> int:
        free._obj.value, total._obj.value = 3 << 30, 8 << 30
        return 0

    monkeypatch.setattr(device.ctypes, "CDLL", lambda _: SimpleNamespace(cuMemGetInfo_v2=info))
    assert device.free_mib() == 3072
    monkeypatch.setattr(device.ctypes, "CDLL", lambda _: SimpleNamespace(cuMemGetInfo_v2=lambda *_: 201))
    assert device.free_mib() is None
    monkeypatch.setattr(device.ctypes, "CDLL", lambda _: SimpleNamespace())
    assert device.free_mib() is None


def test_without_hardware_no_device_file_is_missed() -> None:
    assert closed_nodes() == ""

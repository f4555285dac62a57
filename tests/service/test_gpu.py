"""A GPU that was there and is gone is degraded, in CUDA's words, and images are inspected all the same."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from edge.backends.tensorrt import device, passport
from edge.config import Settings
from edge.errors import ConfigError
from edge.models.card import BUILTIN_FOLDER
from edge.service import gpu
from tests.conftest import settings_for
from tests.fakes.brokers import Listener, Mosquitto, eventually
from tests.fakes.libcuda import compiled
from tests.service.running_daemon import PREFIX, Service, by_name, png


@pytest.fixture(autouse=True)
def driver_of_another_version(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(passport, "this_gpu", lambda: None)
    monkeypatch.setattr(device, "hardware", lambda: None)
    monkeypatch.setattr(device, "first_gpu", lambda: device.NoGpu(803, "cuInit says 803"))


def chosen(tmp_path: Path, backend: str) -> Settings:
    return settings_for(tmp_path / "export", models={"backend": backend})


def plant_an_engine(cache: Path) -> None:
    model = BUILTIN_FOLDER / "segmenter.onnx"
    folder = cache / "sem-corrosion-edge" / "engines"
    folder.mkdir(parents=True)
    name = passport.engine_name(model, hashlib.sha256(model.read_bytes()).hexdigest())
    passport.passport_path(folder / name).write_text("{}")


def test_a_machine_that_never_had_one_has_lost_none(tmp_path: Path) -> None:
    assert gpu.lost(chosen(tmp_path, "auto"), tmp_path) is None


def see_a_gpu(folder: Path) -> None:
    """An earlier start, with a GPU and its libraries."""
    with pytest.MonkeyPatch.context() as earlier:
        earlier.setattr(passport, "this_gpu", lambda: passport.Gpu(name="A", compute_capability="8.7"))
        earlier.setattr("edge.backends.table.find_spec", lambda _: object())
        assert gpu.lost(chosen(folder, "auto"), folder) is None


def test_a_gpu_that_an_earlier_start_saw_is_missed(tmp_path: Path) -> None:
    see_a_gpu(tmp_path)
    assert gpu.lost(chosen(tmp_path, "auto"), tmp_path) == "cuInit says 803"


def test_a_gpu_that_has_an_engine_is_missed(tmp_path: Path) -> None:
    plant_an_engine(tmp_path / "cache")
    assert gpu.lost(chosen(tmp_path, "auto"), tmp_path) == "cuInit says 803"


def test_a_gpu_that_the_kernel_sees_is_missed_where_its_libraries_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "hardware", lambda: "an NVIDIA GPU")
    assert gpu.lost(chosen(tmp_path, "auto"), tmp_path) is None
    monkeypatch.setattr("edge.backends.table.find_spec", lambda _: object())
    assert gpu.lost(chosen(tmp_path, "auto"), tmp_path) == "cuInit says 803"
    assert gpu.lost(chosen(tmp_path, "tensorrt"), tmp_path) == "cuInit says 803"


def test_a_gpu_that_answers_is_not_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    see_a_gpu(tmp_path)
    monkeypatch.setattr(passport, "this_gpu", lambda: passport.Gpu(name="A", compute_capability="8.7"))
    assert gpu.lost(chosen(tmp_path, "auto"), tmp_path) is None


def test_settings_that_want_another_backend_forget_the_gpu(tmp_path: Path) -> None:
    see_a_gpu(tmp_path)
    assert gpu.lost(chosen(tmp_path, "onnxruntime"), tmp_path) is None
    assert gpu.lost(chosen(tmp_path, "auto"), tmp_path) is None


def test_a_gpu_whose_libraries_were_never_installed_is_not_missed(tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as earlier:
        earlier.setattr(passport, "this_gpu", lambda: passport.Gpu(name="A", compute_capability="8.7"))
        assert gpu.lost(chosen(tmp_path, "auto"), tmp_path) is None
    assert gpu.lost(chosen(tmp_path, "auto"), tmp_path) is None


def test_a_named_backend_that_is_not_installed_is_a_wrong_configuration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge.backends.table.find_spec", lambda _: None)
    with pytest.raises(ConfigError, match="not installed"):
        gpu.lost(chosen(tmp_path, "tensorrt"), tmp_path)


def test_a_daemon_whose_gpu_is_gone_is_degraded_and_goes_on_without(tmp_path: Path, broker: Mosquitto) -> None:
    plant_an_engine(tmp_path / "cache")
    service = Service(tmp_path, broker.port, models={"backend": "auto"})
    environment = {**compiled(tmp_path / "driver", 803), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    service.put("a.png", png(1))
    with Listener(broker.port, f"{PREFIX}/#") as dashboard, service:
        service.kill()
        service.start(environment)
        eventually(lambda: "a.png" in by_name(dashboard), 60)
        (lost, *_) = eventually(
            lambda: [reason for reason in dashboard.on("/status")[-1].body["reasons"] if reason.startswith("gpu_lost: ")]
        )
        assert "CUDA_ERROR_SYSTEM_DRIVER_MISMATCH (803)" in lost
        assert by_name(dashboard)["a.png"]["model"]["backend"] != "tensorrt"

"""`edge-export tensorrt` as it is typed: nothing to do is no failure, wrong usage is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from edge.backends.tensorrt import device
from edge.errors import ConfigError
from export import to_tensorrt
from tests.export.engines import command


def test_a_model_that_is_missing_fails_by_its_name(bench: Any, config: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert command("--config", config, "--classifier", "none.onnx") == 1
    assert "none.onnx" in capsys.readouterr().err


def test_without_a_gpu_or_tensorrt_there_is_nothing_to_do(
    monkeypatch: pytest.MonkeyPatch, config: str, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(to_tensorrt, "this_gpu", lambda: None)
    monkeypatch.setattr(device, "hardware", lambda: None)
    assert command("--config", config) == 0
    assert capsys.readouterr().err.startswith("nothing to build: ")


def test_a_gpu_that_is_seen_and_cannot_be_used_is_a_failure(
    monkeypatch: pytest.MonkeyPatch, config: str, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(to_tensorrt, "this_gpu", lambda: None)
    monkeypatch.setattr(device, "hardware", lambda: "an NVIDIA GPU (PCI 0000:01:00.0)")
    monkeypatch.setattr(device, "first_gpu", lambda: device.NoGpu(999, "cuInit says CUDA_ERROR_UNKNOWN (999)"))
    assert command("--config", config) == 1
    said = capsys.readouterr().err
    assert said == "an NVIDIA GPU (PCI 0000:01:00.0) cannot be used: cuInit says CUDA_ERROR_UNKNOWN (999)\n"


def test_a_configuration_that_asks_for_another_backend_has_nothing_to_build(
    bench: Any, config: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = Path(config)
    path.write_text(path.read_text().replace("[models]", '[models]\nbackend = "openvino"'))
    assert command("--config", config) == 0
    assert bench.builds == 0
    assert "asks for openvino" in capsys.readouterr().err


def test_a_wrong_configuration_is_told_as_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigError):
        command("--config", str(tmp_path / "none.toml"))


@pytest.mark.parametrize("value", ["0", "-1", "much"])
def test_a_wrong_workspace_is_wrong_usage(value: str) -> None:
    with pytest.raises(SystemExit) as raised:
        command("--workspace", value)
    assert raised.value.code == 2

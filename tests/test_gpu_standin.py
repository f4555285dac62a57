"""The stand-in for TensorRT's engines (tests/gpu/standin.py), as far as a processor can try it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge.backends.tensorrt.engine import TensorRtEngine
from edge.models.card import BUILTIN_FOLDER
from tests import ROOT
from tests.backends.tensorrt.toy_engine import installed
from tests.conftest import pitted
from tests.export.engines import MODELS
from tests.fakes.gpu import Machine

torch = pytest.importorskip("torch", reason="there is no torch", exc_type=ImportError)
onnx = pytest.importorskip("onnx")


def shown(name: str) -> Any:
    return (
        pitted(320, 256)[None, None] if name == "segmenter" else np.stack([pitted(224, 224, one) for one in range(2)])[:, None]
    )


@pytest.mark.parametrize("name", [name for name, _ in MODELS])
def test_what_follows_from_the_shape_is_computed_once_and_changes_nothing(name: str) -> None:
    from export import fp16
    from export.half_network import HalfNetwork
    from tests.gpu.torch_network import Planned

    half = fp16.convert(BUILTIN_FOLDER / f"{name}.onnx").model
    image = shown(name)
    wanted = HalfNetwork(half).run(image)
    planned = Planned(half.graph, image.shape, "cpu")
    for _ in range(2):
        found = planned.run(torch.from_numpy(image))
        assert {key: value.numpy().tolist() for key, value in found.items()} == {
            key: value.tolist() for key, value in wanted.items()
        }
    assert planned.shapes == {key: value.shape for key, value in wanted.items()}
    assert len(planned._steps) <= len(half.graph.node)


@pytest.mark.parametrize("name", [name for name, _ in MODELS])
def test_nothing_crosses_to_or_from_the_host_while_it_runs(name: str) -> None:
    from export import fp16
    from tests.gpu.torch_network import Planned

    half = fp16.convert(BUILTIN_FOLDER / f"{name}.onnx").model
    shape = shown(name).shape
    planned = Planned(half.graph, shape, "meta")  # has no memory: what reads a value there, or mixes devices, raises
    found = planned.run(torch.zeros(shape, dtype=torch.uint8, device="meta"))
    assert {value.device.type for value in found.values()} == {"meta"}
    assert {key: tuple(value.shape) for key, value in found.items()} == planned.shapes


def on_the_played_gpu(gpu: Machine) -> Any:
    """The stand-in on the played GPU's memory: work waits on the stream until somebody waits for it."""
    from tests.gpu.torch_tensorrt import Device, TorchTensorRt

    def view(address: int, shape: tuple[int, ...], dtype: Any) -> Any:
        size = int(np.prod(shape)) * np.dtype(dtype).itemsize
        return torch.from_numpy(gpu.at(address)[:size].view(dtype).reshape(shape))

    return TorchTensorRt(Device("cpu", view, lambda _: nullcontext(), gpu.put))


def test_the_product_runs_it_as_an_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    from export import fp16
    from tests.gpu.torch_network import Planned
    from tests.gpu.torch_tensorrt import engine_bytes

    half = fp16.convert(BUILTIN_FOLDER / "classifier.onnx").model
    side = (1, 224, 224)
    data = engine_bytes(half, [[(1, *side), (2, *side), (2, *side)]])
    gpu = installed(monkeypatch, Machine())
    image = shown("classifier")
    wanted = Planned(half.graph, image.shape, "cpu").run(torch.from_numpy(image))
    with TensorRtEngine(data, on_the_played_gpu(gpu)) as engine:
        for _ in range(3):  # plainly, then as a graph
            found = engine.run(image)
            assert all(np.array_equal(found[name], value.numpy()) for name, value in wanted.items())
        assert any(ready.graph is not None for ready in engine._ready.values())
    assert gpu.is_empty


REHEARSAL = """
from tests.fakes.gpu_rehearsal import gpu
from tests.gpu import standin
from tests.test_gpu_standin import on_the_played_gpu

def pytest_configure(config):
    standin.install(on_the_played_gpu(gpu))
"""


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_its_command_writes_what_the_gpu_said(tmp_path: Path) -> None:
    (tmp_path / "rehearsal.py").write_text(REHEARSAL)
    names = ("test_stage_2_says_what_float32_says", "test_every_shape_that_is_kept_can_run_as_a_graph")
    command = f"""
import sys, tests.gpu.standin as standin
standin.PLUGIN = "rehearsal"
sys.exit(standin.main(["--out", "{tmp_path}", "--runs", "2", "--images", "1", "-k", "{" or ".join(names)}"]))
"""
    paths = os.pathsep.join([str(tmp_path), str(ROOT), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": paths, "EDGE_GPU_REHEARSAL": "1"}
    ran = subprocess.run(
        [sys.executable, "-c", command], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stdout[-4000:] + ran.stderr[-2000:]
    document = json.loads((tmp_path / "gpu-check.json").read_text())
    assert document["networks"].startswith("torch in FP16")
    assert len(document["passed"]) == 2
    assert document["answers"][0]["kept"]


def test_without_a_gpu_it_fails_and_says_so(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.gpu.standin", "--out", str(tmp_path), "-k", "test_stage_2_says_what_float32_says"]
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": ""}
    ran = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert ran.returncode == 1, ran.stdout[-4000:] + ran.stderr[-2000:]
    document = json.loads((tmp_path / "gpu-check.json").read_text())
    assert document["gpu"] is None
    assert "no NVIDIA GPU" in next(iter(document["not_tested"]))

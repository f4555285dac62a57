"""Models, machines and images that the tests of the exporters share."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from edge.backends.onnx_session import OnnxSession
from edge.backends.tensorrt import cuda
from edge.backends.tensorrt.passport import Gpu, this_gpu
from edge.config import Settings
from edge.models.card import BUILTIN_FOLDER
from edge.records import SEVERITIES, Micrograph
from edge.samples import sample_micrographs
from export import fp16, to_tensorrt
from export.to_tensorrt import Machine, NoTensorRtError
from tests.conftest import micrograph, settings_for
from tests.export.checkpoints import facts, unsettle
from tests.export.engines import FP16, GPU, LIBRARY, MODELS, layer, report


@pytest.fixture(scope="module")
def halves() -> dict[str, fp16.HalfGraph]:
    return {name: fp16.convert(BUILTIN_FOLDER / f"{name}.onnx") for name, _ in MODELS}


@pytest.fixture(scope="module")
def images() -> list[Micrograph]:
    """A corner of a real micrograph, so that float32 is quick."""
    return [micrograph(np.ascontiguousarray(sample_micrographs()[0].grey[:256, :256]))]


# --- really building, without a GPU ----------------------------------------------------------------------------------


@pytest.fixture
def machine() -> Machine:
    """TensorRT as installed; the GPU is only named."""
    try:
        trt, library = to_tensorrt.load_tensorrt()
    except NoTensorRtError as error:
        pytest.skip(str(error))
    if library.name == "tensorrt" and this_gpu() is None:
        pytest.skip("only TensorRT for RTX builds without a GPU")
    return Machine(trt, library, this_gpu() or Gpu(name="NVIDIA RTX 4090", compute_capability="8.9"))


# --- parity ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return settings_for(tmp_path / "export")


# --- the whole, with a TensorRT that is made up ----------------------------------------------------------------------


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The shipped classifier in a folder of its own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = tmp_path / "models"
    folder.mkdir()
    for suffix in (".onnx", ".json"):
        (folder / f"classifier{suffix}").write_bytes((BUILTIN_FOLDER / f"classifier{suffix}").read_bytes())
    return folder / "classifier.onnx"


@pytest.fixture
def bench(
    model: Path, halves: dict[str, fp16.HalfGraph], monkeypatch: pytest.MonkeyPatch, images: list[Micrograph]
) -> SimpleNamespace:
    """A machine whose TensorRT builds `data`, says `report` of it, and computes as `network`; counts the builds."""
    plan = SimpleNamespace(
        data=b"machine code",
        report=report(layer("/conv_stem/Conv", "CaskConvolution", FP16, FP16)),
        network=lambda: OnnxSession(model),
        machine=Machine(None, LIBRARY, GPU),
        builds=0,
    )

    def build(*_: object, **__: object) -> bytes:
        plan.builds += 1
        return bytes(plan.data)

    monkeypatch.setattr(to_tensorrt, "this_machine", lambda: plan.machine)
    monkeypatch.setattr(to_tensorrt, "cuda_here", nullcontext)
    monkeypatch.setattr(to_tensorrt.fp16, "convert", lambda path, images: halves["classifier"])
    monkeypatch.setattr(to_tensorrt, "build_engine", build)
    monkeypatch.setattr(to_tensorrt, "inspect_engine", lambda *_: plan.report)
    monkeypatch.setattr(to_tensorrt, "open_on_tensorrt", lambda *_: plan.network())
    monkeypatch.setattr(to_tensorrt, "sample_micrographs", lambda: images)
    monkeypatch.setattr(to_tensorrt.fatbin, "find_nvcc", lambda: None)
    sources = (model.with_name("kernels.cu"), model.with_name("kernels.h"))
    for source in sources:
        source.write_text("kernels that were never compiled here")
    monkeypatch.setattr(cuda, "SOURCES", sources)
    return plan


@pytest.fixture
def config(model: Path, tmp_path: Path) -> str:
    path = tmp_path / "config.toml"
    path.write_text(
        f'[watch]\nfolder = "{tmp_path / "export"}"\n[models]\nclassifier = "{model}"\n[inspect]\nstages = "classify"\n'
    )
    return str(path)


@pytest.fixture(scope="module")
def exporters() -> Any:
    """The modules of `export` that need torch."""
    for name in ("torch", "ultralytics", "timm"):
        pytest.importorskip(name)
    from export import checkpoint, drift, graphs, to_onnx, trained

    return SimpleNamespace(checkpoint=checkpoint, drift=drift, graphs=graphs, to_onnx=to_onnx, trained=trained)


@pytest.fixture(scope="module")
def segmenter(exporters: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    import torch

    torch.manual_seed(0)
    network = exporters.checkpoint.segmentation_network(("pit", "product")).eval()
    with torch.no_grad():
        unsettle(torch, network)
        for branch in network.model[-1].cv3:  # scores that differ from candidate to candidate
            branch[-1].weight.mul_(30)
            branch[-1].bias.zero_()
    checkpoint = exporters.checkpoint.Checkpoint("segment", "yolov8n-seg", ("pit", "product"), network.state_dict(), facts())
    path = exporters.to_onnx.export_segmenter(checkpoint, tmp_path_factory.mktemp("segmenter"))
    return SimpleNamespace(network=network, checkpoint=checkpoint, path=path)


@pytest.fixture(scope="module", params=["efficientnet_b0", "resnet18"])
def classifier(request: pytest.FixtureRequest, exporters: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    import torch

    torch.manual_seed(0)
    network = exporters.checkpoint.classification_network(request.param, 3).eval()
    with torch.no_grad():
        unsettle(torch, network)
        network.get_classifier().bias.copy_(torch.tensor([0.5, -1.0, 2.0]))
    checkpoint = exporters.checkpoint.Checkpoint(
        "classify", request.param, SEVERITIES, network.state_dict(), facts(), grey_mean=0.45, grey_std=0.21
    )
    path = exporters.to_onnx.export_classifier(checkpoint, tmp_path_factory.mktemp(request.param))
    return SimpleNamespace(network=network, checkpoint=checkpoint, path=path)

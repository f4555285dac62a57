"""What `make gpu-check` does, rehearsed: its tests run on a GPU that is played by ONNX Runtime, so that the first real one
meets no mistake of theirs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from edge.backends.onnx_session import OnnxSession
from edge.models.card import BUILTIN_FOLDER
from tests import ROOT
from tests.conftest import pitted
from tests.gpu.checkpoints import segmenter_state


def gpu_check(tmp_path: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pytest", "-m", "gpu", "-q", "-p", "no:cacheprovider", f"--basetemp={tmp_path / 'run'}"]
    return subprocess.run(
        [*command, *arguments],
        cwd=ROOT,
        env={**os.environ, "EDGE_GPU_REQUIRED": "1", **environment},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.slow
@pytest.mark.timeout(2400)  # with torch the rival is measured too: minutes, on a busy machine many
def test_every_check_runs_on_a_gpu_that_is_only_played(tmp_path: Path) -> None:
    pytest.importorskip("onnx")
    ran = gpu_check(
        tmp_path,
        "-p",
        "tests.fakes.gpu_rehearsal",
        "tests/gpu",
        EDGE_GPU_REHEARSAL="1",
        EDGE_GPU_RUNS="2",
        EDGE_GPU_IMAGES="1",
        EDGE_GPU_RIVAL_S="1",
    )
    assert ran.returncode == 0, ran.stdout[-4000:]
    assert " failed" not in ran.stdout
    table = ran.stdout[ran.stdout.index("this GPU") :]
    for question in ("GPU time", "mean mask IoU", "severities", "memory of the device", "memory of the host"):
        assert question in table


def test_without_a_gpu_every_check_fails_and_says_why(tmp_path: Path) -> None:
    ran = gpu_check(tmp_path, "tests/gpu/test_engine_gpu.py::test_stage_2_says_what_float32_says", CUDA_VISIBLE_DEVICES="")
    assert ran.returncode == 1
    assert "this machine has no NVIDIA GPU" in ran.stdout
    table = ran.stdout[ran.stdout.index(" this GPU ") :]
    assert "NOT TESTED  1 for this reason: " in table
    assert "stage 2 says what float32 says" in table


WITHOUT_TENSORRT = """
from tests.fakes.gpu_rehearsal import *
from export import to_tensorrt
def refuse(*_):
    raise to_tensorrt.NoTensorRtError("TensorRT cannot be imported")
to_tensorrt.make_engine = refuse
"""


@pytest.mark.slow
@pytest.mark.timeout(2400)
def test_without_tensorrt_the_kernels_are_tested_all_the_same(tmp_path: Path) -> None:
    pytest.importorskip("onnx")
    (tmp_path / "without_tensorrt.py").write_text(WITHOUT_TENSORRT)
    kernels, engine = "test_the_kernels_draw_what_opencv_draws", "test_stage_2_says_what_float32_says"
    ran = gpu_check(
        tmp_path,
        "-p",
        "without_tensorrt",
        *(f"tests/gpu/test_engine_gpu.py::{name}" for name in (kernels, engine)),
        EDGE_GPU_REHEARSAL="1",
        PYTHONPATH=os.pathsep.join([str(tmp_path), str(ROOT), os.environ.get("PYTHONPATH", "")]),
    )
    table = ran.stdout[ran.stdout.index(" this GPU ") :]
    assert "passed      1 tests" in table, ran.stdout[-4000:]
    assert "NOT TESTED  1 for this reason: Failed: there is no engine of segmenter.onnx: TensorRT cannot" in table


NO_GRAPH = """
from tests.fakes.gpu_rehearsal import *
gpu.fail["instantiate"] = 2
"""


@pytest.mark.slow
@pytest.mark.timeout(2400)
def test_a_graph_that_cannot_be_recorded_is_one_missed_line(tmp_path: Path) -> None:
    pytest.importorskip("onnx")
    (tmp_path / "no_graph.py").write_text(NO_GRAPH)
    names = ("test_graphs_give_exactly_what_plain_runs_give", "test_every_shape_that_is_kept_can_run_as_a_graph")
    ran = gpu_check(
        tmp_path,
        "-p",
        "no_graph",
        *(f"tests/gpu/test_engine_gpu.py::{name}" for name in names),
        EDGE_GPU_RUNS="2",
        PYTHONPATH=os.pathsep.join([str(tmp_path), str(ROOT), os.environ.get("PYTHONPATH", "")]),
    )
    table = ran.stdout[ran.stdout.index(" this GPU ") :]
    assert table.count("MISSED") == 1, ran.stdout[-4000:]
    assert "1 failed, 1 passed" in table


def test_the_shipped_segmenter_becomes_a_network_of_ultralytics_again() -> None:
    torch = pytest.importorskip("torch")
    pytest.importorskip("ultralytics")
    pytest.importorskip("onnx")
    from edge.models.card import load_card
    from export.checkpoint import Checkpoint
    from export.trained import TrainedNetwork

    path = BUILTIN_FOLDER / "segmenter.onnx"
    card = load_card(path, "segment")
    checkpoint = Checkpoint("segment", card.architecture, card.classes, segmenter_state(path), card.training)
    image = pitted(320, 256)[None, None]
    with OnnxSession(path) as shipped, TrainedNetwork(checkpoint) as again, torch.inference_mode():
        wanted, found = shipped.run(image), again.run(image)
    assert np.abs(np.sort(found["scores"][0])[-50:] - np.sort(wanted["scores"][0])[-50:]).max() < 1e-4
    assert np.abs(found["prototypes"] - wanted["prototypes"]).max() < 1e-4 * np.abs(wanted["prototypes"]).max()

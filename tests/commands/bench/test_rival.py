"""A rival in turns with ours: what is asked of it, and what its answers are worth."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from edge.commands.bench import rival
from edge.commands.bench.command import Options, run
from edge.commands.cli import bench as command
from edge.errors import BackendError
from tests.commands.bench.conftest import SAMPLES, TINY, settings

RIVAL = """
import json, sys
options = json.loads(sys.argv[-1])
for line in sys.stdin:
    one = {"decode": 5.0, "letterbox": 1.0, "segment": 500.0, "masks": 1.0, "crops": 1.0, "classify": 9e6, "total": 1e7}
    one |= {"boxes": [[1, 2, 3, 4]], "severity": "low"}
    answer = {"ready": {"torch": "0", "device": "cuda"}, "samples": [one] * len(options["images"]), "cpu_s": 1.0, "wall_s": 1.0}
    print(json.dumps({**answer, "threads": options["threads"]}), flush=True)
"""


@pytest.fixture
def slow_rival(tmp_path: Path) -> Path:
    """Something that speaks the rival's protocol and says that an image takes it 10,000 s."""
    (tmp_path / "rival.py").write_text(RIVAL)
    script = tmp_path / "python"
    script.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{tmp_path / "rival.py"}" "$@"\n')
    script.chmod(0o755)
    return script


def test_a_rival_is_measured_in_turns_and_its_ratio_told(
    slow_rival: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    weights = tmp_path / "weights.pt"
    weights.touch()
    options = ["--rival", "ultralytics", "--rival-python", str(slow_rival)]
    options += ["--checkpoint", str(weights), "--classifier-checkpoint", str(weights)]
    arguments = [str(SAMPLES[0]), *TINY, "--scenario", "single-stream", *options, "--json", str(tmp_path / "run.json")]
    assert command(arguments) == 0
    found = json.loads((tmp_path / "run.json").read_text())
    assert found["rival"]["throughput_ratio"] > 10
    assert found["rival"]["block_pairs"] % 2 == 0
    assert len(found["rival"]["blocks_ms"]["ours"]) == len(found["rival"]["blocks_ms"]["rival"])
    assert found["rival"]["stages"]["segment"]["rival_ms"] == 500.0
    for doubt in ("finds other regions", "runs on cuda, ours on cpu"):
        assert any(doubt in warning for warning in found["warnings"])
    assert "times its throughput" in capsys.readouterr().out


def test_a_rival_that_cannot_run_says_why(tmp_path: Path) -> None:
    script = tmp_path / "python"
    script.write_text('#!/bin/sh\nread line\necho \'{"error": "ImportError: no torch"}\'\n')
    script.chmod(0o755)
    with rival.rival_process({}, str(script)) as other, pytest.raises(BackendError, match="no torch"):
        other.ask({"do": "block"})


def test_a_rival_that_ends_is_told(tmp_path: Path) -> None:
    script = tmp_path / "python"
    script.write_text("#!/bin/sh\nread line\nexit 3\n")
    script.chmod(0o755)
    with rival.rival_process({}, str(script)) as other, pytest.raises(BackendError, match="status 3"):
        other.ask({"do": "block"})


def test_regions_agree_when_each_has_a_partner() -> None:
    boxes = np.array([[0, 0, 10, 10], [50, 50, 20, 20]], float)
    nothing = np.empty((0, 4))
    assert rival.agreement([(boxes, boxes[::-1])]) == 1.0
    assert rival.agreement([(boxes, boxes[:1])]) == pytest.approx(2 / 3)
    assert rival.agreement([(boxes, boxes[[0, 0]])]) == pytest.approx(0.5)
    assert rival.agreement([(boxes, nothing)]) == 0.0
    assert rival.agreement([(nothing, nothing)]) == 1.0


def test_the_real_rival_finds_the_same_regions(tmp_path: Path) -> None:
    for name in ("torch", "ultralytics", "timm"):
        pytest.importorskip(name)
    from edge.models.card import Training
    from export.checkpoint import Checkpoint, classification_network, segmentation_network
    from export.to_onnx import export_classifier, export_segmenter

    about = Training(data="none", data_sha256="0" * 64, initialised_from="none", epochs=0, images=0, seed=0, command="test")
    severities = ("low", "moderate", "severe")
    segmenter = Checkpoint("segment", "yolov8n-seg", ("pit",), segmentation_network(("pit",)).state_dict(), about)
    network = classification_network("efficientnet_b0", 3)
    classifier = Checkpoint("classify", "efficientnet_b0", severities, network.state_dict(), about)
    models = {}
    for name, checkpoint, export in (("segmenter", segmenter, export_segmenter), ("classifier", classifier, export_classifier)):
        checkpoint.save(tmp_path / f"{name}.pt")
        models[name] = str(export(checkpoint, tmp_path / "models"))
    options = Options(
        paths=tuple(SAMPLES[:1]),
        backends=("onnxruntime",),
        scenarios=("single-stream",),
        duration_s=0.01,
        json=tmp_path / "run.json",
        rival="ultralytics",
        checkpoint=tmp_path / "segmenter.pt",
        classifier_checkpoint=tmp_path / "classifier.pt",
    )
    assert run(options, settings(models=models, inspect={"confidence": 0.9})) == 0
    found = json.loads((tmp_path / "run.json").read_text())["rival"]
    assert found["throughput_ratio"] > 0
    assert found["same_work"]["severity_agreement"] == 1.0
    assert found["rival"]["threads"] == found["threads"]

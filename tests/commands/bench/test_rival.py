"""A rival in turns with ours: what is asked of it, and what its answers are worth."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from edge.backends.table import open_network
from edge.commands.bench import rival
from edge.commands.bench.command import Options, run
from edge.commands.bench.scenarios import Bench
from edge.commands.cli import bench as command
from edge.errors import BackendError, ConfigError
from edge.inspection.classify import Classifier
from edge.models.card import load_card, resolve
from tests.commands.bench.conftest import SAMPLES, TINY, settings

RIVAL = """
import json, sys
options = json.loads(sys.argv[-1])
for line in sys.stdin:
    one = {"decode": 5.0, "letterbox": 1.0, "segment": 500.0, "masks": 1.0, "crops": 1.0, "classify": 9e6, "total": 1e7}
    one["regions"] = 2e7
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
    options = ["--rival", "ultralytics", "--rival-python", str(slow_rival)]
    arguments = [str(SAMPLES[0]), *TINY, "--scenario", "single-stream", *options, "--json", str(tmp_path / "run.json")]
    assert command(arguments) == 0
    found = json.loads((tmp_path / "run.json").read_text())
    same, shipped = found["rival"]["same_networks"], found["rival"]["as_shipped"]
    assert found["rival"]["throughput_ratio"] == same["throughput_ratio"] > 10
    assert shipped["throughput_ratio"] == pytest.approx(3 * same["throughput_ratio"], rel=1e-3)
    assert found["rival"]["regions_judged_an_image"] == 1
    assert found["rival"]["precision"] == {"ours": "float32", "rival": "float32"}
    assert found["rival"]["block_pairs"] % 2 == 0
    assert len(found["rival"]["blocks_ms"]["ours"]) == len(found["rival"]["blocks_ms"]["rival"])
    assert found["rival"]["stages"]["segment"]["rival_ms"] == 500.0
    assert found["rival"]["same_work"]["severity_agreement_of"] == rival.SEVERITY_OF
    for doubt in ("finds other regions", "runs on cuda, ours on cpu"):
        assert any(doubt in warning for warning in found["warnings"])
    table = capsys.readouterr().out
    assert "the same networks on both sides: " in table
    assert "as shipped: " in table
    assert f"{found['rival']['regions_an_image']:g} regions an image" in table


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


def test_severities_are_compared_where_both_give_one() -> None:
    theirs = [{"severity": "low"}, {"severity": "severe"}, {"severity": None}]
    assert rival._same(["low", "low", "low"], theirs) == 0.5
    assert rival._same([None, "severe", None], theirs) == 1.0
    assert rival._same([None, None, None], theirs) == 1.0


def test_the_rival_answers_to_the_network_and_not_to_what_measures_made_of_it() -> None:
    models = {"backend": "onnxruntime"}
    with Bench(settings(models=models), "float32") as bench:
        grey = bench.decode(SAMPLES[0]).pages[0].grey
        answer = bench.field_answer(SAMPLES[0])
    path = resolve("builtin", "classify")
    with open_network("onnxruntime", path) as network:
        assert answer == Classifier(network, load_card(path, "classify")).assess(grey).label
    with Bench(settings(models=models, inspect={"stages": "segment"}), "float32") as bench:
        assert bench.field_answer(SAMPLES[0]) is None


def test_regions_agree_when_each_has_a_partner() -> None:
    boxes = np.array([[0, 0, 10, 10], [50, 50, 20, 20]], float)
    nothing = np.empty((0, 4))
    assert rival.agreement([(boxes, boxes[::-1])]) == 1.0
    assert rival.agreement([(boxes, boxes[:1])]) == pytest.approx(2 / 3)
    assert rival.agreement([(boxes, boxes[[0, 0]])]) == pytest.approx(0.5)
    assert rival.agreement([(boxes, nothing)]) == 0.0
    assert rival.agreement([(nothing, nothing)]) == 1.0


def test_the_real_rival_reads_its_weights_from_the_shipped_models_and_finds_the_same(tmp_path: Path) -> None:
    for name in rival.NEEDED:
        pytest.importorskip(name)
    options = Options(
        paths=tuple(SAMPLES[:1]),
        backends=("onnxruntime",),
        scenarios=("single-stream",),
        duration_s=0.01,
        json=tmp_path / "run.json",
        rival="ultralytics",
    )
    assert run(options, settings()) == 0
    found = json.loads((tmp_path / "run.json").read_text())["rival"]
    assert 0 < found["same_networks"]["throughput_ratio"] < found["as_shipped"]["throughput_ratio"]
    assert found["same_work"]["region_agreement"] > 0.9
    assert found["same_work"]["severity_agreement"] == 1.0
    assert found["rival"]["threads"] == found["threads"]


def test_without_the_extra_training_the_cure_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rival, "find_spec", lambda name: None if name in ("torch", "timm") else object())
    with pytest.raises(ConfigError, match=r"needs torch, timm: pip install 'sem-corrosion-edge\[training\]'"):
        rival.require_weights(settings(), None, None, None)
    segmenter, classifier = rival.require_weights(settings(), None, None, "/another/python")
    assert (segmenter.name, classifier.name) == ("segmenter.onnx", "classifier.onnx")


def test_a_checkpoint_that_is_named_and_missing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"--classifier-checkpoint .*none.pt: there is no such file"):
        rival.require_weights(settings(), None, tmp_path / "none.pt", None)

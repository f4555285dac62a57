"""The rival of `edge-bench` answers every question, and says why when it cannot."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest


def test_a_task_is_read_from_json_with_its_paths(tmp_path: Path) -> None:
    from training.score.rival import Task

    fields = {"engine": "torch", "segmenter": "s.pt", "classifier": "c.pt", "threads": 2, "confidence": 0.25, "iou": 0.6}
    fields["region_crops"] = 3
    task = Task.parse(json.dumps({**fields, "images": ["a.tif", "b.tif"], "folder": str(tmp_path)}))
    assert (task.segmenter, task.classifier, task.folder) == (Path("s.pt"), Path("c.pt"), tmp_path)
    assert task.images == (Path("a.tif"), Path("b.tif"))


def test_weights_that_are_not_there_are_named_in_the_answer(tmp_path: Path) -> None:
    for name in ("torch", "ultralytics", "timm"):
        pytest.importorskip(name)
    from edge.samples import sample_files
    from training.score.rival import main

    fields = {"engine": "torch", "threads": 1, "confidence": 0.25, "iou": 0.6, "region_crops": 0, "folder": str(tmp_path)}
    paths = {"segmenter": str(tmp_path / "none.pt"), "classifier": "c.pt", "images": [str(sample_files()[0])]}
    answers = io.StringIO()
    assert main(json.dumps({**fields, **paths}), io.StringIO('{"do": "block"}\n'), answers) == 1
    assert "none.pt" in json.loads(answers.getvalue())["error"]


def test_the_rivals_own_answers_hold_a_question_that_nobody_knows() -> None:
    pytest.importorskip("torch")
    from training.score.rival import main

    answers = io.StringIO()
    assert main("{}", io.StringIO('{"do": "block"}\n'), answers) == 1
    assert "error" in json.loads(answers.getvalue())

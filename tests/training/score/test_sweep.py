"""A labelled folder is scored at every confidence, from one run of the network an image."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edge.config import change, load_for_command
from edge.errors import ConfigError
from tests.training.score.scored import make_folder, scored
from training.data.options import Options
from training.score.score_folder import LabelledPages, open_folder
from training.score.sweep import Remembering, describe, sweep


def opened(folder: Path, clean: bool = False) -> LabelledPages:
    return open_folder(folder, Options(class_blind=True), clean=clean)


def test_each_confidence_has_what_the_score_at_that_confidence_says(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "mine", 2)
    settings = change(load_for_command(None), {"models": {"backend": "onnxruntime"}})
    told: list[tuple[int, int]] = []
    document = sweep(opened(folder), settings, (0.1, 0.30, 0.9), lambda done, of: told.append((done, of)))
    assert json.loads(json.dumps(document, allow_nan=False))["images"] == 2
    assert told == [(1, 2), (2, 2)]
    low, default, high = document["confidences"]
    of_score = scored(folder).document["edge"]
    for name in ("area_iou", "area_bias", "region_recall", "false_regions"):
        assert default[name]["value"] == pytest.approx(of_score[name]["value"], abs=1e-3)
    assert low["area_found"]["value"] >= default["area_found"]["value"] >= high["area_found"]["value"]
    lines = describe(document).splitlines()
    assert len(lines) == 5
    assert lines[2].endswith("*")


def test_a_folder_of_severities_alone_cannot_be_swept(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "mine", 1)
    for mask in folder.rglob("*mask*"):
        if mask.is_file():
            mask.unlink()
    data = opened(folder, clean=True) if not list(folder.rglob("masks/*")) else opened(folder)
    bare = LabelledPages(data.files, data.pages, (), None, None, (), {})
    with pytest.raises(ConfigError, match="needs labels"):
        sweep(bare, load_for_command(None), (0.30,), lambda done, of: None)


def test_a_repeated_question_is_answered_from_memory_until_it_is_forgotten() -> None:
    class Counting:
        name, precision = "counting", "float32"
        runs = 0

        def run(self, image: NDArray[np.uint8]) -> dict[str, NDArray[Any]]:
            self.runs += 1
            return {"sum": image.sum(axis=(1, 2, 3))}

        def close(self) -> None:
            raise AssertionError

        def __enter__(self) -> Counting:
            return self

        def __exit__(self, *_: object) -> None: ...

    network = Counting()
    remembering = Remembering(network)
    first, second = np.zeros((1, 1, 4, 4), np.uint8), np.ones((1, 1, 4, 4), np.uint8)
    answers = [int(remembering.run(image)["sum"][0]) for image in (first, second, first)]
    assert (answers, network.runs) == ([0, 16, 0], 2)
    remembering.forget()
    remembering.close()
    remembering.run(first)
    assert network.runs == 3

"""The shipped classifier with its quantised copy, free to be damaged."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from edge.backends.int8_copy import copy_paths
from edge.models.card import BUILTIN_FOLDER

CLASSIFIER = BUILTIN_FOLDER / "classifier.onnx"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """The shipped classifier with its copy, in a folder of its own."""
    for path in (CLASSIFIER, CLASSIFIER.with_suffix(".json"), *copy_paths(CLASSIFIER)):
        shutil.copy(path, tmp_path / path.name)
    return tmp_path / CLASSIFIER.name

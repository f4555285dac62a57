"""One micrograph through the whole pipeline, with the shipped models."""

from __future__ import annotations

from pathlib import Path

from edge.inspection.pipeline import Pipeline
from edge.records import Inspection, Micrograph
from edge.samples import sample_micrographs
from tests.conftest import SOURCE, settings_for


def inspected(tmp_path: Path, image: Micrograph, **sections: dict[str, object]) -> Inspection:
    with Pipeline(settings_for(tmp_path / "export", **sections)) as pipeline:
        return pipeline.inspect(image, SOURCE)


def sample() -> Micrograph:
    return max(sample_micrographs(), key=lambda one: one.pixel_size_nm or 0)

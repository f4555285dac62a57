"""The sample micrographs read as the microscopes they imitate."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest

from edge.samples import sample_files
from training.draw.samples import SAMPLES, write_samples


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: f"{sample.seed}-{sample.form}")
def test_samples_read_as_the_microscopes_they_imitate(sample: Any, tmp_path: Path) -> None:
    sem = pytest.importorskip("edge.sem")
    (path,) = write_samples(tmp_path, (sample,))
    micrograph = sem.read(path.read_bytes(), path.name)[0]
    barred = sample.form in ("thermofisher", "zeiss", "jpeg")
    assert micrograph.databar_px == (64 if barred else 0)
    if sample.form in ("thermofisher", "zeiss"):
        assert micrograph.pixel_size_nm == pytest.approx(sample.field_um * 1000 / 1024, rel=1e-3)
        assert micrograph.acquisition.acceleration_kv == 15.0
        assert micrograph.acquisition.captured_at is not None
    else:
        assert micrograph.pixel_size_nm is None
    assert micrograph.warnings == ()


def test_the_shipped_samples_are_still_the_files_that_the_first_generator_drew() -> None:
    """They are kept, not redrawn: parity scores and the demo's picture were made with them."""
    digest = hashlib.sha256()
    for path in sample_files():
        digest.update(path.name.encode() + hashlib.sha256(path.read_bytes()).digest())
    assert digest.hexdigest()[:16] == "9b7791540ab89c4c"

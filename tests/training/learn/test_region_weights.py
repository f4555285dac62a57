"""Weights for single regions: learnt from drawn scenes, written, read by the edge."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.inspection.region_severity import RegionJudge
from training.learn.region_weights import examples, make

pytest.importorskip("sklearn")


def test_a_few_scenes_make_a_file_that_the_edge_takes(tmp_path: Path) -> None:
    path = tmp_path / "regions.json"
    weights = make(path, "1", learn=6, test=2, command="edge-train regions")
    assert RegionJudge(str(path)).weights == weights
    assert {"region_accuracy_painted", "region_accuracy_relief"} <= set(weights.scores)


def test_no_regions_teach_nothing() -> None:
    with pytest.raises(ValueError, match="no regions"):
        examples([])

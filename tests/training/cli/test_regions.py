"""`edge-train regions` as people type it."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.inspection.region_severity import RegionJudge
from training.cli import main


def test_it_writes_weights_and_says_what_they_reach(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("sklearn")
    out = tmp_path / "regions.json"
    assert main(["regions", "--out", str(out), "--scenes", "4", "--test-scenes", "1"]) == 0
    assert "region_accuracy_relief" in capsys.readouterr().out
    assert RegionJudge(str(out)).identity.name == "regions"

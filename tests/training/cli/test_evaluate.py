"""`edge-train evaluate` needs at least one run."""

from __future__ import annotations

from pathlib import Path

import pytest

from training import cli


def test_evaluating_nothing_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["evaluate", "--data", str(tmp_path), "--out", str(tmp_path / "report")]) == 2
    assert "--segmenter" in capsys.readouterr().err

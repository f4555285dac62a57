"""`edge-train samples` as people type it."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge import sem
from training import cli


def test_the_samples_are_written_and_can_be_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["samples", "--out", str(tmp_path / "samples")]) == 0
    written = sorted((tmp_path / "samples").iterdir())
    assert len(written) > 3
    assert all(sem.read(path.read_bytes(), path.name) for path in written)
    assert str(tmp_path) in capsys.readouterr().out

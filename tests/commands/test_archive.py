"""`edge-archive`: what it says and how it ends; the work itself is tested in tests/archive."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("pyarrow")

from edge.commands.archive import archive
from tests.archive.conftest import results

__all__ = ["results"]


def test_changes_are_printed_and_written(
    results: tuple[Path, Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert archive(["compare", *map(str, results), "--html", str(tmp_path / "a.html"), "--csv", str(tmp_path / "a.csv")]) == 0
    assert "4 images in both; 1 of them are said otherwise" in capsys.readouterr().out
    assert "below/AN_90_2h.png,0,low,severe" in (tmp_path / "a.csv").read_text()
    assert (tmp_path / "a.html").stat().st_size > 1000


def test_what_is_no_result_is_a_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert archive(["compare", str(tmp_path), str(tmp_path)]) == 2
    assert "holds no results of edge-archive inspect" in capsys.readouterr().err


def test_wrong_usage_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        archive(["inspect", "somewhere"])
    assert "--out" in capsys.readouterr().err

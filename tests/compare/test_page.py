"""The page of what changed most."""

from __future__ import annotations

from pathlib import Path

from edge.compare import page
from tests.compare.making import example, written


def test_the_page_needs_no_other_file_and_shows_both_pictures(tmp_path: Path) -> None:
    page.write(tmp_path / "a.html", example(), 10)
    text = written(tmp_path / "a.html")
    assert text.count("<img ") == 4
    assert "low → severe" in text
    assert 'src="http' not in text


def test_a_name_with_markup_is_text(tmp_path: Path) -> None:
    page.write(tmp_path / "a.html", example("<script>alert(1)</script>"), 10)
    assert "<script>" not in written(tmp_path / "a.html")


def test_what_changed_less_is_counted(tmp_path: Path) -> None:
    page.write(tmp_path / "a.html", example(), 1)
    assert "1 more changed less" in written(tmp_path / "a.html")

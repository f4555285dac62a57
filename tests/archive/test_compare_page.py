"""The page of what changed most."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("pyarrow")

from edge.archive import compare, compare_page


def test_the_page_needs_no_other_file_and_shows_both_pictures(results: tuple[Path, Path], tmp_path: Path) -> None:
    compare_page.write(tmp_path / "a.html", compare.compare(*results), 10)
    text = (tmp_path / "a.html").read_text()
    assert text.count("<img ") == 2
    assert "low → severe" in text
    assert 'src="http' not in text


def test_a_name_with_markup_is_text(results: tuple[Path, Path], tmp_path: Path) -> None:
    found = compare.compare(*results)
    found.changed[0].after["path"] = "<script>alert(1)</script>"
    compare_page.write(tmp_path / "a.html", found, 10)
    assert "<script>" not in (tmp_path / "a.html").read_text()


def test_what_changed_less_is_counted(results: tuple[Path, Path], tmp_path: Path) -> None:
    compare_page.write(tmp_path / "a.html", compare.compare(*results), 0)
    assert "1 more changed less" in (tmp_path / "a.html").read_text()

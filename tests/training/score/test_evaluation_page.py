"""The page shows only what lies beside it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from training.score.evaluation import Evaluation


def test_the_page_shows_only_what_lies_beside_it(evaluation: Evaluation, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    from training.score.evaluation_page import write

    page = write(evaluation, tmp_path / "report").read_text()
    pictures = re.findall(r'src="([^"]+)"', page)
    assert len(pictures) >= 5
    assert all((tmp_path / "report" / name).is_file() for name in pictures)
    assert "http" not in page
    assert "89.91" in page
    assert "The data differ" in page

"""A build's phases become one number."""

from __future__ import annotations

import pytest

from export.build_progress import Progress


def test_progress_is_a_part_of_a_part() -> None:
    progress = Progress("x")
    progress.begin("all", None, 4)
    progress.step("all", 0)
    progress.begin("inner", "all", 2)
    progress.step("inner", 0)
    assert progress.done == pytest.approx(0.25 + 0.25 / 2)
    progress.end("inner")
    assert progress.done == pytest.approx(0.25)

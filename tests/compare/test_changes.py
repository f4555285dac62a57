"""What one result says otherwise than another."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.compare.changes import compared, models_said
from edge.errors import ConfigError
from tests.compare.making import example, row, side, written


def test_a_step_of_the_severity_outweighs_what_is_measured() -> None:
    found = example()
    assert (found.both, found.only_before, found.only_after, found.other_files) == (3, 1, 1, 0)
    assert [(one.path, one.answers) for one in found.changed] == [
        ("b.png", ("low", "severe")),
        ("c.png", ("low", "abstained")),
    ]
    assert found.shifts["area_fraction"][0] == 3
    assert found.shifts["area_fraction"][1] == pytest.approx(0.8 / 3)
    assert list(models_said(found.first, found.second)) == [f"segmenter: {'b' * 12} → {'d' * 12}"]


def test_the_text_names_where_an_image_is_missing() -> None:
    text = example().text()
    assert "3 images in both; 2 of them are said otherwise" in text
    assert "1 in the present alone" in text
    assert "1 in the candidate alone" in text


def test_an_image_whose_content_differs_is_not_compared() -> None:
    before, after = [row("a.png"), row("b.png")], [row("a.png"), row("b.png", "severe", image_sha256="e" * 64)]
    found = compared(side("one"), side("other"), before, after, lambda one: one["path"])
    assert (found.both, found.other_files, found.changed) == (1, 1, ())


def test_nothing_in_common_is_an_error_that_names_both() -> None:
    with pytest.raises(ConfigError, match="the one and the other have no image in common"):
        compared(side("one"), side("other"), [row("a.png")], [row("b.png")], lambda one: one["path"])


def test_other_settings_are_said() -> None:
    assert list(models_said(side("one"), side("other", settings="f" * 64))) == ["the settings differ"]


def test_every_image_that_changed_stands_in_the_table(tmp_path: Path) -> None:
    example("=b.png").write_csv(tmp_path / "changes.csv")
    lines = written(tmp_path / "changes.csv").splitlines()
    assert len(lines) == 3
    assert lines[1].startswith("'=b.png,,low,severe,0.1,0.9")

"""What a file says of samples is joined to images, and what cannot be meant is named with its row."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.errors import ConfigError
from edge.report.samples_file import join

PATHS = ["x/a.tif", "y/a.tif", "y/b.tif"]


def test_names_paths_and_patterns_are_joined(tmp_path: Path) -> None:
    file = tmp_path / "s.csv"
    file.write_text("\ufeffimage,coupon,current_ma\ny/*,c1,3.5\nnope.tif,c2,1\n")
    joined, parameters, notes = join(file, PATHS)
    assert joined == {path: {"coupon": "c1", "current_ma": 3.5} for path in ("y/a.tif", "y/b.tif")}
    assert parameters == ("current_ma",)
    assert "row 3" in notes[0]
    assert "1 of 3" in notes[1]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("image,coupon\na.tif,c", "row 2: 'a.tif' is the name of 2 images"),
        ("image,coupon\nb.tif,c\ny/b.tif,d", "row 3: y/b.tif has row 2 already"),
        ("image,current\nb.tif,much", "row 2: current 'much' is no number"),
        ("image,current\nb.tif,inf", "row 2: current 'inf' is no number"),
        ("image,field_selection\nb.tif,best", "row 2: field_selection"),
        ("coupon\nc", "needs a column `image`"),
        ("image,a,a\nb.tif,1,1", "two columns"),
        ("image,a\nb.tif,1,1", "row 2: more values"),
        ("image,a\n,1", "row 2: `image` is empty"),
        ("", "needs a column `image`"),
    ],
)
def test_what_cannot_be_meant_is_said_with_its_row(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "s.csv"
    file.write_text(text)
    with pytest.raises(ConfigError, match=said.replace("(", r"\(")):
        join(file, PATHS)


@pytest.mark.parametrize("name", ["severity", "area_fraction", "path", "count"])
def test_a_parameter_cannot_have_the_name_of_a_measure(tmp_path: Path, name: str) -> None:
    file = tmp_path / "s.csv"
    file.write_text(f"image,{name}\ny/b.tif,1\n")
    with pytest.raises(ConfigError, match=f"{name}: the report has a column"):
        join(file, PATHS)

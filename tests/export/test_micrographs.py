"""A path becomes micrographs with names, and what could not be read is named with its reason."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from edge.samples import sample_files
from export.micrographs import read_micrographs
from tests.sem.making import encoded, specimen, tiff

IMAGE = specimen(64, 80)


def test_without_a_path_the_shipped_samples_are_read() -> None:
    found, unreadable = read_micrographs(None)
    assert [name for name, _ in found] == [path.name for path in sample_files()]
    assert unreadable == {}


def test_a_folder_is_searched_with_its_folders_and_names_tell_where(tmp_path: Path) -> None:
    (tmp_path / "day 1").mkdir()
    (tmp_path / "day 1" / "a.TIF").write_bytes(tiff(IMAGE))
    (tmp_path / "b.png").write_bytes(encoded(IMAGE, ".png"))
    (tmp_path / "notes.txt").write_text("no image")
    found, unreadable = read_micrographs(tmp_path)
    assert [name for name, _ in found] == ["b.png", str(Path("day 1") / "a.TIF")]
    assert all(np.array_equal(micrograph.grey, IMAGE) for _, micrograph in found)
    assert unreadable == {}


def test_each_page_of_a_file_is_named_by_its_number(tmp_path: Path) -> None:
    path = tmp_path / "stack.tif"
    path.write_bytes(tiff(np.stack([IMAGE, IMAGE]), photometric="minisblack"))
    found, _ = read_micrographs(path)
    assert [name for name, _ in found] == ["stack.tif page 1", "stack.tif page 2"]


def test_a_file_that_cannot_be_read_is_named_and_does_not_stop_the_others(tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_bytes(b"no image")
    (tmp_path / "whole.png").write_bytes(encoded(IMAGE, ".png"))
    found, unreadable = read_micrographs(tmp_path)
    assert [name for name, _ in found] == ["whole.png"]
    assert list(unreadable) == ["broken.png"]
    assert unreadable["broken.png"]

"""What a microscope wrote, applied to the image as it is stored."""

from __future__ import annotations

import pytest

from edge.sem.metadata import Metadata, scale


def codes(metadata: Metadata, width: int = 512, height: int = 416) -> tuple[float | None, int | None, list[str]]:
    found = scale(metadata, width, height)
    return found.pixel_size_nm, found.bar_rows, [warning.partition(":")[0] for warning in found.warnings]


def test_nothing_written_means_nothing() -> None:
    assert codes(Metadata()) == (None, None, [])


def test_rows_beyond_the_image_are_the_bar_whatever_its_own_number_says() -> None:
    assert codes(Metadata(pixel_nm=(5, 5), image_width=512, image_height=384, bar_rows=7)) == (5, 32, [])


def test_an_export_of_another_size_scales_pixel_and_bar() -> None:
    metadata = Metadata(pixel_nm=(5, 5), image_width=1024, image_height=768)
    assert codes(metadata) == (10, 32, ["resized"])


def test_a_size_that_holds_only_for_a_smaller_copy_is_marked_and_can_be_taken_back() -> None:
    found = scale(Metadata(pixel_nm=(5, 5), image_width=1024, image_height=768), 512, 384)
    assert found.resized
    assert found.without_size().pixel_size_nm is None
    assert [warning.partition(":")[0] for warning in found.without_size().warnings] == ["resized"]
    assert not scale(Metadata(pixel_nm=(5, 5), image_width=512, image_height=384), 512, 384).resized


@pytest.mark.parametrize("height", [300, 600])
def test_an_export_of_another_shape_has_no_size(height: int) -> None:
    metadata = Metadata(pixel_nm=(5, 5), image_width=1024, image_height=768)
    assert codes(metadata, height=height) == (None, None, ["resized"])


@pytest.mark.parametrize("down", [5.06, 4.94])
def test_pixels_that_are_not_square_have_no_size(down: float) -> None:
    assert codes(Metadata(pixel_nm=(5, down))) == (None, None, ["pixels_not_square"])


def test_pixels_that_are_nearly_square_have_their_width() -> None:
    assert codes(Metadata(pixel_nm=(5, 5.04))) == (5, None, [])


@pytest.mark.parametrize("nm", [1e-4, 1e8, float("inf")])
def test_a_pixel_of_no_microscope_has_no_size(nm: float) -> None:
    assert codes(Metadata(pixel_nm=(nm, nm))) == (None, None, ["pixel_size_implausible"])


@pytest.mark.parametrize("rows", [209, 5000])
def test_a_bar_of_more_than_half_the_image_is_ignored(rows: int) -> None:
    assert codes(Metadata(pixel_nm=(5, 5), bar_rows=rows)) == (5, None, ["databar_implausible"])

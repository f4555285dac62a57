"""What a page says by its header alone, whatever its tags hold."""

from __future__ import annotations

import pytest

from edge.sem.structure.page import TAIL_BLOCK, Page, zeros_before


def page(**numbers: tuple[float, ...]) -> Page:
    """A page with numeric tags, written t262=(…)."""
    return Page(10, 10, numbers={int(name[1:]): values for name, values in numbers.items()})


def test_a_tag_that_is_missing_empty_or_no_number_has_its_default() -> None:
    assert page().photometric == 1
    for values in ((), (float("nan"),), (float("inf"),)):
        assert page(t262=values).photometric == 1
    assert page(t262=(3.0, 5.0)).photometric == 3


@pytest.mark.parametrize(
    ("numbers", "full"),
    [
        ({}, True),
        ({"t254": (0.0,)}, True),
        ({"t254": (2.0,)}, True),  # one page of many
        ({"t254": (1.0,)}, False),  # a smaller copy
        ({"t254": (4.0,)}, False),  # a mask
        ({"t255": (2.0,)}, False),  # a smaller copy, as old files say it
    ],
)
def test_thumbnails_and_masks_are_no_full_images(numbers: dict[str, tuple[float, ...]], full: bool) -> None:
    assert page(**numbers).is_full_image == full


@pytest.mark.parametrize("zeros", [0, 1, TAIL_BLOCK - 1, TAIL_BLOCK, TAIL_BLOCK + 1, 3 * TAIL_BLOCK])
def test_the_run_of_zeros_is_counted_however_long_it_is(zeros: int) -> None:
    data = b"\0\0x" + b"\0" * zeros
    assert zeros_before(data, len(data), 0) == zeros


def test_the_run_of_zeros_does_not_go_back_beyond_its_start() -> None:
    assert zeros_before(b"\0" * 100, 80, 30) == 50

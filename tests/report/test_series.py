from __future__ import annotations

import pytest

from edge.report.series import split
from tests.report.tables import table


def test_images_measured_alike_are_one_series_without_reasons() -> None:
    (only,) = split(table([{"pixel_size_nm": 100}, {"pixel_size_nm": 105}, {}]))
    assert only.why == ()
    assert len(only.table) == 3


@pytest.mark.parametrize(
    ("column", "other", "word"),
    [
        ("pixel_size_nm", 120.0, "pixel size"),
        ("pixel_size_nm", None, "unknown"),
        ("field_um2", 20_000.0, "field of view"),
        ("counted_from_px", 5.0, "counted from"),
        ("counted_from_um", 1.0, "counted from"),
        ("segmenter", "b", "segmenter"),
        ("taught", "f" * 64, "adaptation"),
        ("settings_sha256", "e" * 64, "settings"),
    ],
)
def test_what_was_measured_otherwise_is_another_series_and_says_why(column: str, other: object, word: str) -> None:
    big, small = split(table([{}, {}, {column: other}]))
    assert (len(big.table), len(small.table)) == (2, 1)
    assert word in " ".join(small.why)
    assert big.why


def test_no_images_are_no_series() -> None:
    assert split(table([])) == ()


def test_sizes_that_creep_are_cut_where_the_group_gets_wider_than_ten_percent() -> None:
    sizes = [len(series.table) for series in split(table([{"pixel_size_nm": 100 * 1.04**step} for step in range(6)]))]
    assert sizes == [3, 3]

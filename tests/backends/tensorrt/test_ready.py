"""Which batch a number of rows runs in, and which inputs an engine takes."""

from __future__ import annotations

import pytest

from edge.backends.tensorrt.ready import batch_for, require_fitting
from edge.errors import BackendError


@pytest.mark.parametrize(
    ("count", "batches", "wanted"),
    [(1, (8,), 1), (3, (8,), 4), (5, (6,), 6), (8, (8,), 8), (9, (8, 40), 40), (33, (8, 40), 40), (7, (8, 40), 8)],
)
def test_rows_run_in_a_power_of_two_or_the_largest_of_a_profile(count: int, batches: tuple[int, ...], wanted: int) -> None:
    assert batch_for(count, 1, batches) == wanted


def test_an_input_beyond_the_profile_is_refused() -> None:
    require_fitting((3, 1, 64, 96), (32, 32), (96, 96))
    with pytest.raises(BackendError, match="build it for such images"):
        require_fitting((3, 1, 64, 128), (32, 32), (96, 96))

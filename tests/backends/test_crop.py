"""Crops on canvases, as the processor draws them, and who draws: the network itself where it can."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edge.backends.crop import PADDING_GREY, Crop, canvas, canvases, run_on_crops
from tests.conftest import pitted

Grey = NDArray[np.uint8]


class Plain:
    """A network that answers with what it is shown."""

    name, precision = "plain", "float32"

    def run(self, image: Grey) -> dict[str, Any]:
        return {"shown": image}

    def close(self) -> None: ...

    def __enter__(self) -> Plain:
        return self

    def __exit__(self, *_: object) -> None: ...


class Drawing(Plain):
    """One that draws its own canvases."""

    def run_on_crops(self, grey: Grey, crops: Sequence[Crop], rows: int, columns: int) -> dict[str, Any]:
        return {"asked": (grey, tuple(crops), rows, columns)}


CROPS = [Crop(0, 0, 96, 64, 48, 32), Crop(10, 10, 32, 32, 32, 32), Crop(-8, -8, 40, 40, 40, 40)]


def test_a_plain_network_is_shown_the_canvases() -> None:
    grey = pitted(96, 64)
    assert np.array_equal(run_on_crops(Plain(), grey, CROPS, 64, 64)["shown"], canvases(grey, CROPS, 64, 64))


def test_a_network_that_draws_gets_image_and_crops() -> None:
    grey = pitted(96, 64)
    assert run_on_crops(Drawing(), grey, CROPS, 64, 64)["asked"] == (grey, tuple(CROPS), 64, 64)


def test_what_a_crop_does_not_cover_is_padding() -> None:
    drawn = canvas(pitted(96, 64), CROPS[0], 64, 64)
    assert np.all(drawn[32:] == PADDING_GREY)
    assert np.all(drawn[:, 48:] == PADDING_GREY)


def test_beyond_the_image_its_nearest_pixels_are_repeated() -> None:
    grey = pitted(96, 64)
    drawn = canvas(grey, CROPS[2], 40, 40)
    assert np.array_equal(drawn[8:, 8:], grey[:32, :32])
    assert np.all(drawn[:8, 8:] == grey[0, :32])
    assert np.all(drawn[:8, :8] == grey[0, 0])


@pytest.mark.parametrize("place", range(3))
def test_each_crop_has_a_canvas_of_its_own(place: int) -> None:
    grey = pitted(96, 64)
    assert np.array_equal(canvases(grey, CROPS, 64, 64)[place, 0], canvas(grey, CROPS[place], 64, 64))

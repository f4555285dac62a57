"""Crops on canvases, as the processor draws them, and who draws: the network itself where it can."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import pytest
from numpy.typing import NDArray

from edge.backends import crop
from edge.backends.crop import PADDING_GREY, Crop, canvas, canvases, run_on_crops, submit, submit_on_crops
from edge.backends.network import Network
from edge.errors import BackendError
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


class AnyThread:
    """A network of the processor that notes which thread runs it."""

    name, precision, any_thread = "fake", "float32", True

    def __init__(self) -> None:
        self.ran_in: list[str] = []

    def run(self, image: Any) -> Any:
        self.ran_in.append(threading.current_thread().name)
        if image.max() == 0:
            raise BackendError("all black")
        return {"shown": image}


def test_what_any_thread_may_run_runs_beside_the_host(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crop, "cores", lambda: 2)
    network, grey = AnyThread(), pitted(96, 64)
    expected = canvases(grey, CROPS, 64, 64)
    pending = submit_on_crops(cast(Network, network), grey, CROPS, 64, 64)
    grey[:] = 1  # it was drawn before
    assert np.array_equal(pending.collect()["shown"], expected)
    assert pending.collect() is pending.collect()
    assert network.ran_in[0].startswith("networks")


def test_on_one_core_and_for_other_networks_it_runs_where_it_is_collected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crop, "cores", lambda: 1)
    network = AnyThread()
    pending = submit_on_crops(cast(Network, network), pitted(96, 64), CROPS, 64, 64)
    assert network.ran_in == []
    assert pending.collect() is pending.collect()
    assert network.ran_in == [threading.current_thread().name]
    assert "shown" in submit_on_crops(Plain(), pitted(96, 64), CROPS, 64, 64).collect()
    assert "asked" in submit_on_crops(Drawing(), pitted(96, 64), CROPS, 64, 64).collect()


def test_an_error_beside_the_host_comes_out_where_it_is_collected() -> None:
    pending = submit(cast(Network, AnyThread()), np.zeros((1, 1, 8, 8), np.uint8))
    with pytest.raises(BackendError, match="all black"):
        pending.collect()

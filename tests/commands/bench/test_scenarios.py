"""What an image costs, stage by stage, and networks that are watched while they run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge.backends import crop
from edge.commands.bench.scenarios import IMAGES_A_QUERY, Bench, Watched, WatchedCroppingNetwork, with_backend
from tests.commands.bench.conftest import SAMPLES, settings


def test_stages_that_are_not_run_are_not_reported() -> None:
    with Bench(with_backend(settings(inspect={"stages": "segment"}, mqtt={"overlay": False}), "onnxruntime"), "float32") as one:
        timing, _ = one.inspect(SAMPLES[0])
    assert {name for name, value in timing.stages.items() if value is None} == {"h2d", "d2h", "crops", "classify", "overlay"}


def test_a_network_that_draws_its_own_input_stays_one_while_it_is_watched() -> None:
    class CroppingNetwork:
        name, precision, engine = "gpu", "float16", "engine"

        def run_on_crops(self, *_: Any) -> dict[str, Any]:
            return {"seen": True}

        def close(self) -> None: ...

    watched = WatchedCroppingNetwork(CroppingNetwork())  # type: ignore[arg-type]
    assert watched.run_on_crops(np.zeros((4, 4), np.uint8), [], 4, 4) == {"seen": True}
    assert watched.spent_ms > 0
    assert watched.engine == "engine"


class Still:
    """A network that gives back what it gets."""

    name, precision = "cpu", "float32"

    def run(self, image: Any) -> dict[str, Any]:
        return {"image": image}


def test_a_watched_network_notes_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    moments = iter([1.0, 1.25])
    monkeypatch.setattr("edge.commands.bench.scenarios.time.perf_counter", lambda: next(moments))

    inner: Any = Still()
    watched = Watched(inner)
    watched.run(np.zeros((1, 1, 4, 4), np.uint8))
    assert watched.spent_ms == 250.0
    assert watched.drawing_ms == 0


def test_a_network_that_tells_its_transfers_has_them_beside_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    moments = iter([1.0, 1.25, 2.0, 2.25])
    monkeypatch.setattr("edge.commands.bench.scenarios.time.perf_counter", lambda: next(moments))
    inner: Any = Still()
    inner.transfers_ms = (30.0, 20.0)
    watched = Watched(inner)
    watched.run(np.zeros((1, 1, 4, 4), np.uint8))
    watched.run(np.zeros((1, 1, 4, 4), np.uint8))
    assert watched.transfers_ms == (60.0, 40.0)
    assert watched.spent_ms == 400.0


def test_what_a_network_tells_of_the_bus_becomes_stages_of_their_own() -> None:
    with Bench(with_backend(settings(), "onnxruntime"), "float32") as one:
        one.inspect(SAMPLES[0])
        for networks in one._networks.values():
            networks[0]._network.transfers_ms = (0.5, 0.25)  # type: ignore[attr-defined]
        timing, _ = one.inspect(SAMPLES[0])
    assert (timing.stages["h2d"], timing.stages["d2h"]) == (1.0, 0.5)
    assert sum(value for value in timing.stages.values() if value is not None) == pytest.approx(timing.total)


def test_drawing_the_input_is_told_apart_from_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    moments = iter([1.0, 1.5, 2.0, 2.25])
    monkeypatch.setattr("edge.commands.bench.scenarios.time.perf_counter", lambda: next(moments))

    inner: Any = Still()
    watched = Watched(inner)
    seen = crop.run_on_crops(watched, np.full((8, 8), 7, np.uint8), [crop.Crop(0, 0, 8, 8, 4, 4)] * 3, 4, 6)
    assert seen["image"].shape == (3, 1, 4, 6)
    assert (watched.drawing_ms, watched.spent_ms) == (500.0, 250.0)


def test_an_error_in_the_decode_thread_is_raised_where_the_image_is_waited_for(tmp_path: Path) -> None:
    from edge.errors import ImageError

    with Bench(with_backend(settings(), "onnxruntime"), "float32") as one, pytest.raises(ImageError):
        one.run("multi-stream", [tmp_path / "gone.tif"], 0.01)


def test_a_query_of_multi_stream_has_eight_images() -> None:
    assert IMAGES_A_QUERY["multi-stream"] == 8

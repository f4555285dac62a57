"""Batches that are under way: launched apart from being collected, in any order, and nothing is overwritten too early."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from edge.backends.crop import Crop, SubmittingNetwork, canvases, submit_on_crops
from edge.errors import BackendError
from tests.backends.tensorrt.toy_engine import agrees, images, installed, opened, read_only
from tests.conftest import pitted
from tests.fakes.gpu import Machine


@pytest.fixture(params=[False, True], ids=["own memory", "integrated"])
def either(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Machine]:
    """A GPU with memory of its own, and one that works on the machine's."""
    gpu = installed(monkeypatch, Machine(integrated=request.param))
    yield gpu
    assert gpu.is_empty


WHOLE = [Crop(0, 0, 300, 200, 64, 43)]


def test_nothing_is_waited_for_between_launch_and_collect(either: Machine, kernels: Path) -> None:
    greys = [read_only(pitted(300, 200, seed)) for seed in range(2)]
    with opened(either, kernels=kernels) as engine:
        for grey in greys:
            engine.run_on_crops(grey, WHOLE, 64, 64)
        either.events.clear()
        runs = [engine.submit_on_crops(grey, WHOLE, 64, 64) for grey in reversed(greys)]
        assert either.done < len(either.queue), "the GPU worked before somebody waited"
        assert "synchronize" not in either.events
        for run, grey in zip(runs, reversed(greys), strict=True):
            assert agrees(run.collect(), canvases(grey, WHOLE, 64, 64))


def test_collecting_one_run_does_not_wait_for_the_next(either: Machine) -> None:
    with opened(either) as engine:
        first, second = engine.submit(images(2)), engine.submit(images(2, seed=1))
        first.collect()
        assert either.done < len(either.queue)
        assert agrees(second.collect(), images(2, seed=1))


def test_runs_may_be_collected_in_any_order_and_more_than_once(either: Machine) -> None:
    with opened(either) as engine:
        for _ in range(4):  # plainly, then as graphs
            runs = [engine.submit(images(1 + seed, seed=seed)) for seed in range(7)]
            for seed in (3, 0, 6, 1, 5, 2, 4, 3):
                assert agrees(runs[seed].collect(), images(1 + seed, seed=seed))


def test_two_networks_have_runs_under_way_side_by_side(either: Machine, kernels: Path) -> None:
    with opened(either, kernels=kernels) as one, opened(either, kernels=kernels) as other:
        for seed in range(5):
            grey = read_only(pitted(300, 200, seed))
            small = [Crop(10, 10, 32, 32, 32, 32)] * 3
            first, second = one.submit_on_crops(grey, WHOLE, 64, 64), other.submit_on_crops(grey, small, 32, 32)
            assert agrees(first.collect(), canvases(grey, WHOLE, 64, 64))
            assert agrees(second.collect(), canvases(grey, small, 32, 32))


def test_images_that_follow_each_other_quickly_are_each_seen_as_they_were(either: Machine, kernels: Path) -> None:
    with opened(either, kernels=kernels) as engine:
        pending = []
        for value in range(30):
            grey = np.full((64, 64), value, np.uint8)
            pending.append(engine.submit_on_crops(grey, [Crop(0, 0, 64, 64, 64, 64)], 64, 64))
            grey[...] = 255  # the caller may write to it as soon as it was submitted
        assert [run.collect()["mean"][0, 0] for run in pending] == list(range(30))


def test_an_image_stays_until_it_was_drawn_whatever_another_network_is_shown(either: Machine, kernels: Path) -> None:
    greys = [read_only(np.full((64, 64), 50 * number, np.uint8)) for number in range(5)]
    crop = [Crop(0, 0, 64, 64, 64, 64)]
    with opened(either, kernels=kernels) as one, opened(either, kernels=kernels) as other:
        for _ in range(3):
            runs = [(one, other)[number % 2].submit_on_crops(grey, crop, 64, 64) for number, grey in enumerate(greys[:4])]
            runs.append(one.submit_on_crops(greys[4], crop, 64, 64))
            assert [run.collect()["mean"][0, 0] for run in runs] == [0, 50, 100, 150, 200]


def test_a_run_of_many_batches_shows_its_image_once_though_others_run_in_between(either: Machine, kernels: Path) -> None:
    grey, other = read_only(pitted(300, 200)), read_only(pitted(300, 200, 5))
    crops = [Crop(x, 50, 64, 64, 64, 64) for x in range(0, 230, 20)]
    with opened(either, kernels=kernels) as engine:
        many, alone = engine.submit_on_crops(grey, crops, 64, 64), engine.submit_on_crops(other, WHOLE, 64, 64)
        assert agrees(many.collect(), canvases(grey, crops, 64, 64))
        assert agrees(alone.collect(), canvases(other, WHOLE, 64, 64))


def test_on_an_integrated_gpu_nothing_is_copied(monkeypatch: pytest.MonkeyPatch, kernels: Path) -> None:
    gpu = installed(monkeypatch, Machine(integrated=True))
    grey = read_only(pitted(300, 200))
    with opened(gpu, kernels=kernels) as engine:
        for _ in range(3):
            assert agrees(engine.run_on_crops(grey, WHOLE, 64, 64), canvases(grey, WHOLE, 64, 64))
            assert agrees(engine.run(images(2)), images(2))
        assert gpu.uploaded == gpu.downloaded == 0
        assert not {"htod", "dtoh"} & {*gpu.events}
        assert gpu.bytes_held == engine.memory["scratch"]
    assert gpu.is_empty


def test_a_whole_batch_is_one_graph_from_its_crops_to_its_answer(gpu: Machine, kernels: Path) -> None:
    with opened(gpu, kernels=kernels) as engine:
        for seed in range(3):
            engine.run_on_crops(read_only(pitted(300, 200, seed)), WHOLE, 64, 64)
        gpu.events.clear()
        grey = read_only(pitted(301, 201, 9))  # another size, through the same graph
        assert agrees(engine.run_on_crops(grey, WHOLE, 64, 64), canvases(grey, WHOLE, 64, 64))
        assert gpu.events == ["event synchronize", "htod", "launch", "event synchronize"]


def test_a_run_that_was_not_collected_before_the_engine_closed_says_so(either: Machine) -> None:
    engine = opened(either)
    engine.run(images(1))
    run, done = engine.submit(images(9)), engine.submit(images(1))
    done.collect()
    engine.close()
    assert either.is_empty
    with pytest.raises(BackendError, match="closed before"):
        run.collect()
    assert agrees(done.collect(), images(1))


def test_a_launch_that_fails_leaves_the_slot_usable(either: Machine) -> None:
    with opened(either) as engine:
        engine.run(images(1))
        either.fail["enqueue while captured"] = either.fail["enqueue"] = False
        with pytest.raises(BackendError, match="cannot run"):
            engine.run(images(2))
        either.fail.clear()
        assert agrees(engine.run(images(2)), images(2))


def test_a_network_that_cannot_be_launched_apart_runs_when_it_is_collected(gpu: Machine) -> None:
    class Plain:
        asked = 0

        def run(self, image: np.ndarray) -> dict[str, np.ndarray]:  # type: ignore[type-arg]
            self.asked += 1
            return {"shown": image}

    network, grey = Plain(), pitted(300, 200)
    pending = submit_on_crops(network, grey, WHOLE, 64, 64)  # type: ignore[arg-type]
    assert network.asked == 0
    for _ in range(2):
        assert np.array_equal(pending.collect()["shown"], canvases(grey, WHOLE, 64, 64))
    assert network.asked == 1
    with opened(gpu) as engine:
        assert isinstance(engine, SubmittingNetwork)

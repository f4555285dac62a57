"""Every row of the table through the same cases: the same pixels give the same numbers, whichever library runs them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from edge.backends import table
from edge.backends.network import Network, cores, side_by_side
from edge.backends.server import Remote, ServerSettings
from edge.errors import BackendError
from edge.models.card import BUILTIN_FOLDER
from tests.conftest import pitted

SEGMENTER = BUILTIN_FOLDER / "segmenter.onnx"
CLASSIFIER = BUILTIN_FOLDER / "classifier.onnx"


@pytest.fixture(params=sorted(table.BACKENDS))
def backend(request: pytest.FixtureRequest) -> str:
    name = str(request.param)
    if name not in table.installed():
        pytest.skip(f"{name} is not installed")
    if table.BACKENDS[name].artefact == "engine":
        pytest.skip(f"{name} runs engines in {table.BACKENDS[name].precisions[0]}: tests/gpu")
    return name


@pytest.fixture(scope="module")
def server() -> Iterator[Remote | None]:
    """Who runs the models for a backend that is far away."""
    if not table.BACKENDS["kserve"].is_installed:
        yield None
        return
    from tests.fakes.v2_server import V2Server

    with V2Server(SEGMENTER, CLASSIFIER) as running:
        yield Remote(ServerSettings(url=running.url, timeout_s=300.0, away="wait"))


@pytest.fixture
def segmenter(backend: str, server: Remote | None) -> Iterator[Network]:
    with table.open_network(backend, SEGMENTER, remote=server) as network:
        yield network


@pytest.fixture
def classifier(backend: str, server: Remote | None) -> Iterator[Network]:
    with table.open_network(backend, CLASSIFIER, remote=server) as network:
        yield network


@pytest.mark.parametrize(("count", "height", "width"), [(1, 480, 640), (2, 320, 320), (3, 32, 64), (1, 640, 640)])
def test_the_segmenter_gives_the_contracts_arrays(segmenter: Network, count: int, height: int, width: int) -> None:
    outputs = segmenter.run(
        np.stack(
            [pitted(width, height, seed, 3) if height > 64 else np.zeros((height, width), np.uint8) for seed in range(count)]
        )[:, None]
    )
    k = outputs["scores"].shape[1]
    assert outputs["boxes"].shape == (count, k, 4)
    assert outputs["classes"].shape == (count, k)
    assert np.issubdtype(outputs["classes"].dtype, np.integer)
    assert outputs["coefficients"].shape == (count, k, 32)
    assert outputs["prototypes"].shape == (count, 32, height // 4, width // 4)
    assert all(outputs[name].dtype == np.float32 for name in ("boxes", "scores", "coefficients", "prototypes"))
    assert np.all(np.diff(outputs["scores"], axis=1) <= 1e-6)


def test_the_class_map_averages_to_the_logits_up_to_a_constant_bias(classifier: Network) -> None:
    images = np.stack([pitted(224, 224, seed) for seed in range(3)])[:, None]
    outputs = classifier.run(images)
    bias = outputs["logits"] - outputs["cam"].mean(axis=(2, 3))
    assert np.allclose(bias, bias[0], atol=1e-3)


def test_an_image_gives_the_same_numbers_alone_and_in_a_batch(segmenter: Network) -> None:
    images = np.stack([pitted(320, 320, seed) for seed in range(3)])[:, None]
    together, alone = segmenter.run(images), segmenter.run(images[1:2])
    assert np.allclose(together["scores"][1, :50], alone["scores"][0, :50], atol=1e-4)
    assert np.allclose(together["prototypes"][1], alone["prototypes"][0], atol=1e-3)


@pytest.mark.parametrize(("count", "at_once", "many"), [(0, 4, 0), (1, 4, 0), (2, 4, 0), (3, 4, 3), (4, 4, 4), (33, 4, 32)])
def test_a_last_round_that_is_half_empty_is_left_to_all_cores(count: int, at_once: int, many: int) -> None:
    assert side_by_side(count, at_once) == many


@pytest.mark.parametrize(("told", "threads"), [("1", 1), ("0", 1)])
def test_who_hands_out_cores_among_processes_is_heard(told: str, threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", told)
    assert cores() == threads
    monkeypatch.delenv("OMP_NUM_THREADS")
    unlimited = cores()
    for nothing in ("4096", "", "several"):
        monkeypatch.setenv("OMP_NUM_THREADS", nothing)
        assert cores() == unlimited


@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_each_of_many_crops_gets_its_own_numbers(classifier: Network, count: int) -> None:
    """They run side by side, and the last run may not be full."""
    images = np.stack([pitted(224, 224, seed, pits=4 * seed) for seed in range(count)])[:, None]
    together = classifier.run(images)
    for number in range(count):
        alone = classifier.run(images[number : number + 1])
        for name, values in alone.items():
            assert together[name].shape == (count, *values.shape[1:])
            assert np.allclose(together[name][number], values[0], atol=1e-3)


def test_a_network_says_what_runs(backend: str, classifier: Network) -> None:
    assert (classifier.name, classifier.precision) == (backend, "float32")


def test_outputs_stay_when_the_next_image_runs(classifier: Network) -> None:
    first = classifier.run(pitted(224, 224, 1)[None, None])
    kept = first["logits"].copy()
    classifier.run(pitted(224, 224, 2, pits=40)[None, None])
    assert np.array_equal(first["logits"], kept)


def test_all_backends_agree_in_float32(server: Remote | None) -> None:
    names = table.installed("float32")
    if len(names) < 2:
        pytest.skip("only one backend is installed")
    fields = np.stack([pitted(224, 224, seed) for seed in range(4)])[:, None]
    whole = pitted(640, 480)[None, None]
    seen = []
    for name in names:
        with (
            table.open_network(name, CLASSIFIER, remote=server) as classifier,
            table.open_network(name, SEGMENTER, remote=server) as segmenter,
        ):
            seen.append((classifier.run(fields)["logits"], segmenter.run(whole)))
    (logits, first), *others = seen
    for other_logits, second in others:
        assert np.allclose(logits, other_logits, atol=2e-3)
        assert np.allclose(first["scores"], second["scores"], atol=1e-3)
        assert np.allclose(first["prototypes"], second["prototypes"], atol=5e-3)


def test_a_wrong_input_is_a_backend_error(segmenter: Network) -> None:
    with pytest.raises(BackendError):
        segmenter.run(np.zeros((1, 3, 64, 64), np.uint8))


def test_a_file_that_is_no_model_is_a_backend_error(backend: str, tmp_path: Path) -> None:
    if table.BACKENDS[backend].remote:
        return  # loads none: it asks for the file's hash
    path = tmp_path / "broken.onnx"
    path.write_bytes(b"no model")
    with pytest.raises(BackendError, match=r"broken\.onnx"):
        table.open_network(backend, path)


def test_a_precision_that_a_backend_has_not_is_refused(backend: str) -> None:
    with pytest.raises(BackendError, match="int3"):
        table.open_network(backend, CLASSIFIER, "int3")

"""What was compiled is taken again while nothing changed, and is never believed when it is damaged."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edge.backends import compiled, table
from edge.backends.compiled import remember, remembered, this_processor
from edge.models.card import BUILTIN_FOLDER

KEY = ["model", "library 1", "processor"]


def test_what_was_remembered_comes_back_for_the_same_key_alone(tmp_path: Path) -> None:
    remember(tmp_path, "one", KEY, b"code\nwith a line")
    assert remembered(tmp_path, "one", KEY) == b"code\nwith a line"
    for other in (["another model", *KEY[1:]], [KEY[0], "library 2", KEY[2]], [*KEY[:2], "another processor"]):
        assert remembered(tmp_path, "one", other) is None
    assert remembered(tmp_path, "none", KEY) is None


@pytest.mark.parametrize(
    "damage", [lambda data: data[:-3], lambda data: data[:70] + b"?" + data[71:], lambda _: b"", lambda _: b"x" * 99]
)
def test_what_is_damaged_is_none(tmp_path: Path, damage: object) -> None:
    remember(tmp_path, "one", KEY, b"code" * 50)
    path = tmp_path / "one"
    path.write_bytes(damage(path.read_bytes()))  # type: ignore[operator]
    assert remembered(tmp_path, "one", KEY) is None


def test_only_its_user_may_read_it(tmp_path: Path) -> None:
    remember(tmp_path, "one", KEY, b"code")
    assert (tmp_path / "one").stat().st_mode & 0o777 == 0o600


def test_a_folder_that_cannot_be_written_costs_nothing(tmp_path: Path) -> None:
    remember(tmp_path / "gone", "one", KEY, b"code")
    assert remembered(tmp_path / "gone", "one", KEY) is None


def test_a_disk_with_little_room_keeps_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiled, "LEAST_FREE", 1 << 62)
    remember(tmp_path, "one", KEY, b"code")
    assert not list(tmp_path.iterdir())


def test_another_processor_is_another_key(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("model name : A\nflags : avx2\ncpu MHz : 1000\n\nprocessor : 1\n")
    (tmp_path / "b").write_text("model name : A\nflags : avx2\ncpu MHz : 2000\n\nprocessor : 1\n")
    (tmp_path / "c").write_text("model name : A\nflags : avx2 avx512\ncpu MHz : 1000\n")
    first, same, other = (this_processor(tmp_path / name) for name in "abc")
    assert first == same != other
    assert this_processor(tmp_path / "none")


@pytest.fixture
def openvino() -> table.Backend:
    if not table.BACKENDS["openvino"].is_installed:
        pytest.skip("openvino is not installed")
    return table.BACKENDS["openvino"]


@pytest.mark.parametrize("name", ["segmenter", "classifier"])
def test_a_network_from_memory_says_what_it_said(openvino: table.Backend, tmp_path: Path, name: str) -> None:
    model, image = BUILTIN_FOLDER / f"{name}.onnx", np.random.default_rng(0).integers(0, 255, (3, 1, 224, 224), dtype=np.uint8)
    said = []
    for memory in (None, tmp_path, tmp_path):
        with openvino.open(model, "float32", memory) as network:
            said.append((network.precision, network.run(image)))
    assert len(list(tmp_path.iterdir())) == 1
    for precision, outputs in said[1:]:
        assert precision == said[0][0] == "float32"
        for output, values in said[0][1].items():
            np.testing.assert_array_equal(outputs[output], values)


def test_a_damaged_memory_is_compiled_anew_and_replaced(
    openvino: table.Backend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, image = BUILTIN_FOLDER / "classifier.onnx", np.zeros((1, 1, 224, 224), np.uint8)
    openvino.open(model, "float32", tmp_path).close()
    (kept,) = tmp_path.iterdir()
    good = kept.read_bytes()
    kept.write_bytes(good[: len(good) // 2])
    with openvino.open(model, "float32", tmp_path) as network:
        assert network.run(image)["logits"].shape == (1, 3)
    assert len(kept.read_bytes()) == pytest.approx(len(good), rel=0.01)
    # right by its hash, and yet nothing that the library takes
    monkeypatch.setattr("edge.backends.openvino_model.remembered", lambda *_: b"no compiled network")
    with openvino.open(model, "float32", tmp_path) as network:
        assert network.run(image)["logits"].shape == (1, 3)


def test_another_version_of_the_library_compiles_anew(
    openvino: table.Backend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = BUILTIN_FOLDER / "classifier.onnx"
    openvino.open(model, "float32", tmp_path).close()
    found = []
    monkeypatch.setattr("edge.backends.openvino_model.remembered", lambda *about: found.append(remembered(*about)))
    monkeypatch.setattr("openvino.__version__", "1.0")
    openvino.open(model, "float32", tmp_path).close()
    assert found == [None]
    assert compiled.remembered(tmp_path, "compiled-classifier-f32.openvino", []) is None

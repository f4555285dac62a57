"""What TensorRT for RTX compiled is kept from start to start, and whatever does not fit is refused and made anew."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edge.backends.tensorrt.passport import Gpu, Library
from edge.backends.tensorrt.runtime_cache import SUFFIX, RuntimeCache
from tests.backends.tensorrt.toy_engine import agrees, images, installed, opened
from tests.fakes.gpu import Machine

LIBRARY = Library(name="tensorrt_rtx", version="1.7.1.116")
CARD = Gpu(name="NVIDIA RTX 4090", compute_capability="8.9", multiprocessors=128, memory_mib=24080, uuid="GPU-a")
ENGINE = hashlib.sha256(b"engine").hexdigest()


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> Machine:
    return installed(monkeypatch, Machine(library="tensorrt_rtx"))


def cache(folder: Path, *more: Path, **changes: Any) -> RuntimeCache:
    facts: dict[str, Any] = {"engine_sha256": ENGINE, "library": LIBRARY, "gpu": CARD, **changes}
    return RuntimeCache(folder / "a.engine", (folder, *more), **facts)


def run(gpu: Machine, kept: RuntimeCache | None, *sides: int) -> list[str]:
    """What was called while an engine ran images of these sides; everything is freed afterwards."""
    gpu.events.clear()
    with opened(gpu, cache=kept) as engine:
        for side in sides or (64,):
            assert agrees(engine.run(images(2, side, side)), images(2, side, side))
            engine.run(images(2, side, side))
    assert gpu.is_empty
    return gpu.events


def test_what_was_compiled_is_there_at_the_next_start(gpu: Machine, tmp_path: Path) -> None:
    assert "deserialize cache" not in run(gpu, cache(tmp_path))
    stored = tmp_path / f"a.engine{SUFFIX}"
    line, blob = stored.read_bytes().split(b"\n", 1)
    label = json.loads(line)
    assert label["sha256"] == hashlib.sha256(blob).hexdigest()
    assert (label["engine_sha256"], label["gpu"]["uuid"]) == (ENGINE, "GPU-a")
    assert stored.stat().st_mode & 0o777 == 0o644
    assert "deserialize cache" in run(gpu, cache(tmp_path))


def test_it_is_stored_when_a_shape_has_run_first_and_written_only_when_it_grew(gpu: Machine, tmp_path: Path) -> None:
    kept = cache(tmp_path)
    assert run(gpu, kept, 64, 32).count("serialize") == 2
    before = (tmp_path / f"a.engine{SUFFIX}").stat().st_mtime_ns
    again = cache(tmp_path)
    again._cache = type("Same", (), {"serialize": lambda _: b"compiled: 1"})()
    again._stored = hashlib.sha256(b"compiled: 1").hexdigest()
    again.keep()
    assert (tmp_path / f"a.engine{SUFFIX}").stat().st_mtime_ns == before


def test_tensorrt_itself_keeps_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    gpu = installed(monkeypatch, Machine())
    run(gpu, cache(tmp_path))
    assert not list(tmp_path.iterdir())


def damaged(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1] + b"!")


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:20])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def open_to_all(path: Path) -> None:
    path.chmod(0o666)


@pytest.mark.parametrize(
    ("spoil", "changes", "reason"),
    [
        (damaged, {}, "hashes differ"),
        (cut, {}, "first line is damaged"),
        (empty, {}, "first line is damaged"),
        (open_to_all, {}, "anyone may write"),
        (None, {"engine_sha256": "0" * 64}, "another engine"),
        (None, {"library": Library(name="tensorrt_rtx", version="1.8")}, "another TensorRT"),
        (None, {"gpu": CARD.model_copy(update={"uuid": "GPU-b"})}, "UUID: GPU-a, here GPU-b"),
        (None, {"gpu": CARD.model_copy(update={"name": "NVIDIA RTX 5090"})}, "another GPU"),
    ],
)
def test_what_is_damaged_or_of_elsewhere_is_refused_and_made_anew(
    gpu: Machine,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    spoil: Callable[[Path], None] | None,
    changes: dict[str, Any],
    reason: str,
) -> None:
    run(gpu, cache(tmp_path))
    stored = tmp_path / f"a.engine{SUFFIX}"
    if spoil:
        spoil(stored)
    with caplog.at_level(logging.WARNING):
        assert "deserialize cache" not in run(gpu, cache(tmp_path, **changes))
    assert reason in caplog.text
    assert "deserialize cache" in run(gpu, cache(tmp_path, **changes))


def test_what_tensorrt_itself_refuses_is_made_anew(gpu: Machine, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    run(gpu, cache(tmp_path))
    gpu.fail["deserialize cache"] = True
    with caplog.at_level(logging.WARNING):
        run(gpu, cache(tmp_path), 64, 32)
    assert "another driver" in caplog.text


def test_it_goes_to_the_next_folder_where_the_first_cannot_be_written(
    gpu: Machine, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("no folder")
    there = tmp_path / "cache" / "engines"
    run(gpu, cache(tmp_path / "file", there))
    assert (there / f"a.engine{SUFFIX}").exists()
    assert "deserialize cache" in run(gpu, cache(tmp_path / "file", there))
    with caplog.at_level(logging.WARNING):
        run(gpu, cache(tmp_path / "file"))
    assert "cannot be kept" in caplog.text


def test_the_names_are_those_of_the_real_library() -> None:
    trt = pytest.importorskip("tensorrt_rtx")
    assert {"create_runtime_cache", "set_runtime_cache"} <= set(dir(trt.IRuntimeConfig))
    assert {"serialize", "deserialize"} <= set(dir(trt.IRuntimeCache))

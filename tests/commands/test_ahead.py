"""Reading files ahead: in order, at most a few, and what goes wrong belongs to its file."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge import sem
from edge.commands import ahead
from edge.config import InspectionSettings
from edge.errors import ImageError
from tests.sem.making import encoded, specimen

SETTINGS = InspectionSettings()


@pytest.fixture(params=[1, 4])
def cores(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(ahead, "cores", lambda: request.param)
    return int(request.param)


def files(folder: Path, count: int) -> list[tuple[Path, str]]:
    for number in range(count):
        (folder / f"{number}.png").write_bytes(encoded(specimen(40 + number, 60), ".png"))
    return [(folder / f"{number}.png", f"called/{number}.png") for number in range(count)]


def readers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "read-ahead"]


def heights(images: list[ahead.Image]) -> list[int | str]:
    return [str(image.pages) if isinstance(image.pages, Exception) else image.pages[0].height_px for image in images]


def test_files_come_in_order_with_what_they_are_called(tmp_path: Path, cores: int) -> None:
    images = list(ahead.read_ahead(files(tmp_path, 6), SETTINGS))
    assert heights(images) == [40, 41, 42, 43, 44, 45]
    assert [image.source.path for image in images] == [f"called/{number}.png" for number in range(6)]
    assert all(image.source.sha256 and image.spent.decode for image in images)
    assert not readers()


def test_a_broken_file_or_a_defect_is_its_own(tmp_path: Path, cores: int, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = files(tmp_path, 4)
    wanted[1][0].write_bytes(b"no image")
    wanted.insert(2, (tmp_path / "away.png", "away.png"))
    real = sem.read

    def defect(data: bytes, name: str, *rest: Any) -> Any:
        if name == "2.png":
            raise ZeroDivisionError("a defect")
        return real(data, name, *rest)

    monkeypatch.setattr(sem, "read", defect)
    images = list(ahead.read_ahead(wanted, SETTINGS))
    kinds = (tuple, ImageError, ImageError, ZeroDivisionError, tuple)
    assert all(isinstance(image.pages, kind) for image, kind in zip(images, kinds, strict=True))
    assert images[1].source.sha256 is not None
    assert images[2].source.sha256 is None


def test_no_more_than_a_few_are_read_ahead(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ahead, "cores", lambda: 2)
    begun: list[str] = []
    taken = 0
    real = ahead.read

    def watched(path: Path, called: str, settings: InspectionSettings) -> ahead.Image:
        assert len(begun) - taken <= ahead.AHEAD + 1  # of those taken, one may still be counted by us as not
        begun.append(called)
        return real(path, called, settings)

    monkeypatch.setattr(ahead, "read", watched)
    for _ in ahead.read_ahead(files(tmp_path, 9), SETTINGS):
        taken += 1
    assert len(begun) == 9


def test_beside_a_large_one_nothing_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ahead, "cores", lambda: 2)
    monkeypatch.setattr(ahead, "MOST_BYTES", 1)
    begun: list[str] = []
    real = ahead.read

    def watched(path: Path, called: str, settings: InspectionSettings) -> ahead.Image:
        begun.append(called)
        return real(path, called, settings)

    monkeypatch.setattr(ahead, "read", watched)
    for number, _ in enumerate(ahead.read_ahead(files(tmp_path, 4), SETTINGS)):
        assert len(begun) == number + 1


def test_what_had_no_room_beside_others_is_read_again_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ahead, "cores", lambda: 2)
    real = sem.read

    def full(data: bytes, name: str, *rest: Any) -> Any:
        if name == "1.png" and threading.current_thread().name == "read-ahead":
            raise ImageError("too_large", "others are in memory")
        return real(data, name, *rest)

    monkeypatch.setattr(sem, "read", full)
    assert heights(list(ahead.read_ahead(files(tmp_path, 4), SETTINGS))) == [40, 41, 42, 43]


def test_what_is_too_large_alone_is_refused(tmp_path: Path, cores: int) -> None:
    wanted = files(tmp_path, 3)
    wanted[1][0].write_bytes(encoded(np.zeros((300, 300), np.uint8), ".png"))
    settings = InspectionSettings.model_validate({"inspect": {"max_megapixels": 0.05}})
    images = list(ahead.read_ahead(wanted, settings))
    assert [image.refused_as_large for image in images] == [False, True, False]


def test_an_end_in_the_middle_ends_the_thread(tmp_path: Path, cores: int) -> None:
    images = ahead.read_ahead(files(tmp_path, 8), SETTINGS)
    next(images)
    images.close()
    assert not readers()

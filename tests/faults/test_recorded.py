"""A disk whose writes are recorded, and what a power cut leaves of them."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.faults import disks
from tests.faults.breaking import Unavailable
from tests.faults.recorded import SECTOR, Written, cut

FIRST, SECOND, THIRD = (letter * 2 * SECTOR for letter in (b"1", b"2", b"3"))
LOG: list[Written] = [(0, FIRST), None, (0, SECOND), (4 * SECTOR, THIRD)]


@pytest.fixture
def image(tmp_path: Path) -> Path:
    file = tmp_path / "image"
    file.write_bytes(bytes(8 * SECTOR))
    return file


def test_what_was_flushed_is_on_the_disk_and_of_the_rest_what_chance_keeps(image: Path) -> None:
    assert cut(image, LOG, random.Random(1), kept=0.0) == 4
    assert image.read_bytes() == FIRST + bytes(6 * SECTOR)
    assert cut(image, LOG, random.Random(1), kept=1.0) == 0
    assert image.read_bytes() == SECOND + bytes(2 * SECTOR) + THIRD + bytes(2 * SECTOR)


def test_sectors_are_lost_one_by_one_and_in_any_order(image: Path) -> None:
    seen = set()
    for seed in range(200):
        image.write_bytes(bytes(8 * SECTOR))
        cut(image, LOG, random.Random(seed), kept=0.5)
        data = image.read_bytes()
        seen.add(bytes(data[number * SECTOR] for number in (0, 1, 4, 5)))
    assert len(seen) == 16


def test_a_synced_file_is_before_a_flush_in_the_record(tmp_path: Path) -> None:
    try:
        mounts = disks.Mounts()
        first = disks.empty("ext4", tmp_path / "first")
        before = disks.copied(first, tmp_path / "before")
        said: list[int] = []
        disk = mounts.recorded(first, tmp_path / "recorded", lambda: said.append(1))
    except Unavailable as absent:
        pytest.skip(str(absent))
    folder = mounts.mount(disk.file, tmp_path / "at-work")
    began = len(disk.log)
    mounts.run("sh", "-c", f"echo whole > {folder}/file && sync {folder}/file {folder}")
    log = disk.log[:]
    mounts.unmount(folder)
    assert None in log[began:]
    assert len(said) >= len(log)
    cut(before, log, random.Random(1), kept=0.0)
    assert mounts.within(lambda: (mounts.mount(before, tmp_path / "after") / "file").read_text()) == "whole\n"
    mounts.unmount(tmp_path / "after")
    disk.close()
    disk.close()
    mounts.close()

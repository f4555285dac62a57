"""A table on a real small disk: full, locked, unmounted and back, while verdicts keep coming."""

from __future__ import annotations

import csv
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from edge.config import Settings
from edge.journal import Journal
from edge.sinks.csv_folder import CsvFolder
from edge.sinks.delivery import Delivery
from tests.fakes.brokers import eventually
from tests.sinks.making import conclude


def mounted(*arguments: str) -> bool:
    return subprocess.run(["mount", *arguments], capture_output=True, check=False).returncode == 0


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    place = tmp_path / "historian"
    place.mkdir()
    if os.geteuid() != 0 or not mounted("-t", "tmpfs", "-o", "size=32k", "tmpfs", str(place)):
        pytest.skip("a small disk can only be mounted as root")
    yield place
    while subprocess.run(["umount", str(place)], capture_output=True, check=False).returncode == 0:
        pass


def ids(folder: Path) -> list[str]:
    found = []
    for path in sorted(folder.glob("*.csv")):
        with path.open(encoding="utf-8", newline="") as stream:
            found += [row["inspection_id"] for row in csv.DictReader(stream, strict=True)]
    return found


def test_rows_wait_for_room_for_the_lock_and_for_the_mount_and_come_once(
    journal: Journal, configured: Callable[..., Settings], disk: Path
) -> None:
    sink, told = CsvFolder(configured(csv={"folder": str(disk), "must_be_mount": True})), list[str | None]()
    delivery = Delivery(sink, journal.outbox, on_trouble=told.append, shortest_wait_s=0.01, longest_wait_s=0.05)
    delivery.start()
    made = [conclude(journal, sink, f"{number}.tif") for number in range(120)]
    delivery.wake()
    eventually(lambda: told and "No space left" in (told[-1] or ""), 60)
    assert made[: len(ids(disk))] == ids(disk)
    assert mounted("-o", "remount,size=4m", str(disk))
    eventually(lambda: ids(disk) == made, 60)
    (path,) = disk.glob("*.csv")
    assert mounted("--bind", str(path), str(path)), "what is mounted cannot be replaced"
    made.append(conclude(journal, sink, "locked.tif"))
    delivery.wake()
    eventually(lambda: "open in another program" in (told[-1] or ""), 60)
    subprocess.run(["umount", str(path)], check=True)
    eventually(lambda: ids(disk) == made, 60)
    eventually(lambda: told[-1] is None, 60)
    subprocess.run(["umount", str(disk)], check=True)
    last = conclude(journal, sink, "away.tif")
    delivery.wake()
    eventually(lambda: "nothing is mounted" in (told[-1] or ""), 60)
    assert list(disk.iterdir()) == []
    assert mounted("-t", "tmpfs", "tmpfs", str(disk))
    eventually(lambda: ids(disk) == [last], 60)
    eventually(lambda: told[-1] is None, 60)
    assert delivery.stop(20)

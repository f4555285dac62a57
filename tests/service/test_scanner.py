"""The folder in, finished files in the ledger out."""

from __future__ import annotations

import hashlib
import time
from pathlib import Path

import pytest

from edge.config import Settings
from edge.folder.scan import Sighting
from edge.journal import Journal
from edge.service.scanner import Scanner
from edge.service.shared import Shared
from tests.fakes.brokers import Listener, Mosquitto, eventually
from tests.sem.making import fei, jeol, specimen, tiff
from tests.service.running_daemon import (
    PREFIX,
    Service,
    by_name,
    png,
    statuses,
    verdicts,
    wait_until_online,
)


def test_a_file_that_is_written_slowly_is_inspected_once_and_whole(tmp_path: Path, broker: Mosquitto) -> None:
    data = tiff(specimen())
    with (
        Listener(broker.port, f"{PREFIX}/#") as dashboard,
        Service(tmp_path, broker.port, watch={"incomplete_s": 30.0}) as service,
    ):
        wait_until_online(dashboard)
        with (service.folder / "slow.tif").open("wb") as stream:
            for start in range(0, len(data), 40_000):
                stream.write(data[start : start + 40_000])
                stream.flush()
                time.sleep(0.4)  # longer than settle_s: the structure alone tells that it is not whole
        eventually(lambda: verdicts(dashboard), 60)
        service.put("after.png", png(1))
        eventually(lambda: len(verdicts(dashboard)) == 2, 60)
        (slow,) = [verdict for verdict in verdicts(dashboard) if verdict["image"]["name"] == "slow.tif"]
        assert slow["schema"] == "edge.inspection/1"
        assert slow["image"]["sha256"] == hashlib.sha256(data).hexdigest()


def test_a_changed_file_is_a_new_revision(tmp_path: Path, broker: Mosquitto) -> None:
    with Listener(broker.port, f"{PREFIX}/#") as dashboard, Service(tmp_path, broker.port) as service:
        service.put("a.png", png(1))
        eventually(lambda: len(verdicts(dashboard)) == 1, 60)
        service.put("a.png", png(2))
        eventually(lambda: len(verdicts(dashboard)) == 2, 60)
        assert [verdict["image"]["revision"] for verdict in verdicts(dashboard)] == [1, 2]


def test_two_files_with_equal_bytes_are_two_inspections(tmp_path: Path, broker: Mosquitto) -> None:
    with Listener(broker.port, f"{PREFIX}/#") as dashboard, Service(tmp_path, broker.port) as service:
        service.put("a.png", png(1))
        service.put("b.png", png(1))
        eventually(lambda: by_name(dashboard).keys() == {"a.png", "b.png"}, 60)


def test_a_late_sidecar_gives_the_image_its_scale_as_a_new_revision(tmp_path: Path, broker: Mosquitto) -> None:
    with Listener(broker.port, f"{PREFIX}/#") as dashboard, Service(tmp_path, broker.port) as service:
        service.put("j.tif", tiff(specimen(960, 1280)))
        eventually(lambda: len(verdicts(dashboard)) == 1, 60)
        service.put("j.txt", jeol(CM_FULL_SIZE="1280 960"))
        eventually(lambda: len(verdicts(dashboard)) == 2, 60)
        first, second = verdicts(dashboard)
        assert first["image"]["pixel_size_nm"] is None
        assert first["corrosion"]["area_um2"] is None
        assert second["image"]["pixel_size_source"] == "sidecar"
        assert second["image"]["revision"] == 2


def test_a_sidecar_that_comes_in_time_is_waited_for(tmp_path: Path, broker: Mosquitto) -> None:
    with (
        Listener(broker.port, f"{PREFIX}/#") as dashboard,
        Service(tmp_path, broker.port, watch={"sidecar_wait_s": 20.0}) as service,
    ):
        wait_until_online(dashboard)
        service.put("j.tif", tiff(specimen(960, 1280)))
        service.put("f.tif", tiff(specimen(), {34682: fei()}))
        eventually(lambda: "f.tif" in by_name(dashboard), 60)
        service.put("j.txt", jeol(CM_FULL_SIZE="1280 960"))
        eventually(lambda: "j.tif" in by_name(dashboard), 60)
        assert by_name(dashboard)["j.tif"]["image"]["pixel_size_source"] == "sidecar"
        assert by_name(dashboard)["j.tif"]["image"]["revision"] == 1


def test_existing_files_can_be_left_alone(tmp_path: Path, broker: Mosquitto) -> None:
    service = Service(tmp_path, broker.port, watch={"existing": "ignore"})
    service.put("old.png", png(1))
    with Listener(broker.port, f"{PREFIX}/#") as dashboard, service:
        wait_until_online(dashboard)
        eventually(lambda: "are ignored" in service.log_text(), 60)
        service.put("new.png", png(2))
        eventually(lambda: "new.png" in by_name(dashboard), 60)
        assert by_name(dashboard).keys() == {"new.png"}


def test_a_new_file_goes_before_the_backlog(tmp_path: Path, broker: Mosquitto) -> None:
    service = Service(tmp_path, broker.port)
    for number in range(30):
        service.put(f"old_{number:02d}.png", png(number))
    with Listener(broker.port, f"{PREFIX}/#") as dashboard, service:
        eventually(lambda: verdicts(dashboard), 60)
        service.put("new.png", png(99))
        eventually(lambda: "new.png" in by_name(dashboard), 60)
        assert len(verdicts(dashboard)) < 31


def test_the_watched_folder_may_go_and_come_back(tmp_path: Path, broker: Mosquitto) -> None:
    with Listener(broker.port, f"{PREFIX}/#") as dashboard, Service(tmp_path, broker.port) as service:
        service.put("a.png", png(1))
        eventually(lambda: len(verdicts(dashboard)) == 1, 60)
        service.folder.rename(tmp_path / "unmounted")
        eventually(lambda: statuses(dashboard)[-1] == "degraded", 30)
        (tmp_path / "unmounted").rename(service.folder)
        eventually(lambda: statuses(dashboard)[-1] == "online", 30)
        service.put("b.png", png(2))
        eventually(lambda: len(verdicts(dashboard)) == 2, 60)


def test_the_first_of_many_files_are_admitted_while_the_last_are_looked_at(
    settings: Settings, journal: Journal, shared: Shared, monkeypatch: pytest.MonkeyPatch
) -> None:
    scanner = Scanner(settings, journal, shared)
    monkeypatch.setattr("edge.service.scanner.ADMIT_S", 0.0)
    waiting: list[int] = []
    monkeypatch.setattr(scanner, "_awaits_more", lambda *_: waiting.append(len(journal.ledger.waiting())))
    files = [Sighting(f"{number}.png", 1, 1, "file") for number in range(3)]
    scanner._admit_finished(files)
    assert waiting == [0, 1, 2]

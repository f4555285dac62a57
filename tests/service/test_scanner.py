"""The folder in, finished files in the ledger out."""

from __future__ import annotations

import hashlib
import time
from pathlib import Path
from typing import Any

import pytest

from edge import sem
from edge.config import Settings
from edge.errors import StateFullError
from edge.folder.scan import Sighting, scan
from edge.journal import Entry, Journal
from edge.records import Fingerprint
from edge.service import scanner as scanner_module
from edge.service.scanner import STAND_IN, Scanner
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


@pytest.fixture
def scanner(settings: Settings, journal: Journal, shared: Shared) -> Scanner:
    return Scanner(settings, journal, shared)


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
        assert slow["schema"] == "edge.inspection/2"
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


@pytest.fixture
def three(settings: Settings) -> list[Sighting]:
    """Three finished files, as a look at the folder found them."""
    for number in range(3):
        (settings.watch.folder / f"{number}.png").write_bytes(png(number))
    return list(scan(settings.watch.folder, ("*.png",)))


@pytest.mark.parametrize(
    "error", [MemoryError(), RecursionError(), OverflowError("2^70"), OSError(5, "EIO"), KeyError("x")], ids=repr
)
@pytest.mark.parametrize("where", ["read_file", "sem.completeness", "sem.needs_sidecar"])
def test_a_file_that_cannot_be_looked_at_is_left_to_the_decoder_and_stops_no_other(
    scanner: Scanner, three: list[Sighting], where: str, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    poison = (scanner.folder / "1.png").read_bytes()
    module, _, name = where.rpartition(".")
    monkeypatch.setattr(sem, "needs_sidecar", lambda *_: False)
    owner = {"": scanner_module, "sem": sem}[module]
    real = getattr(owner, name)

    def fails(*arguments: Any, **named: Any) -> Any:
        if arguments[0] in (poison, scanner.folder / "1.png"):
            raise error
        return real(*arguments, **named)

    monkeypatch.setattr(owner, name, fails)
    scanner._admit_finished(three)
    assert {entry.path for entry in scanner.journal.ledger.waiting()} == {"0.png", "1.png", "2.png"}


def test_what_the_ledger_cannot_hold_is_admitted_alone_and_only_once(
    scanner: Scanner, three: list[Sighting], monkeypatch: pytest.MonkeyPatch
) -> None:
    real = scanner.journal.ledger._admit

    def admit(path: str, fingerprint: Fingerprint, **how: bool) -> Entry | None:
        if path == "1.png" and fingerprint != STAND_IN:
            raise OverflowError("Python int too large to convert to SQLite INTEGER")
        return real(path, fingerprint, **how)

    monkeypatch.setattr(scanner.journal.ledger, "_admit", admit)
    monkeypatch.setattr(sem, "needs_sidecar", lambda *_: False)
    for _ in ("first start", "restart"):
        scanner._admit_finished(three)
        assert {entry.path: entry.revision for entry in scanner.journal.ledger.waiting()} == {
            "0.png": 1,
            "1.png": 1,
            "2.png": 1,
        }
    assert scanner._known["1.png"] == next(one.fingerprint for one in three if one.path == "1.png")


def test_a_full_disk_is_no_fault_of_the_files(scanner: Scanner, three: list[Sighting], monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise StateFullError("the disk is full")

    monkeypatch.setattr(sem, "needs_sidecar", lambda *_: False)
    monkeypatch.setattr(scanner.journal.ledger, "_admit", full)
    with pytest.raises(StateFullError):
        scanner._admit_finished(three)
    assert scanner._known == {}

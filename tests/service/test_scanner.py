"""The folder in, finished files in the ledger out."""

from __future__ import annotations

import hashlib
import os
import time
import tracemalloc
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any

import pytest

from edge.config import Settings
from edge.errors import StateFullError
from edge.folder import events as events_module
from edge.folder.scan import Sighting, Stamp, scan
from edge.journal import Entry, Journal
from edge.records import Fingerprint
from edge.service import scanner as scanner_module
from edge.service.scanner import RETURNS, STAND_IN, Scanner
from edge.service.shared import Shared
from tests.fakes.brokers import Listener, Mosquitto, eventually
from tests.journal.examples import failure, one
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
        Service(tmp_path, broker.port, watch={"sidecar_wait_s": 60.0}) as service,
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
    for number in range(150):  # more than are judged while the new one is noticed, however busy the machine
        service.put(f"old_{number:03d}.png", png(number))
    with Listener(broker.port, f"{PREFIX}/#") as dashboard, service:
        eventually(lambda: verdicts(dashboard), 60)
        service.put("new.png", png(99))
        eventually(lambda: "new.png" in by_name(dashboard), 60)
        assert len(verdicts(dashboard)) < 151


def test_the_watched_folder_may_go_and_come_back(tmp_path: Path, broker: Mosquitto) -> None:
    with Listener(broker.port, f"{PREFIX}/#") as dashboard, Service(tmp_path, broker.port) as service:
        service.put("a.png", png(1))
        eventually(lambda: len(verdicts(dashboard)) == 1, 60)
        service.folder.rename(tmp_path / "unmounted")
        eventually(lambda: statuses(dashboard)[-1] == "degraded", 60)
        (tmp_path / "unmounted").rename(service.folder)
        eventually(lambda: statuses(dashboard)[-1] == "online", 60)
        service.put("b.png", png(2))
        eventually(lambda: len(verdicts(dashboard)) == 2, 60)


@pytest.fixture
def three(settings: Settings) -> list[Sighting]:
    """Three finished files, as a look at the folder found them."""
    for number in range(3):
        (settings.watch.folder / f"{number}.png").write_bytes(png(number))
    return list(scan(settings.watch.folder, ("*.png",)))


def look(scanner: Scanner) -> None:
    """Look at everything, twice and long enough apart, so that all is finished."""
    for _ in range(2):
        scanner._next_full = 0.0
        scanner._look({})
        time.sleep(scanner.settings.watch.settle_s)


def test_a_file_that_an_event_names_goes_before_very_many_that_are_being_looked_at(
    scanner: Scanner, three: list[Sighting], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scanner_module, "SLICE", 1)
    closed = next(one for one in three if one.path == "2.png")
    events = [{}, {"2.png": Stamp(closed.size, closed.mtime_ns)}]
    monkeypatch.setattr(scanner._events, "take", lambda: events.pop() if events else {})
    order: list[str] = []
    real = scanner._enter
    monkeypatch.setattr(scanner, "_enter", lambda batch, **how: (order.extend(path for path, _ in batch), real(batch, **how)))
    monkeypatch.setattr(
        scanner_module, "scan", lambda *_, only=None, **__: iter(o for o in three if not only or o.path in only)
    )
    look(scanner)
    assert order[0] == "2.png"
    assert sorted(order) == ["0.png", "1.png", "2.png"]
    assert scanner.journal.ledger.waiting(limit=1)[0].path == "2.png"


def test_what_is_there_at_a_start_is_backlog_and_what_comes_later_is_not(scanner: Scanner, three: list[Sighting]) -> None:
    look(scanner)
    (scanner.folder / "new.png").write_bytes(png(9))
    look(scanner)
    assert {entry.path: entry.backlog for entry in scanner.journal.ledger.waiting()} == {
        "new.png": False,
        **{one.path: True for one in three},
    }


def known(scanner: Scanner, path: str) -> Fingerprint | None:
    """Under which fingerprint it counts as known."""
    scanner._known.look_up([path])
    return scanner._known.get(path)


def judged(scanner: Scanner, path: str) -> None:
    """Leave it in the ledger as inspected."""
    content = hashlib.sha256((scanner.folder / path).read_bytes()).hexdigest()
    scanner.journal.ledger.begin(path)
    scanner.journal.ledger.conclude(path, lambda seq: one(f"{path} {seq}")(seq), content)


def renamed_over(file: Path) -> None:
    new = file.with_name("new.tmp")
    new.write_bytes(file.read_bytes()[::-1])
    new.rename(file)


@pytest.mark.parametrize(
    "change", [lambda file: file.write_bytes(file.read_bytes()[::-1]), renamed_over], ids=["in place", "renamed"]
)
def test_other_content_of_the_same_size_and_date_is_suspected(
    scanner: Scanner, three: list[Sighting], change: Callable[[Path], None]
) -> None:
    look(scanner)
    for sighting in three:
        judged(scanner, sighting.path)
    file = scanner.folder / "1.png"
    before = file.stat()
    change(file)
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    look(scanner)
    assert scanner.shared.suspected.take() == ("1.png", known(scanner, "1.png"))
    assert scanner.shared.suspected.take() is None
    look(scanner)
    assert scanner.shared.suspected.take() is None  # once for each time that its marks change


def test_an_upgrade_suspects_nothing(scanner: Scanner, three: list[Sighting]) -> None:
    scanner.journal.ledger.admit_many((one.path, Fingerprint(one.size, one.mtime_ns)) for one in three)
    look(scanner)
    assert scanner.shared.suspected.take() is None
    marks = {path: fingerprint.marks for path, fingerprint in scanner.journal.ledger.fingerprints().items()}
    assert marks == {one.path: one.fingerprint.marks for one in three}


def test_what_the_ledger_cannot_hold_is_admitted_alone_and_only_once(
    scanner: Scanner, three: list[Sighting], monkeypatch: pytest.MonkeyPatch
) -> None:
    real = scanner.journal.ledger._admit

    def admit(path: str, fingerprint: Fingerprint, **how: bool) -> Entry | None:
        if path == "1.png" and fingerprint != STAND_IN:
            raise OverflowError("Python int too large to convert to SQLite INTEGER")
        return real(path, fingerprint, **how)

    monkeypatch.setattr(scanner.journal.ledger, "_admit", admit)
    for _ in ("first start", "restart"):
        look(scanner)
        assert {entry.path: entry.revision for entry in scanner.journal.ledger.waiting()} == {
            "0.png": 1,
            "1.png": 1,
            "2.png": 1,
        }
    assert known(scanner, "1.png") == next(one.fingerprint for one in three if one.path == "1.png")


def test_a_full_disk_is_no_fault_of_the_files(scanner: Scanner, three: list[Sighting], monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise StateFullError("the disk is full")

    monkeypatch.setattr(scanner.journal.ledger, "_admit", full)
    with pytest.raises(StateFullError):
        look(scanner)
    assert known(scanner, "1.png") is None


def test_a_file_that_was_gone_is_seen_anew_a_few_times(scanner: Scanner, three: list[Sighting]) -> None:
    for returned in range(RETURNS + 2):
        look(scanner)
        revision = scanner.journal.ledger.entries()["1.png"].revision
        assert revision == min(returned, RETURNS) + 1
        scanner.journal.ledger.begin("1.png") if returned <= RETURNS else None
        if returned <= RETURNS:
            scanner.journal.ledger.conclude("1.png", failure("gone"), gone=True)
        scanner.shared.gone.add(["1.png"])


def looks(scanner: Scanner, monkeypatch: pytest.MonkeyPatch) -> list[set[str] | None]:
    """Of each look from now on, the paths that were looked at; None of a look at everything."""
    found: list[set[str] | None] = []
    real = scan

    def noted(*arguments: Any, only: Collection[str] | None = None, **more: Any) -> Iterator[Sighting]:
        found.append(None if only is None else set(only))
        return real(*arguments, only=only, **more)

    monkeypatch.setattr(scanner_module, "scan", noted)
    return found


def test_what_came_during_a_look_at_everything_asks_for_no_further_one(
    scanner: Scanner, three: list[Sighting], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a steady flow of images has all files looked at again and again."""
    look(scanner)
    (scanner.folder / "new.png").write_bytes(png(9))
    scanner._next_full = 0.0
    events = scanner._events
    monkeypatch.setattr(scanner, "_forget_gone", lambda: events._remember("new.png"))  # in the middle
    found = looks(scanner, monkeypatch)
    scanner._look({})
    monkeypatch.undo()
    assert found == [None, {"new.png"}]
    assert scanner.shared.scan_now.is_set()
    found = looks(scanner, monkeypatch)
    scanner._look(events.take())
    assert None not in found
    assert "new.png" in scanner.journal.ledger.entries()


def test_a_command_a_folder_and_too_many_events_ask_for_a_look_at_everything(
    scanner: Scanner, three: list[Sighting], monkeypatch: pytest.MonkeyPatch
) -> None:
    look(scanner)
    found = looks(scanner, monkeypatch)
    monkeypatch.setattr(events_module, "REMEMBERED_EVENTS", 2)
    asks: list[Callable[[], None]] = [
        scanner.shared.rescan_wanted.set,
        lambda: scanner._events._remember(None),
        lambda: [scanner._events._remember(one.path) for one in three] and None,
    ]
    for ask in asks:
        ask()
        scanner._look(scanner._events.take())
        assert found[-1] is None
        scanner._look(scanner._events.take())
        assert found[-1] is not None


def test_a_sidecar_has_the_images_that_it_may_describe_looked_at_and_no_others(
    scanner: Scanner, three: list[Sighting], monkeypatch: pytest.MonkeyPatch
) -> None:
    look(scanner)
    assert known(scanner, "1.png") == three_by_path(three)["1.png"]
    found = looks(scanner, monkeypatch)
    (scanner.folder / "1.TXT").write_text("$CM_MAG 1000")
    scanner._events._remember("1.TXT")
    scanner._look(scanner._events.take())
    time.sleep(scanner.settings.watch.settle_s)
    scanner._look({})
    assert None not in found
    assert "1.TXT" in scanner.journal.ledger.fingerprints()["1.png"].sidecar
    assert scanner.journal.ledger.fingerprints()["2.png"].sidecar == ""


def three_by_path(three: list[Sighting]) -> dict[str, Fingerprint]:
    return {one.path: one.fingerprint for one in three}


def test_what_was_known_at_the_start_and_is_written_anew_is_no_backlog(
    settings: Settings, journal: Journal, shared: Shared, three: list[Sighting]
) -> None:
    journal.ledger.admit_many((one.path, one.fingerprint) for one in three)
    scanner = Scanner(settings, journal, shared)
    for sighting in three:
        judged(scanner, sighting.path)
    look(scanner)
    (scanner.folder / "1.png").write_bytes(png(77))
    look(scanner)
    assert [(entry.path, entry.backlog) for entry in journal.ledger.waiting()] == [("1.png", False)]


def test_files_that_are_known_take_next_to_no_memory(settings: Settings, journal: Journal, shared: Shared) -> None:
    """A folder that is never emptied holds more each day. What is left of a look is nothing; while it lasts, the names."""
    folder, many = settings.watch.folder, 4000
    for number in range(many):
        (folder / f"image_of_the_specimen_{number:06}.png").touch()
    scanner = Scanner(settings, journal, shared)
    for _ in range(2):
        look(scanner)
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        scanner._next_full = 0.0
        scanner._look({})
        after, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (after - before) / many < 20
    assert (most - before) / many < 250

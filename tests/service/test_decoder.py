"""What waits in the ledger is read and decoded, whatever it is."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest

from edge.errors import ImageError
from edge.folder.file import FileBusyError, FileGoneError
from edge.folder.scan import Sighting, scan
from edge.journal import Journal
from edge.records import FileBytes, Fingerprint
from edge.service.decoder import Decoder
from edge.service.reports import Reports
from edge.service.shared import Arrival, Shared
from tests.fakes.brokers import Listener, Mosquitto, eventually
from tests.journal.examples import one
from tests.sem.making import encoded, fei, png_header, specimen, tiff
from tests.service.one_image import begun
from tests.service.running_daemon import (
    PREFIX,
    Service,
    by_name,
    png,
    statuses,
    verdicts,
)


def test_each_bad_file_gets_its_failure_and_the_daemon_goes_on(tmp_path: Path, broker: Mosquitto) -> None:
    with Listener(broker.port, f"{PREFIX}/#") as dashboard, Service(tmp_path, broker.port) as service:
        outside = tmp_path / "elsewhere.png"
        outside.write_bytes(png(1))
        service.put("bomb.png", png_header(100_000, 100_000))
        service.put("empty.tif", b"")
        service.put("text.tif", b"this is no image at all")
        service.put("short.tif", tiff(specimen())[:9000])
        service.put("float.tif", tiff(np.full((64, 64), np.nan, np.float32)))
        service.put("black.png", encoded(np.zeros((90, 120), np.uint8), ".png"))
        service.put("dot.png", encoded(np.zeros((1, 1), np.uint8), ".png"))
        service.put("zeros.tif", tiff(specimen(96, 128))[:-4000] + bytes(4000))
        service.put("line\nbreak.png", png(2))
        service.put(b"byte\xff.png", png(3))
        (service.folder / "folder.tif").mkdir()
        os.mkfifo(service.folder / "pipe.tif")
        (service.folder / "link.png").symlink_to(outside)
        service.put("good.png", png(4))
        expected = {
            "bomb.png": "too_large",
            "empty.tif": "empty",
            "text.tif": "not_an_image",
            "short.tif": "truncated",
            "folder.tif": "not_a_file",
            "pipe.tif": "not_a_file",
            "link.png": "outside_folder",
        }
        inspected = {"float.tif", "black.png", "dot.png", "zeros.tif", "line\nbreak.png", "byte\\xff.png", "good.png"}
        eventually(lambda: by_name(dashboard).keys() >= expected.keys() | inspected, 90, "all verdicts")
        found = by_name(dashboard)
        assert {name: found[name]["error"]["code"] for name in expected} == expected
        assert all(found[name]["schema"] == "edge.inspection/2" for name in inspected)
        for name in ("float.tif", "black.png", "dot.png"):
            assert found[name]["quality"]["warnings"], name
        assert any(warning.startswith("zero") for warning in found["zeros.tif"]["quality"]["warnings"])
        assert service.process is not None
        assert service.process.poll() is None
        assert "export the image again" in service.log_text()


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_file_without_permission_fails_and_is_inspected_once_it_may_be_read(tmp_path: Path, broker: Mosquitto) -> None:
    with Listener(broker.port, f"{PREFIX}/#") as dashboard, Service(tmp_path, broker.port) as service:
        service.put("secret.png", png(1))
        (service.folder / "secret.png").chmod(0)
        eventually(lambda: [one for one in verdicts(dashboard) if one["schema"] == "edge.failure/1"], 60)
        (service.folder / "secret.png").chmod(0o644)
        eventually(lambda: [one for one in verdicts(dashboard) if one["schema"] == "edge.inspection/2"], 60)


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small disk needs root")
def test_a_full_disk_pauses_the_intake_and_loses_nothing(tmp_path: Path, broker: Mosquitto) -> None:
    service = Service(tmp_path, broker.port)
    service.state.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=96m", "tmpfs", str(service.state)], check=False).returncode:
        pytest.skip("no small disk can be mounted here")
    try:
        ballast = service.state / "ballast"
        ballast.write_bytes(bytes(60 << 20))
        with Listener(broker.port, f"{PREFIX}/#") as dashboard, service:
            service.put("a.png", png(1))
            eventually(lambda: "degraded" in statuses(dashboard), 60)
            ballast.unlink()
            eventually(lambda: "a.png" in by_name(dashboard), 60)
            eventually(lambda: statuses(dashboard)[-1] == "online", 60)
            assert service.stop() == 0
    finally:
        subprocess.run(["umount", str(service.state)], check=False)


def test_a_file_that_changes_whenever_it_is_read_holds_up_no_other(
    decoder: Decoder, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    def changing(*_: object, **__: object) -> FileBytes:
        raise ImageError("still_changing", "it changed while it was read")

    monkeypatch.setattr("edge.service.decoder.read_file", changing)
    decoder.shared.arrivals.put({"a.png": Arrival(time.monotonic(), closed=True)})
    assert decoder._read(begun(journal, "a.png")) is None
    assert journal.ledger.waiting() == []  # held, not failed
    journal.ledger.resume(["a.png"])
    decoder.shared.arrivals.put({"a.png": Arrival(time.monotonic() - 60.0, closed=True)})
    decoded = decoder._read(journal.ledger.begin("a.png"))
    assert decoded is not None
    assert isinstance(decoded.outcome, ImageError)
    assert decoded.outcome.code == "still_changing"


def test_a_full_disk_is_over_once_there_is_room_also_without_an_image(
    decoder: Decoder, journal: Journal, shared: Shared, monkeypatch: pytest.MonkeyPatch
) -> None:
    reports = Reports(decoder.settings, journal, shared)
    shared.status.report("start", None)
    shared.models_loaded.set()
    roomy = shutil.disk_usage(journal.folder)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: roomy._replace(free=1))
    decoder._next_entry()
    assert reports.status().state == "degraded"
    monkeypatch.setattr(shutil, "disk_usage", lambda _: roomy._replace(free=1 << 40))
    decoder._next_entry()
    assert reports.status().state == "online"


def judged(decoder: Decoder, name: str) -> None:
    """Leave a file in the ledger as it is, as inspected."""
    sighting = seen(decoder, name)
    decoder.journal.ledger.admit(name, sighting.fingerprint)
    decoder.shared.arrivals.put({name: Arrival(time.monotonic(), old=True)})
    decoded = decoder._read(decoder.journal.ledger.begin(name))
    assert decoded is not None
    decoder.journal.ledger.conclude(name, lambda seq: one(f"{name}-{seq}")(seq), decoded.content)


def seen(decoder: Decoder, name: str) -> Sighting:
    return next(sighting for sighting in scan(decoder.folder, ("*.png", "*.tif")) if sighting.path == name)


def test_a_file_that_was_touched_or_written_again_as_it_was_is_not_inspected_again(decoder: Decoder, journal: Journal) -> None:
    (decoder.folder / "a.png").write_bytes(png(1))
    judged(decoder, "a.png")
    os.utime(decoder.folder / "a.png", (1, 1))
    assert journal.ledger.admit("a.png", seen(decoder, "a.png").fingerprint) is not None
    assert decoder._read(journal.ledger.begin("a.png")) is None
    (entry,) = journal.ledger.entries().values()
    assert (entry.state, entry.revision) == ("done", 1)


def test_a_late_sidecar_is_other_content(decoder: Decoder, journal: Journal) -> None:
    (decoder.folder / "a.tif").write_bytes(tiff(specimen()))
    judged(decoder, "a.tif")
    (decoder.folder / "a.txt").write_text("$CM_MAG 100")
    assert journal.ledger.admit("a.tif", seen(decoder, "a.tif").fingerprint) is not None
    decoder.shared.arrivals.put({"a.tif": Arrival(time.monotonic(), old=True)})
    assert decoder._read(journal.ledger.begin("a.tif")) is not None


@pytest.mark.parametrize("other", [True, False])
def test_what_is_suspected_is_inspected_again_where_its_content_is_another_one(
    decoder: Decoder, journal: Journal, other: bool
) -> None:
    file = decoder.folder / "a.png"
    file.write_bytes(png(1))
    judged(decoder, "a.png")
    before = file.stat()
    file.write_bytes(png(1)[::-1] if other else png(1))
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    decoder.shared.suspected.add("a.png", seen(decoder, "a.png").fingerprint)
    decoder.shared.suspected.add("gone.png", Fingerprint(1, 1))
    assert [decoder._compare_one() for _ in range(3)] == [True, True, False]
    assert [entry.revision for entry in journal.ledger.waiting()] == ([2] if other else [])
    assert journal.ledger.fingerprints()["a.png"].marks[0] != before.st_ctime_ns


def test_black_rows_are_waited_for_where_nobody_saw_the_file_closed_and_judged_at_once_where_somebody_did(
    decoder: Decoder, journal: Journal
) -> None:
    values = specimen()
    values[100:140] = 0
    for name in ("quiet.tif", "closed.tif"):
        (decoder.folder / name).write_bytes(tiff(values, {34682: fei()}))
        journal.ledger.admit(name, seen(decoder, name).fingerprint)
    now = time.monotonic()
    decoder.shared.arrivals.put({"quiet.tif": Arrival(now), "closed.tif": Arrival(now, closed=True)})
    assert decoder._read(journal.ledger.begin("quiet.tif")) is None
    decoded = decoder._read(journal.ledger.begin("closed.tif"))
    assert decoded is not None
    assert isinstance(decoded.outcome, tuple)
    assert any(warning.startswith("zero_rows: rows 100 to 139") for warning in decoded.outcome[0].warnings)
    # … and after the wait, which counts from the last change, with the same doubt
    (until,) = [decoder.shared.arrivals.next_due()]
    assert until == now + decoder.settings.watch.incomplete_s
    decoder.shared.arrivals.take("quiet.tif")
    decoder.shared.arrivals.put({"quiet.tif": Arrival(now - 3600.0)})
    waited = decoder._read(journal.ledger.begin("quiet.tif"))
    assert waited is not None
    assert waited.spent.wait >= 3_600_000


def test_a_file_that_is_away_with_its_folder_is_held_and_one_that_is_gone_alone_is_a_failure(
    decoder: Decoder, journal: Journal
) -> None:
    journal.ledger.admit("a.png", Fingerprint(1, 1))
    away = decoder.folder.rename(decoder.folder.with_name("away"))
    assert decoder._read(journal.ledger.begin("a.png")) is None
    away.rename(decoder.folder)
    journal.ledger.resume(["a.png"])
    decoded = decoder._read(journal.ledger.begin("a.png"))
    assert decoded is not None
    assert isinstance(decoded.outcome, FileGoneError)


def test_an_image_that_another_program_holds_is_read_once_it_lets_go(
    decoder: Decoder, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    (decoder.folder / "a.png").write_bytes(png(1))
    journal.ledger.admit("a.png", seen(decoder, "a.png").fingerprint)

    def held(*_: object, **__: object) -> FileBytes:
        raise FileBusyError("unreadable", "it cannot be read: Device or resource busy")

    with monkeypatch.context() as exclusive:
        exclusive.setattr("edge.service.decoder.read_file", held)
        decoder.shared.arrivals.put({"a.png": Arrival(time.monotonic() - 1e6, old=True)})
        assert decoder._read(journal.ledger.begin("a.png")) is None
    assert journal.ledger.waiting() == []  # held, not failed
    assert decoder.shared.arrivals.next_due() is not None
    journal.ledger.resume(["a.png"])
    decoded = decoder._read(journal.ledger.begin("a.png"))
    assert decoded is not None
    assert not isinstance(decoded.outcome, ImageError)


def test_an_image_that_is_held_for_too_long_fails_with_what_to_do(
    decoder: Decoder, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    def held(*_: object, **__: object) -> FileBytes:
        raise FileBusyError("unreadable", "it cannot be read: close it in other programs")

    monkeypatch.setattr("edge.service.decoder.read_file", held)
    long_ago = time.monotonic() - decoder.settings.watch.incomplete_s
    decoder.shared.arrivals.put({"a.png": Arrival(long_ago, refused_at=long_ago)})
    decoded = decoder._read(begun(journal, "a.png"))
    assert decoded is not None
    assert isinstance(decoded.outcome, FileBusyError)


def test_what_was_to_be_compared_while_the_share_went_is_compared_later(
    decoder: Decoder, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoder.shared.suspected.add("a.png", Fingerprint(1, 1))
    with monkeypatch.context() as away:
        away.setattr(Decoder, "folder_is_there", lambda _: False)
        assert not decoder._compare_one()
    assert decoder.shared.suspected.take() == ("a.png", Fingerprint(1, 1))

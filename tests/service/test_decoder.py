"""What waits in the ledger is read and decoded, whatever it is."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from edge.errors import ImageError
from edge.journal import Journal
from edge.records import FileBytes
from edge.service.decoder import Decoder
from edge.service.reports import Reports
from edge.service.shared import Shared
from tests.fakes.brokers import Listener, Mosquitto, eventually
from tests.sem.making import encoded, png_header, specimen, tiff
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
    decoded = decoder._read(begun(journal, "a.png"))
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

"""A share that mounts late, or not in full: its old files are not taken for new, and what cannot be looked at is told."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge import config
from edge.config import Settings
from edge.journal import Journal
from edge.service.scanner import Scanner
from edge.service.shared import Shared
from tests.fakes.brokers import eventually
from tests.service.running_daemon import png


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    (tmp_path / "export").mkdir()
    watch = {"folder": str(tmp_path / "export"), "existing": "ignore", "marker": ".export", "settle_s": 0.0}
    return config.parse({"watch": {**watch, "rescan_s": 0.05, "events": "off", "sidecar_wait_s": 0.0}}, {})


@contextlib.contextmanager
def running(scanner: Scanner) -> Iterator[None]:
    thread = threading.Thread(target=scanner.run, daemon=True)
    thread.start()
    try:
        yield
    finally:
        scanner.shared.stopping.set()
        scanner.shared.scan_now.set()
        thread.join(60)


def problems(scanner: Scanner) -> str:
    return " ".join(scanner.shared.status.problems())


def states(journal: Journal) -> dict[str, str]:
    return {path: entry.state for path, entry in journal.ledger.entries().items()}


def test_old_files_of_a_share_that_mounts_late_are_ignored_as_if_it_had_been_there(
    settings: Settings, journal: Journal, shared: Shared
) -> None:
    scanner = Scanner(settings, journal, shared)
    with running(scanner):
        eventually(lambda: "watch.marker" in problems(scanner), 60)
        (scanner.folder / "old.png").write_bytes(png(1))
        (scanner.folder / ".export").touch()
        eventually(lambda: states(journal) == {"old.png": "ignored"}, 60)
        eventually(lambda: "watch.marker" not in problems(scanner), 60)
        (scanner.folder / "new.png").write_bytes(png(2))
        eventually(lambda: states(journal) == {"old.png": "ignored", "new.png": "waiting"}, 60)


def test_a_share_that_goes_during_a_look_leaves_nothing_of_that_look(
    settings: Settings, journal: Journal, shared: Shared, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else an empty place would be the first look, and everything that comes back new."""
    (settings.watch.folder / ".export").touch()
    scanner = Scanner(settings, journal, shared)
    real = os.scandir

    def unmounting(path: str) -> Iterator[os.DirEntry[str]]:
        (settings.watch.folder / ".export").unlink(missing_ok=True)
        return real(path)

    with monkeypatch.context() as unmounted:
        unmounted.setattr(os, "scandir", unmounting)
        with running(scanner):
            eventually(lambda: "watch.marker" in problems(scanner), 60)
    assert journal.ledger.first_start
    assert states(journal) == {}
    assert journal._database.read("SELECT * FROM meta") == []


def test_what_cannot_be_looked_at_is_degraded_until_it_can_and_others_are_inspected_meanwhile(
    settings: Settings, journal: Journal, shared: Shared, monkeypatch: pytest.MonkeyPatch
) -> None:
    (settings.watch.folder / ".export").touch()
    (settings.watch.folder / "closed").mkdir()
    journal.ledger.admit_many([])
    scanner = Scanner(settings, journal, shared)
    scanner._first = False
    real = os.scandir

    def refusing(path: str) -> Iterator[os.DirEntry[str]]:
        if str(path).endswith("/closed"):
            raise PermissionError(13, "Permission denied")
        return real(path)

    with running(scanner):
        with monkeypatch.context() as closed:
            closed.setattr(os, "scandir", refusing)
            eventually(lambda: "'closed' (Permission denied)" in problems(scanner), 60)
            (scanner.folder / "b.png").write_bytes(png(1))
            eventually(lambda: states(journal) == {"b.png": "waiting"}, 60)
        eventually(lambda: "closed" not in problems(scanner), 60)

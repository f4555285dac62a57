"""Images that were begun and not finished: what they may cost, and whom they may hold up."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edge.config import Settings
from edge.folder.file import FileBusyError
from edge.journal import Journal
from edge.records import Source, Timing
from edge.service import isolated
from edge.service.recorder import Recorder
from edge.service.shared import Arrival, Decoded, Shared
from edge.service.suspects import Suspects
from edge.wire.failure import encode_failure
from tests.fakes.brokers import Listener, Mosquitto, eventually
from tests.service.one_image import begun
from tests.service.running_daemon import (
    PREFIX,
    Service,
    begun_but_not_finished,
    by_name,
    child_of,
    png,
    verdicts,
)


@pytest.fixture
def suspects(settings: Settings, journal: Journal, shared: Shared) -> Suspects:
    return Suspects(settings, journal, shared)


def test_an_image_whose_child_dies_twice_is_given_up_and_the_daemon_goes_on(tmp_path: Path, broker: Mosquitto) -> None:
    service = Service(tmp_path, broker.port)
    service.put("killer.png", png(1))
    begun_but_not_finished(service, "killer.png")
    with Listener(broker.port, f"{PREFIX}/#") as dashboard, service:
        for _ in range(2):
            child = eventually(lambda: child_of(service), 60, "a child that inspects")
            child.kill()
            eventually(lambda child=child: not child.is_running(), 60)
        (failure,) = eventually(lambda: verdicts(dashboard), 60)
        assert failure["error"]["code"] == "crashed"
        service.put("next.png", png(2))
        eventually(lambda: "next.png" in by_name(dashboard), 60)


def test_an_image_is_not_given_up_for_any_number_of_kills_from_outside(tmp_path: Path, broker: Mosquitto) -> None:
    service = Service(tmp_path, broker.port)
    service.put("good.png", png(1))
    begun_but_not_finished(service, "good.png", 1000)
    with Listener(broker.port, f"{PREFIX}/#") as dashboard, service:
        (verdict,) = eventually(lambda: verdicts(dashboard), 60)
        assert verdict["schema"] == "edge.inspection/2"


def test_an_image_that_is_given_up_does_not_wait_again_in_between(
    suspects: Suspects, recorder: Recorder, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The decoder would begin it once more."""
    monkeypatch.setattr(isolated, "inspect_in_child", lambda *_, **__: isolated.Died("exit status -9"))
    waited = []
    encode = encode_failure

    def watched(*arguments: Any, **more: Any) -> bytes:
        waited.extend(journal.ledger.waiting())
        return encode(*arguments, **more)

    monkeypatch.setattr("edge.service.messages.encode_failure", watched)
    for _ in range(2):
        entry = begun(journal, "a.png")
        suspected = Decoded(entry, Source("a.png", "a.png", None), None, Timing(), Arrival(0.0))
        inspected = suspects._inspect(suspected)
        if inspected is not None:
            recorder._record(inspected.entry, inspected.source, inspected.outcome)
    assert journal.outbox.unsent_count() == 1
    assert waited == []


def test_new_images_do_not_wait_for_a_suspect_that_hangs(tmp_path: Path, broker: Mosquitto) -> None:
    service = Service(tmp_path, broker.port)
    service.put("hangs.png", png(1))
    begun_but_not_finished(service, "hangs.png")
    with Listener(broker.port, f"{PREFIX}/#") as dashboard, service:
        child = eventually(lambda: child_of(service), 60, "a child that inspects")
        child.suspend()
        try:
            service.put("next.png", png(2))
            eventually(lambda: "next.png" in by_name(dashboard), 60)
            assert "hangs.png" not in by_name(dashboard)
            assert child.is_running()
        finally:
            child.resume()
        eventually(lambda: "hangs.png" in by_name(dashboard), 60)


def test_a_suspect_does_not_hold_up_a_stop(suspects: Suspects, journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = begun(journal, "a.png")

    def stopped(*_: object, given_up: Callable[[], bool], **__: object) -> None:
        suspects.shared.stopping.set()
        assert given_up()

    monkeypatch.setattr(isolated, "inspect_in_child", stopped)
    assert suspects._inspect(Decoded(entry, Source("a.png", "a.png", None), None, Timing(), Arrival(0.0))) is None
    assert journal.ledger.entries()["a.png"].state == "running"  # given back by whoever stops it


def test_a_suspect_that_another_program_holds_waits_for_it(
    suspects: Suspects, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    busy = isolated.Refused(FileBusyError("unreadable", "it cannot be read: Device or resource busy"), None)
    monkeypatch.setattr(isolated, "inspect_in_child", lambda *_, **__: busy)
    entry = begun(journal, "a.png")
    assert suspects._inspect(Decoded(entry, Source("a.png", "a.png", None), None, Timing(), Arrival(0.0))) is None
    assert journal.ledger.waiting() == []
    assert suspects.shared.arrivals.next_due() is not None

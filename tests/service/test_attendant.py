"""Requests become work once, and what is wrong is written down as it changes."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from edge import config
from edge.config import Settings
from edge.errors import StateFullError
from edge.journal import Journal, audit, page_requests, problems, requests
from edge.journal.page_requests import Answer
from edge.records import Fingerprint
from edge.service.attendant import MANY, Attendant
from edge.service.shared import Shared
from tests.fakes.brokers import Listener, Mosquitto, eventually
from tests.journal.examples import failure, inspected
from tests.service.running_daemon import PREFIX, Service, verdicts, wait_until_online


@pytest.fixture
def attendant(settings: Settings, journal: Journal, shared: Shared) -> Attendant:
    return Attendant(settings, journal, shared)


def runs(journal: Journal) -> dict[str, int]:
    return {entry.path: entry.run for entry in journal.ledger.waiting()}


def test_a_request_is_carried_out_and_gone(attendant: Attendant) -> None:
    for name in ("a.tif", "b.tif", "c.tif"):
        inspected(attendant.journal, name, failure(name))
    requests.leave(attendant.journal.folder, ["a.tif-1", "nobody's", "c.tif-3"])
    attendant._take_requests()
    assert runs(attendant.journal) == {"a.tif": 2, "c.tif": 2}
    assert attendant.shared.new_work.is_set()
    assert requests.waiting(attendant.journal.folder) == []


def test_many_that_are_asked_for_at_once_come_behind_new_images(attendant: Attendant) -> None:
    ids = []
    for number in range(MANY + 1):
        inspected(attendant.journal, f"{number}.tif", failure("f"))
        ids.append(f"f-{number + 1}")
    requests.leave(attendant.journal.folder, ids)
    attendant._take_requests()
    attendant.journal.ledger.admit("new.tif", Fingerprint(1, 1))
    assert next(entry.path for entry in attendant.journal.ledger.waiting()) == "new.tif"
    assert len(runs(attendant.journal)) == MANY + 2


def test_one_turn_takes_one_file(attendant: Attendant) -> None:
    for name in ("a.tif", "b.tif"):
        inspected(attendant.journal, name, failure(name))
        requests.leave(attendant.journal.folder, [f"{name}-{len(attendant.journal.ledger.entries())}"])
    attendant._take_requests()
    assert runs(attendant.journal) == {"a.tif": 2}
    attendant._take_requests()
    assert runs(attendant.journal) == {"a.tif": 2, "b.tif": 2}


def test_a_request_that_was_half_carried_out_before_a_kill_repeats_nothing_that_waits(attendant: Attendant) -> None:
    for name in ("a.tif", "b.tif"):
        inspected(attendant.journal, name, failure(name))
    requests.leave(attendant.journal.folder, ["a.tif-1", "b.tif-2"])
    attendant.journal.ledger.again("a.tif-1")
    attendant._take_requests()
    assert runs(attendant.journal) == {"a.tif": 2, "b.tif": 2}


def test_on_a_full_disk_a_request_waits_for_room(attendant: Attendant, monkeypatch: pytest.MonkeyPatch) -> None:
    inspected(attendant.journal, "a.tif", failure("a"))
    requests.leave(attendant.journal.folder, ["a-1"])
    with monkeypatch.context() as full:

        def again(_: str, *, backlog: bool) -> None:
            raise StateFullError("full")

        full.setattr(attendant.journal.ledger, "again", again)
        attendant._take_requests()
    assert len(requests.waiting(attendant.journal.folder)) == 1
    attendant._take_requests()
    assert runs(attendant.journal) == {"a.tif": 2}


def test_a_file_that_is_no_request_stops_no_other(attendant: Attendant) -> None:
    inspected(attendant.journal, "a.tif", failure("a"))
    (attendant.journal.folder / "requests").mkdir()
    (attendant.journal.folder / "requests" / "0.json").write_text("nonsense")
    (attendant.journal.folder / "requests" / "1.json").mkdir()
    requests.leave(attendant.journal.folder, ["a-1"])
    attendant._take_requests()
    attendant._take_requests()
    assert runs(attendant.journal) == {"a.tif": 2}


def test_problems_are_written_with_their_cures_and_go_with_a_clean_stop(attendant: Attendant) -> None:
    shared, folder = attendant.shared, attendant.journal.folder

    def told() -> list[str]:
        found = problems.read(folder)
        return [] if found is None else [f"{text}: {cure}" for text, cure in found.problems.items()]

    thread = threading.Thread(target=attendant.run, daemon=True)
    thread.start()
    eventually(lambda: [text[:5] for text in told()] == ["the m"], 60)
    shared.paused.set()
    eventually(lambda: any("paused" in text and "`resume`" in text for text in told()), 60)
    shared.status.report("start", None)
    shared.paused.clear()
    eventually(lambda: (found := problems.read(folder)) is not None and not found.problems, 60)
    shared.stopping.set()
    thread.join(60)
    assert problems.read(folder) is None


def test_a_silent_microscope_is_degraded(settings: Settings, journal: Journal, shared: Shared) -> None:
    inspected(journal, "a.tif", failure("a"))
    journal._database.write(lambda: journal._database.execute("UPDATE verdict SET made_at = 0"))
    settings = config.change(settings, {"watch": {"expect_every_h": 1}})
    thread = threading.Thread(target=Attendant(settings, journal, shared).run, daemon=True)
    thread.start()
    eventually(lambda: any("no new image for 1 h" in text for text in shared.status.problems()), 60)
    shared.stopping.set()
    thread.join(60)


def test_a_running_daemon_takes_a_request_and_one_that_was_stopped_at_its_next_start(tmp_path: Path, broker: Mosquitto) -> None:
    def tries(name: str) -> list[int]:
        return [verdict["image"]["run"] for verdict in verdicts(dashboard) if verdict["image"]["name"] == name]

    with Listener(broker.port, f"{PREFIX}/#") as dashboard:
        with Service(tmp_path, broker.port) as service:
            wait_until_online(dashboard)
            service.put("broken.png", b"no image at all")
            eventually(lambda: tries("broken.png") == [1], 60)
            with Journal.view(service.state) as view:
                (image,) = view.quarantine.images()
            requests.leave(service.state, [image.verdict_id])
            eventually(lambda: tries("broken.png") == [1, 2], 60)
            health = eventually(lambda: [one.body for one in dashboard.on("/health") if one.body["today"]["failures"] == 2], 60)
            assert health[0]["quarantine"] == {"given_up": 1, "crashed": 0, "suspects": 0}
            assert service.stop() == 0
        with Journal.view(service.state) as view:
            (image,) = view.quarantine.images()
        requests.leave(service.state, [image.verdict_id])
        with service:
            eventually(lambda: tries("broken.png") == [1, 2, 3], 60)
            again = eventually(lambda: [one.body for one in dashboard.on("/health") if one.body["today"]["failures"] == 3], 60)
            assert again[0]["last_image_at"] == health[0]["last_image_at"]


def asked(attendant: Attendant, name: str, who: str = "ann", **fields: object) -> Answer:
    told: list[Answer] = []
    asker = threading.Thread(target=lambda: told.append(page_requests.ask(attendant.journal.folder, name, fields, who, 60)))
    asker.start()
    while asker.is_alive():
        attendant._take_commands()
        asker.join(0.02)
    return told[0]


def test_a_click_on_the_page_is_carried_out_answered_and_audited(attendant: Attendant) -> None:
    assert asked(attendant, "pause").result == {"paused": True}
    assert attendant.shared.paused.is_set()
    assert asked(attendant, "resume", who="bea").ok
    told = [(entry["who"], entry["command"], entry["error"]) for entry in audit.read(attendant.journal.folder)]
    assert told == [("ann", "pause", None), ("bea", "resume", None)]


@pytest.mark.parametrize(
    ("name", "fields", "sentence"),
    [
        ("explode", {}, "unknown command"),
        ("inspect", {}, "inspection_id"),
        ("inspect", {"inspection_id": "00000000-0000-5000-8000-000000000000"}, "no inspection with this id"),
        ("taught", {"sha256": None}, 'set it to "state"'),
        ("pause", {"path": "/etc/passwd"}, "path"),
    ],
)
def test_what_cannot_be_carried_out_is_answered_with_a_sentence(
    attendant: Attendant, name: str, fields: dict[str, object], sentence: str
) -> None:
    told = asked(attendant, name, **fields)
    assert not told.ok
    assert sentence in str(told.error)


def test_an_adaptation_that_does_not_fit_is_dropped_and_the_next_thing_goes_on(attendant: Attendant) -> None:
    page_requests.leave_adaptation(attendant.journal.folder, b"no adaptation")
    attendant._take_adaptations()
    assert page_requests.waiting(attendant.journal.folder, page_requests.ADAPTATION) == []
    assert asked(attendant, "rescan").ok

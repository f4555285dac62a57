"""The real daemon with sinks, with and without a broker, killed in the middle."""

from __future__ import annotations

import csv
import shutil
import time
from pathlib import Path

from edge import config
from edge.config import Settings
from edge.journal import Journal
from edge.service.shared import Shared
from edge.service.sinks import HANGS_S, open_sinks, report_hanging
from tests.fakes.brokers import Listener, Mosquitto, eventually
from tests.service.running_daemon import PREFIX, Service, png, verdicts

NO_BROKER = {"host": "", "port": 1883}


def rows(folder: Path) -> list[dict[str, str]]:
    found = []
    for path in sorted(folder.glob("*.csv")):
        with path.open(encoding="utf-8", newline="") as stream:
            found += list(csv.DictReader(stream))
    return found


def test_without_a_broker_every_verdict_is_one_row_through_kills(tmp_path: Path) -> None:
    folder = tmp_path / "historian"
    folder.mkdir()
    with Service(tmp_path, 0, mqtt=NO_BROKER, csv={"folder": str(folder)}) as service:
        for number in range(6):
            service.put(f"{number}.png", png(number) if number != 3 else b"no image at all")
            eventually(lambda number=number: len(rows(folder)) > number // 2, 90)  # type: ignore[misc]
            service.kill()
            service.start()
        eventually(lambda: len(rows(folder)) == 6, 90)
        assert service.stop() == 0
    found = rows(folder)
    assert sorted(row["path"] for row in found) == [f"{number}.png" for number in range(6)]
    assert sorted(int(row["seq"]) for row in found) == list(range(1, 7))
    assert [row["error_code"] for row in found if row["path"] == "3.png"] == ["not_an_image"]
    with Journal.view(service.state) as journal:
        assert journal.outbox.unsent_count() == 0


def test_a_folder_that_is_away_waits_beside_the_broker_and_comes_by_itself(tmp_path: Path, broker: Mosquitto) -> None:
    folder = tmp_path / "historian"
    with (
        Listener(broker.port, f"{PREFIX}/#") as dashboard,
        Service(tmp_path, broker.port, csv={"folder": str(folder)}) as service,
    ):
        for number in range(2):
            service.put(f"{number}.png", png(number))
        eventually(lambda: len(verdicts(dashboard)) == 2, 90)
        eventually(lambda: "2 verdicts wait" in " ".join(dashboard.on("/status")[-1].body["reasons"]), 90)
        (reason,) = dashboard.on("/status")[-1].body["reasons"]
        assert reason == f"csv.folder {folder}: No such file or directory; 2 verdicts wait"
        service.kill()
        folder.mkdir()
        service.start()
        eventually(lambda: len(rows(folder)) == 2, 90)
        eventually(lambda: dashboard.on("/status")[-1].body["state"] == "online", 90)
        shutil.rmtree(folder)
        service.put("late.png", png(9))
        eventually(lambda: dashboard.on("/status")[-1].body["state"] == "degraded", 90)
        folder.mkdir()
        eventually(lambda: [row["path"] for row in rows(folder)] == ["late.png"], 90)
        assert service.stop() == 0
    told = {verdict["inspection_id"] for verdict in verdicts(dashboard)}
    assert len(told) == 3


def test_what_waited_for_a_broker_is_kept_when_there_is_none_any_more(tmp_path: Path, broker: Mosquitto) -> None:
    broker.stop()
    service = Service(tmp_path, broker.port)
    service.start()
    service.put("a.png", png(1))
    eventually(lambda: "(seq 1)" in service.log_text(), 90)
    assert service.stop() == 0
    with Service(tmp_path, broker.port, mqtt=NO_BROKER) as without:
        eventually(lambda: "are kept for a replay" in without.log_text(), 90)
        assert without.stop() == 0
    with Journal.open(service.state) as journal:
        assert journal.outbox.unsent_count() == 0
        assert journal.outbox.replay(journal.epoch, 1, 1) == 1


def settings_with_csv(tmp_path: Path) -> Settings:
    return config.parse({"watch": {"folder": str(tmp_path)}, "csv": {"folder": str(tmp_path / "away")}}, {})


def test_what_is_not_wanted_is_not_opened(settings: Settings, journal: Journal, shared: Shared) -> None:
    assert open_sinks(settings, journal, shared) == []


def test_a_sink_that_hangs_is_told(tmp_path: Path, journal: Journal, shared: Shared) -> None:
    ((sink, delivery),) = open_sinks(settings_with_csv(tmp_path), journal, shared)
    shared.status.report("start", None)
    report_hanging([(sink, delivery)], shared.status)
    assert shared.status.problems() == ()
    delivery._busy_since = time.monotonic() - HANGS_S - 1
    report_hanging([(sink, delivery)], shared.status)
    (problem,) = shared.status.problems()
    assert problem == f"csv.folder {tmp_path / 'away'}: does not answer; does the share or network behind it hang?"

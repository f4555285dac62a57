"""The real daemon with sinks, with and without a broker, killed in the middle."""

from __future__ import annotations

import csv
import json
import shutil
import time
from pathlib import Path

from edge import config
from edge.config import Settings
from edge.journal import Journal
from edge.service.shared import Shared
from edge.service.sinks import HANGS_S, open_sinks, report_hanging
from tests.fakes.brokers import Listener, Mosquitto, eventually
from tests.fakes.http_server import HttpServer, answer
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


def test_a_server_gets_every_verdict_through_outages_and_kills_and_repeats_have_one_key(tmp_path: Path) -> None:
    with HttpServer() as server:
        webhook = {"url": f"http://127.0.0.1:{server.port}/hook", "proxy": "none"}
        with Service(tmp_path, 0, mqtt=NO_BROKER, webhook=webhook) as service:
            service.put("0.png", png(0))
            eventually(lambda: len(server.asked) == 1, 90)
            server.stop()
            for number in range(1, 4):
                service.put(f"{number}.png", png(number))
            eventually(lambda: "(seq 4)" in service.log_text(), 90)
            service.kill()
            server.says = lambda handler, number: answer(handler, 503 if number < 4 else 200)
            server.start()
            service.start()
            eventually(lambda: len(server.asked) >= 4, 90)
            service.kill()  # while it is asked again and again
            service.start()
            eventually(lambda: len({asked.headers["idempotency-key"] for asked in server.asked}) == 4, 90)
            eventually(lambda: unsent(service) == 0, 90)
            assert service.stop() == 0
    bodies = {asked.headers["idempotency-key"]: json.loads(asked.body) for asked in server.asked}
    assert sorted(body["seq"] for body in bodies.values()) == [1, 2, 3, 4]
    assert all(body["inspection_id"] == key for key, body in bodies.items())


def unsent(service: Service) -> int:
    with Journal.view(service.state) as journal:
        return journal.outbox.unsent_count()


def test_what_a_server_refuses_is_told_and_counted_and_holds_up_nothing(tmp_path: Path, broker: Mosquitto) -> None:
    with HttpServer() as server, Listener(broker.port, f"{PREFIX}/#") as dashboard:
        refuse = [True]
        server.says = lambda handler, _: answer(handler, 403, "who are you") if refuse else answer(handler, 200)
        with Service(tmp_path, broker.port, webhook={"url": f"http://127.0.0.1:{server.port}/"}) as service:
            service.put("a.png", png(1))
            eventually(lambda: len(verdicts(dashboard)) == 1, 90)
            eventually(lambda: "HTTP 403 Forbidden: who are you" in " ".join(dashboard.on("/status")[-1].body["reasons"]), 90)
            eventually(lambda: dashboard.on("/status")[-1].body["dead_letters"] == 1, 120)
            refuse.clear()
            service.put("b.png", png(2))
            eventually(lambda: len({a.headers["idempotency-key"] for a in server.asked if json.loads(a.body)}) == 2, 120)
            eventually(lambda: unsent(service) == 0, 120)
            assert service.stop() == 0
        with Journal.view(service.state) as journal:
            assert journal.outbox.dead_letter_count() == 0


def test_what_waited_for_a_broker_is_kept_when_there_is_none_any_more(tmp_path: Path, broker: Mosquitto) -> None:
    broker.stop()
    with Service(tmp_path, broker.port) as service:
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

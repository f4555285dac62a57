"""Another adaptation by command: checked, remembered, and used from the next image on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from edge.commands.cli import teach
from edge.inspection import taught_shelf
from tests.fakes.brokers import Listener, Mosquitto, eventually
from tests.inspection.test_taught_file import content
from tests.service.running_daemon import PREFIX, Service, by_name, png, statuses, verdicts
from tests.service.test_commands import ask

STATE = {"backend": "onnxruntime", "taught": "state"}
MANY = 8


def refused(dashboard: Listener, **fields: Any) -> str:
    number = len(dashboard.on("/command/taught/response"))
    dashboard.say(f"{PREFIX}/command/taught", json.dumps(fields))
    body = eventually(lambda: dashboard.on("/command/taught/response")[number:], 120)[0].body
    assert not body["ok"]
    return str(body["error"])


def installed(tmp_path: Path, service: Service, reviews: int) -> str:
    """An adaptation that changes nothing but the name that an inspection gives; its hash."""
    file = tmp_path / f"plant{reviews}.json"
    file.write_text(json.dumps(content(reviews=reviews)))
    before = set(taught_shelf.kept(service.state))
    assert teach(["install", str(file), "--config", str(service.config)]) == 0
    (sha256,) = set(taught_shelf.kept(service.state)) - before
    return sha256


def used(verdict: dict[str, Any]) -> str | None:
    taught = verdict["model"]["taught"]
    return None if taught is None else str(taught["sha256"])


def test_another_adaptation_counts_from_the_next_image_on_and_after_a_kill(tmp_path: Path, broker: Mosquitto) -> None:
    with Listener(broker.port, f"{PREFIX}/#") as dashboard, Service(tmp_path, broker.port, models=STATE) as service:
        service.put("a.png", png(1))
        eventually(lambda: verdicts(dashboard), 300)
        sha256 = installed(tmp_path, service, 1)
        assert ask(dashboard, "taught", sha256=sha256) == {"sha256": sha256, "before": None}
        for number in range(MANY):
            service.put(f"many{number}.png", png(10 + number))
        eventually(lambda: len(verdicts(dashboard)) == 1 + MANY, 300)
        assert used(by_name(dashboard)["a.png"]) is None
        assert {used(one) for one in verdicts(dashboard)[1:]} == {sha256}
        eventually(lambda: ask(dashboard, "info")["taught"] == sha256, 120)
        other = installed(tmp_path, service, 2)
        for number in range(MANY):
            service.put(f"more{number}.png", png(40 + number))
        assert ask(dashboard, "taught", sha256=other) == {"sha256": other, "before": sha256}
        service.kill()
        service.start()
        service.put("last.png", png(3))
        eventually(lambda: len(by_name(dashboard)) == 2 + 2 * MANY, 300)
        assert used(by_name(dashboard)["last.png"]) == other
        assert {used(one) for name, one in by_name(dashboard).items() if name.startswith("more")} <= {sha256, other}
        assert ask(dashboard, "taught", sha256=None) == {"sha256": None, "before": other}
        assert set(taught_shelf.kept(service.state)) == {sha256, other}


def test_what_cannot_be_used_is_refused_with_the_reason_and_changes_nothing(tmp_path: Path, broker: Mosquitto) -> None:
    with Listener(broker.port, f"{PREFIX}/#") as dashboard, Service(tmp_path, broker.port, models=STATE) as service:
        service.put("a.png", png(1))
        eventually(lambda: verdicts(dashboard), 300)
        sha256 = installed(tmp_path, service, 1)
        ask(dashboard, "taught", sha256=sha256)
        assert "edge-teach install" in refused(dashboard, sha256="1" * 64)
        assert "sha256" in refused(dashboard, sha256="../../etc/passwd")
        assert "sha256" in refused(dashboard)
        damaged = installed(tmp_path, service, 3)
        taught_shelf.path_of(service.state, damaged).write_text("{")
        assert "hashes differ" in refused(dashboard, sha256=damaged)
        assert taught_shelf.chosen(service.state).sha256 == sha256
        service.put("b.png", png(2))
        eventually(lambda: "b.png" in by_name(dashboard), 300)
        assert used(by_name(dashboard)["b.png"]) == sha256


def test_where_the_configuration_names_the_file_no_command_does(tmp_path: Path, broker: Mosquitto) -> None:
    with Listener(broker.port, f"{PREFIX}/#") as dashboard, Service(tmp_path, broker.port) as service:
        service.put("a.png", png(1))
        eventually(lambda: verdicts(dashboard), 300)
        assert 'set it to "state"' in refused(dashboard, sha256=None)


def test_a_chosen_adaptation_that_is_gone_is_told_in_status_and_inspections(tmp_path: Path, broker: Mosquitto) -> None:
    with Listener(broker.port, f"{PREFIX}/#") as dashboard, Service(tmp_path, broker.port, models=STATE) as service:
        service.put("a.png", png(1))
        eventually(lambda: verdicts(dashboard), 300)
        sha256 = installed(tmp_path, service, 1)
        ask(dashboard, "taught", sha256=sha256)
        service.stop()
        taught_shelf.path_of(service.state, sha256).unlink()
        service.start()
        service.put("b.png", png(2))
        eventually(lambda: "b.png" in by_name(dashboard), 300)
        told = by_name(dashboard)["b.png"]
        assert used(told) is None
        assert any(reason.startswith("taught_unsure") for reason in told["severity"]["reasons"])
        eventually(lambda: statuses(dashboard)[-1] == "degraded", 120)

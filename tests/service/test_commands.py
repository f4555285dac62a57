"""What a dashboard can ask for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.fakes.brokers import Heard, Listener, Mosquitto, eventually
from tests.service.running_daemon import (
    PREFIX,
    Service,
    by_name,
    png,
    statuses,
    verdicts,
)


def ask(dashboard: Listener, name: str, **fields: Any) -> dict[str, Any]:
    number = len(dashboard.on(f"/command/{name}/response"))
    dashboard.say(f"{PREFIX}/command/{name}", json.dumps(fields))
    answers: list[Heard] = eventually(lambda: dashboard.on(f"/command/{name}/response")[number:], 60)
    body = answers[0].body
    assert body["ok"], body
    return dict(body["result"] or {})


def test_a_dashboard_can_ask_for_a_replay_a_repeat_a_pause_and_information(tmp_path: Path, broker: Mosquitto) -> None:
    with Listener(broker.port, f"{PREFIX}/#") as dashboard, Service(tmp_path, broker.port) as service:
        service.put("a.png", png(1))
        (first,) = eventually(lambda: verdicts(dashboard), 60)
        assert ask(dashboard, "inspect", inspection_id=first["inspection_id"])["run"] == 2
        eventually(lambda: len(verdicts(dashboard)) == 2, 60)
        heard = len(dashboard.on("/inspection"))
        assert ask(dashboard, "replay", epoch=first["epoch"], first=1, last=2) == {"messages": 2}
        eventually(lambda: len(dashboard.on("/inspection")) == heard + 2, 60)
        assert len(verdicts(dashboard)) == 2
        ask(dashboard, "pause")
        service.put("b.png", png(2))
        eventually(lambda: statuses(dashboard)[-1] == "degraded", 60)
        ask(dashboard, "resume")
        eventually(lambda: "b.png" in by_name(dashboard), 60)
        assert ask(dashboard, "info")["backend"] == "onnxruntime"

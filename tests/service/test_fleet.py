"""Models over the fleet, with a real daemon, broker and web server: announced, fetched, checked, switched to, rolled back."""

from __future__ import annotations

import json
import shutil
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from edge.journal import audit
from edge.wire.release import encode_release
from tests.fakes.brokers import Listener, Mosquitto, eventually
from tests.fleet.making import make_release
from tests.models.test_signature import Signer
from tests.service.running_daemon import PREFIX, Service, by_name, png, wait_until_online

pytest.importorskip("cryptography")

TOPIC = "edge/models"


@pytest.fixture
def signer() -> Signer:
    return Signer()


def announcement(folder: Path, release: str, **changed: str) -> bytes:
    signature = (folder / "SHA256SUMS.minisig").read_text()
    made = json.loads(encode_release(release_id=release, signature=signature, at=datetime.now(timezone.utc)))
    return json.dumps(made | changed).encode()


def say(dashboard: Listener, payload: bytes) -> None:
    dashboard.say(TOPIC, payload, retain=True)


def ask(dashboard: Listener, command: str, **fields: Any) -> dict[str, Any]:
    """What a command came to: its result, or {"error": …}."""
    before = len(dashboard.on(f"/command/{command}/response"))
    dashboard.say(f"{PREFIX}/command/{command}", json.dumps(fields))
    eventually(lambda: len(dashboard.on(f"/command/{command}/response")) > before, 60)
    told = dashboard.on(f"/command/{command}/response")[before].body
    return dict(told["result"] or {}) if told["ok"] else {"error": told["error"]}


def fleet(dashboard: Listener) -> dict[str, Any]:
    told = dashboard.on("/health")
    return dict(told[-1].body["fleet"]) if told else {"announced": None}


def state(dashboard: Listener) -> str | None:
    announced = fleet(dashboard)["announced"]
    return announced and str(announced["state"])


def reasons(dashboard: Listener) -> str:
    return "; ".join(dashboard.on("/status")[-1].body["reasons"])


def version(dashboard: Listener, name: str) -> str:
    return str(by_name(dashboard)[name]["model"]["segmenter"]["version"])


class Box:
    """A daemon whose own models the plant signed, with a source of releases."""

    def __init__(self, base: Path, broker: Mosquitto, signer: Signer, source: str, **more: Any) -> None:
        own = base / "own"
        make_release(own, signer, version="1.0.0")
        models = {
            "segmenter": str(own / "segmenter.onnx"),
            "classifier": str(own / "classifier.onnx"),
            "regions": str(own / "regions.json"),
            "public_key": signer.public_key,
        }
        self.service = Service(base, broker.port, models=models, fleet={"source": source, **more})


def test_announced_checked_switched_restarted_and_rolled_back(tmp_path: Path, broker: Mosquitto, signer: Signer) -> None:
    made = tmp_path / "made"
    release = make_release(made, signer, version="2.0.0")
    shutil.copytree(made, tmp_path / "share" / release)
    box = Box(tmp_path, broker, signer, str(tmp_path / "share"))
    with Listener(broker.port, f"{PREFIX}/#") as dashboard, box.service as service:
        say(dashboard, announcement(made, release))
        wait_until_online(dashboard)
        service.put("a.png", png(1))
        eventually(lambda: state(dashboard) == "ready", 120)
        assert fleet(dashboard)["candidate"] == release
        eventually(lambda: "a.png" in by_name(dashboard), 60)
        assert version(dashboard, "a.png") == "1.0.0"
        assert "no checked release" in ask(dashboard, "models", action="switch", release="a" * 64)["error"]
        told = {"active": release, "previous": None, "candidate": None}
        assert ask(dashboard, "models", action="switch", release=release) == told
        assert ask(dashboard, "models", action="switch", release=release) == told
        service.put("b.png", png(2))
        eventually(lambda: "b.png" in by_name(dashboard), 60)
        assert version(dashboard, "b.png") == "2.0.0"
        eventually(lambda: state(dashboard) == "active", 30)
        service.kill()
        service.start()
        service.put("c.png", png(3))
        eventually(lambda: "c.png" in by_name(dashboard), 60)
        assert version(dashboard, "c.png") == "2.0.0"
        assert ask(dashboard, "models", action="rollback", release=release)["active"] is None
        assert ask(dashboard, "models", action="rollback", release=release)["active"] is None
        service.put("d.png", png(4))
        eventually(lambda: "d.png" in by_name(dashboard), 60)
        assert version(dashboard, "d.png") == "1.0.0"
        eventually(lambda: state(dashboard) == "left", 30)
        audited = [row["fields"]["action"] for row in audit.read(service.state, "models")]
        assert audited == ["switch", "switch", "switch", "rollback", "rollback"]
        sequence = [body["seq"] for body in by_name(dashboard).values()]
        assert sorted(sequence) == [1, 2, 3, 4]

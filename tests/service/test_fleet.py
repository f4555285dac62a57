"""Models over the fleet, with a real daemon, broker and web server: announced, fetched, checked, switched to, rolled back."""

from __future__ import annotations

import json
import shutil
import threading
from datetime import datetime, timezone
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from edge.fleet.shelf import Shelf
from edge.journal import audit
from edge.wire.release import encode_release
from tests.fakes.brokers import Listener, Mosquitto, eventually
from tests.fakes.http_server import HttpServer, answer
from tests.fleet.making import make_release
from tests.models.test_signature import Signer
from tests.service.running_daemon import PREFIX, Service, by_name, png, statuses

pytest.importorskip("cryptography")
pytestmark = pytest.mark.timeout(1800)  # a busy machine loads networks for minutes

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
    eventually(lambda: len(dashboard.on(f"/command/{command}/response")) > before, 300)
    told = dashboard.on(f"/command/{command}/response")[before].body
    return dict(told["result"] or {}) if told["ok"] else {"error": told["error"]}


def fleet(dashboard: Listener) -> dict[str, Any]:
    told = dashboard.on("/health")
    return dict(told[-1].body["fleet"]) if told else {"announced": None}


def state(dashboard: Listener) -> str | None:
    announced = fleet(dashboard)["announced"]
    return announced and str(announced["state"])


def reasons(dashboard: Listener) -> str:
    told = dashboard.on("/status")
    return "; ".join(told[-1].body["reasons"]) if told else ""


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


class Releases:
    """A web server with releases. stuck: set while it is to stop in the middle of each network."""

    def __init__(self) -> None:
        self.folders: dict[str, Path] = {}
        self.stuck, self.reached, self.goes_on = threading.Event(), threading.Event(), threading.Event()
        self.server = HttpServer()
        self.server.says = self._serve

    def _serve(self, handler: BaseHTTPRequestHandler, _number: int) -> None:
        _, release, name = handler.path.split("/")
        path = self.folders.get(release, Path("/nowhere")) / name
        if not path.is_file():
            answer(handler, 404)
            return
        data = path.read_bytes()
        begin = int((handler.headers["Range"] or "bytes=0-").removeprefix("bytes=").rstrip("-"))
        handler.send_response(206 if begin else 200)
        if begin:
            handler.send_header("Content-Range", f"bytes {begin}-{len(data) - 1}/{len(data)}")
        handler.send_header("Content-Length", str(len(data) - begin))
        handler.end_headers()
        half = len(data) // 2
        if self.stuck.is_set() and name.endswith(".onnx") and begin < half:
            handler.wfile.write(data[begin:half])
            self.reached.set()
            self.goes_on.wait(60)
            begin = half
        handler.wfile.write(data[begin:])


def test_announced_checked_switched_restarted_and_rolled_back(tmp_path: Path, broker: Mosquitto, signer: Signer) -> None:
    made = tmp_path / "made"
    release = make_release(made, signer, version="2.0.0")
    shutil.copytree(made, tmp_path / "share" / release)
    box = Box(tmp_path, broker, signer, str(tmp_path / "share"))
    with Listener(broker.port, f"{PREFIX}/#") as dashboard, box.service as service:
        say(dashboard, announcement(made, release))
        eventually(lambda: "online" in statuses(dashboard), 300)
        service.put("a.png", png(1))
        eventually(lambda: state(dashboard) == "ready", 600)
        assert fleet(dashboard)["candidate"] == release
        eventually(lambda: "a.png" in by_name(dashboard), 300)
        assert version(dashboard, "a.png") == "1.0.0"
        assert "no checked release" in ask(dashboard, "models", action="switch", release="a" * 64)["error"]
        told = {"active": release, "previous": None, "candidate": None}
        assert ask(dashboard, "models", action="switch", release=release) == told
        assert ask(dashboard, "models", action="switch", release=release) == told
        service.put("b.png", png(2))
        eventually(lambda: "b.png" in by_name(dashboard), 300)
        assert version(dashboard, "b.png") == "2.0.0"
        eventually(lambda: state(dashboard) == "active", 300)
        service.kill()
        service.start()
        service.put("c.png", png(3))
        eventually(lambda: "c.png" in by_name(dashboard), 300)
        assert version(dashboard, "c.png") == "2.0.0"
        assert ask(dashboard, "models", action="rollback", release=release)["active"] is None
        assert ask(dashboard, "models", action="rollback", release=release)["active"] is None
        service.put("d.png", png(4))
        eventually(lambda: "d.png" in by_name(dashboard), 300)
        assert version(dashboard, "d.png") == "1.0.0"
        eventually(lambda: state(dashboard) == "left", 300)
        audited = [row["fields"]["action"] for row in audit.read(service.state, "models")]
        assert audited == ["switch", "switch", "switch", "rollback", "rollback"]
        sequence = [body["seq"] for body in by_name(dashboard).values()]
        assert sorted(sequence) == [1, 2, 3, 4]


def test_what_cannot_be_taken_is_refused_in_words_and_a_kill_while_fetching_costs_nothing(
    tmp_path: Path, broker: Mosquitto, signer: Signer
) -> None:
    releases = Releases()
    made = {name: tmp_path / name for name in ("foreign", "broken", "older", "good")}
    stranger = Signer()
    ids = {
        "foreign": make_release(made["foreign"], stranger, version="6.6.6", heavy=False),
        "broken": make_release(made["broken"], signer, version="1.5.0", heavy=False),
        "older": make_release(made["older"], signer, version="1.9.0", at=1_600_000_000),
        "good": make_release(made["good"], signer, version="2.0.0", at=1_800_000_000),
    }
    releases.folders = {ids[name]: folder for name, folder in made.items()}
    with releases.server as server, Listener(broker.port, f"{PREFIX}/#") as dashboard:
        box = Box(tmp_path, broker, signer, f"http://127.0.0.1:{server.port}")
        with box.service as service:
            for payload, why in (
                (b"garbage", "is no JSON"),
                (announcement(made["good"], ids["good"], source="http://elsewhere"), "unknown key"),
                (announcement(made["foreign"], ids["foreign"]), "not what was signed"),
                (announcement(made["good"], "e" * 64), "has no SHA256SUMS of this release"),
                (announcement(made["broken"], ids["broken"]), "models are not taken"),
            ):
                say(dashboard, payload)
                eventually(lambda why=why: why in reasons(dashboard), 300, why)  # type: ignore[misc]
            assert not any(ids["foreign"] in one.target for one in server.asked)
            assert fleet(dashboard)["candidate"] is None
            releases.stuck.set()
            say(dashboard, announcement(made["good"], ids["good"]))
            eventually(releases.reached.is_set, 300)
            service.put("a.png", png(1))
            eventually(lambda: "a.png" in by_name(dashboard), 300)  # nothing waits for it
            service.kill()
            releases.stuck.clear()
            releases.goes_on.set()
            assert Shelf(service.state).releases() == ()
            service.start()
            eventually(lambda: state(dashboard) == "ready", 600)
            say(dashboard, announcement(made["older"], ids["older"]))
            eventually(lambda: "sign it anew" in reasons(dashboard), 300)
            assert ask(dashboard, "models", action="switch", release=ids["good"])["active"] == ids["good"]
            service.put("b.png", png(2))
            eventually(lambda: "b.png" in by_name(dashboard), 300)
            assert version(dashboard, "b.png") == "2.0.0"
            service.stop()
            network = Shelf(service.state).folder / ids["good"] / "segmenter.onnx"
            network.write_bytes(b"damaged" + network.read_bytes()[7:])
            service.start()
            service.put("c.png", png(3))
            eventually(lambda: "c.png" in by_name(dashboard), 300)
            assert version(dashboard, "c.png") == "1.0.0"
            eventually(lambda: "the chosen models are not used" in reasons(dashboard), 300)
            ask(dashboard, "models", action="drop", release=ids["good"])
            eventually(lambda: "the chosen models are not used" not in reasons(dashboard), 300)

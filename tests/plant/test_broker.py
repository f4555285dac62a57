"""The ready-made configuration of mosquitto, run as it stands but for folders and ports."""

from __future__ import annotations

import contextlib
import getpass
import os
import re
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from tests import ROOT
from tests.fakes.brokers import Mosquitto, eventually, free_port, needs_mosquitto
from tests.plant.conftest import DEVICE, PREFIX
from tests.service.running_daemon import Service, png

pytestmark = [pytest.mark.broker, needs_mosquitto]

TEXT = (ROOT / "docs" / "plant" / "mosquitto.conf").read_text(encoding="utf-8")
USERS = ("sem-01", "dashboard", "operator", "node-red")
DENIED = 0x87


class Plant(Mosquitto):
    """A broker with the ready-made configuration: the ports of its listeners by those in the file."""

    def __init__(self, folder: Path) -> None:
        self.ports = {number: free_port() for number in re.findall(r"^listener (\d+)", TEXT, re.MULTILINE)}
        super().__init__(folder, port=self.ports["1883"])

    def configure(self, *_: str) -> None:
        """Write it, with the files that it names."""
        certificates = ["sh", str(ROOT / "docs" / "plant" / "certificates.sh"), str(self.folder / "certs")]
        subprocess.run([*certificates, "localhost", "127.0.0.1"], check=True, capture_output=True)
        for number, name in enumerate(USERS):
            options = ["-b", *(["-c"] if number == 0 else [])]
            command = ["mosquitto_passwd", *options, str(self.folder / "passwd"), name, "secret"]
            subprocess.run(command, check=True, capture_output=True)
        (self.folder / "mosquitto.acl").write_text((ROOT / "docs" / "use" / "mosquitto.acl").read_text())
        text = TEXT.replace("/etc/mosquitto/", f"{self.folder}/").replace("/var/lib/mosquitto/", f"{self.folder / 'data'}/")
        for number, port in self.ports.items():
            text = re.sub(rf"^listener {number}\b", f"listener {port}", text, flags=re.MULTILINE)
        assert "/etc/" not in text
        (self.folder / "mosquitto.conf").write_text(f"user {getpass.getuser()}\nlog_dest stderr\n{text}")

    def _listens(self) -> bool:
        return super()._listens() and all(answers(port) for port in self.ports.values())

    @contextlib.contextmanager
    def client(self, user: str, listener: str = "1883", **options: Any) -> Iterator[Client]:
        """Somebody who has logged in through one of the listeners."""
        one = Client(self, user, listener, **options)
        try:
            yield one
        finally:
            one.close()


def answers(port: int) -> bool:
    with contextlib.suppress(OSError):
        socket.create_connection(("127.0.0.1", port), 1.0).close()
        return True
    return False


class Client:
    """One login. reasons: MQTT 5 reason codes of what it published, in order; heard: (topic, payload)."""

    def __init__(self, plant: Plant, user: str, listener: str, *, password: str = "secret", keep_s: int = 0) -> None:
        self.heard: list[tuple[str, bytes]] = []
        self.reasons: list[int] = []
        self.answer: list[int] = []
        self._done = threading.Event()
        self._client = mqtt.Client(
            CallbackAPIVersion.VERSION2,
            f"{user}-program",
            protocol=mqtt.MQTTv5,
            transport="websockets" if listener == "9001" else "tcp",
        )
        if user:
            self._client.username_pw_set(user, password)
        if listener != "1883":
            self._client.tls_set_context(ssl.create_default_context(cafile=str(plant.folder / "certs" / "ca.crt")))
        self._client.on_connect = lambda client, data, flags, reason, properties: self.answer.append(reason.value)
        self._client.on_subscribe = lambda *_: self._done.set()
        self._client.on_publish = lambda client, data, mid, reason, properties: self.reasons.append(reason.value)
        self._client.on_message = lambda client, data, message: self.heard.append((message.topic, bytes(message.payload)))
        session = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        session.SessionExpiryInterval = keep_s
        self._client.connect("localhost", plant.ports[listener], clean_start=not keep_s, properties=session)
        self._client.loop_start()
        eventually(lambda: self.answer, what="an answer to the login")

    def subscribe(self, topics: str) -> None:
        """And wait until the broker has said yes."""
        self._client.subscribe(topics, 1)
        assert self._done.wait(60)

    def say(self, topic: str, payload: bytes, *, retain: bool = False) -> int:
        """Publish; the broker's reason code, 0 for taken."""
        told = len(self.reasons)
        self._client.publish(topic, payload, 1, retain)
        eventually(lambda: len(self.reasons) > told, what=f"an acknowledgement of {topic}")
        return self.reasons[-1]

    def close(self) -> None:
        """Leave."""
        self._client.disconnect()
        self._client.loop_stop()


@pytest.fixture
def plant(tmp_path: Path) -> Iterator[Plant]:
    with Plant(tmp_path / "mosquitto") as started:
        yield started


@pytest.mark.parametrize("listener", ["1883", "8883", "9001"])
def test_who_has_a_password_comes_in_at_each_listener_and_nobody_else(listener: str, plant: Plant) -> None:
    for user, password, answer in [
        ("dashboard", "secret", 0),
        ("dashboard", "wrong", DENIED),
        ("", "", DENIED),
    ]:
        with plant.client(user, listener, password=password) as one:
            assert one.answer[0] == answer


def test_a_right_that_is_not_given_is_denied_in_words(plant: Plant) -> None:
    with plant.client("dashboard", "9001") as page, plant.client("sem-01", "8883") as microscope:
        page.subscribe(f"{PREFIX}/summary")
        assert page.say(f"{PREFIX}/command/pause", b"{}") == DENIED
        assert microscope.say("plant-1/lab/sem/sem-02/summary", b"{}") == DENIED
        assert microscope.say(f"{PREFIX}/summary", b"{}") == 0
        eventually(lambda: page.heard == [(f"{PREFIX}/summary", b"{}")])


def test_the_program_of_the_page_says_what_the_page_says(plant: Plant) -> None:
    page = (ROOT / "docs" / "use" / "plant.md").read_text(encoding="utf-8")
    command, answer = re.findall(r"^\$ (mosquitto_pub .*)\n(.*)$", page, re.MULTILINE)[0]
    command = command.replace("-h localhost", f"-h localhost -p {plant.port}")
    told = subprocess.run(["sh", "-c", command], env={**os.environ, "PASSWORD": "secret"}, capture_output=True, text=True)
    assert answer in told.stdout + told.stderr


def test_without_tls_nobody_comes_in_from_the_network(plant: Plant) -> None:
    assert re.findall(r"^listener (\d+)(.*)$", TEXT, re.MULTILINE) == [("1883", " 127.0.0.1"), ("8883", ""), ("9001", "")]
    plain = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5)
    plain.username_pw_set("dashboard", "secret")
    said: list[int] = []
    plain.on_connect = lambda client, data, flags, reason, properties: said.append(reason.value)
    lost = threading.Event()
    plain.on_disconnect = lambda *_: lost.set()
    plain.connect("127.0.0.1", plant.ports["8883"])
    plain.loop_start()
    assert lost.wait(60)
    plain.disconnect()
    plain.loop_stop()
    assert not said


def test_what_waits_and_what_is_retained_outlives_a_power_cut_of_the_broker(plant: Plant) -> None:
    with plant.client("dashboard", keep_s=3600) as historian:
        historian.subscribe(f"{PREFIX}/#")
    with plant.client("sem-01") as microscope:
        assert microscope.say(f"{PREFIX}/inspection", b"1") == 0
        assert microscope.say(f"{PREFIX}/summary", b"newest", retain=True) == 0
    plant.kill()
    plant.start()
    with plant.client("dashboard", keep_s=3600) as historian:
        eventually(lambda: len(historian.heard) == 2)
        assert historian.heard == [(f"{PREFIX}/inspection", b"1"), (f"{PREFIX}/summary", b"newest")]
    with plant.client("operator") as other, plant.client("node-red") as late:
        late.subscribe(f"{PREFIX}/summary")
        eventually(lambda: late.heard == [(f"{PREFIX}/summary", b"newest")])
        assert other.say(f"{PREFIX}/command/info", b"{}") == 0


def test_a_daemon_speaks_to_it_with_tls_and_a_browser_would_hear_it(plant: Plant, tmp_path: Path) -> None:
    (tmp_path / "password").write_text("secret")
    broker = {
        "host": "localhost",
        "tls": True,
        "ca_file": str(plant.folder / "certs" / "ca.crt"),
        "username": "sem-01",
        "password_file": str(tmp_path / "password"),
    }
    service = Service(tmp_path, plant.ports["8883"], device=DEVICE, mqtt=broker)
    with plant.client("dashboard", "9001") as page, service:
        page.subscribe("plant-1/lab/sem/+/summary")
        service.put("a.png", png(1))
        eventually(lambda: page.heard, 120)
        assert service.stop() == 0

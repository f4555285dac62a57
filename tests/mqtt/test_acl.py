"""The example of access rights, by the real mosquitto: what each user may do, and what nobody else may."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.reasoncodes import ReasonCode

from edge.journal import Journal
from tests import ROOT
from tests.fakes.brokers import Listener, Mosquitto, eventually, needs_mosquitto
from tests.mqtt.making import PREFIX, Publish, conclude, drained

pytestmark = [pytest.mark.broker, needs_mosquitto]

OTHER = "plant-1/lab/sem/sem-02"
SPOKEN = ("status", "inspection", "failure", "summary", "overlay/x", "health", "review")
ANSWER, COMMAND = "command/info/response", "command/info"
ALARM = "plant-1/lab/alarm/sem-01"
EVERYTHING = (
    *(f"{prefix}/{topic}" for prefix in (PREFIX, OTHER) for topic in (*SPOKEN, ANSWER, COMMAND)),
    "plant-1/lab/sem", "plant-2/lab/sem/sem-01/status", "plant-2/lab/sem/sem-01/command/info", "elsewhere",
    f"{PREFIX}/overlay/x/y", f"{PREFIX}/command/info/response/deeper", f"{PREFIX}/other", ALARM,
)  # fmt: skip


def under(prefix: str, *topics: str) -> set[str]:
    return {f"{prefix}/{topic}" for topic in topics}


MAY_WRITE = {
    "sem-01": under(PREFIX, *SPOKEN, ANSWER),
    "sem-02": under(OTHER, *SPOKEN, ANSWER),
    "dashboard": set(),
    "operator": under(PREFIX, COMMAND) | under(OTHER, COMMAND),
    "node-red": {ALARM},
    "stranger": set(),
}
MAY_READ = {
    "sem-01": under(PREFIX, COMMAND, "status", "summary"),
    "sem-02": under(OTHER, COMMAND, "status", "summary"),
    "dashboard": under(PREFIX, *SPOKEN) | under(OTHER, *SPOKEN),
    "operator": under(PREFIX, ANSWER, "status") | under(OTHER, ANSWER, "status"),
    "node-red": {f"{prefix}/{topic}" for prefix in (PREFIX, OTHER) for topic in ("status", "failure", "summary")},
    "stranger": set(),
}


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[Mosquitto]:
    """A broker with the example's rights, and a user who may do all so that a test sees what passes."""
    users, rights = tmp_path / "users", tmp_path / "rights"
    for number, name in enumerate((*MAY_WRITE, "witness")):
        options = ["-b", *(["-c"] if number == 0 else [])]
        subprocess.run(["mosquitto_passwd", *options, str(users), name, "secret"], check=True, capture_output=True)
    users.chmod(0o644)
    rights.write_text((ROOT / "docs" / "use" / "mosquitto.acl").read_text() + "\nuser witness\ntopic readwrite #\n")
    with Mosquitto(tmp_path / "guarded", "allow_anonymous false", f"password_file {users}", f"acl_file {rights}") as broker:
        yield broker


def heard_by(listener: Listener, end: str) -> set[str]:
    """Topics of all that was heard before the message on a topic that it may read, which ends the test."""
    eventually(lambda: any(message.payload == b"the end" for message in list(listener.heard)), what=end)
    return {message.topic for message in list(listener.heard) if message.payload == b"hello"}


@pytest.mark.parametrize("user", MAY_WRITE)
def test_a_user_may_write_what_is_written_there_and_nothing_else(user: str, guarded: Mosquitto) -> None:
    with (
        Listener(guarded.port, client_id="witness", username="witness", password="secret") as witness,
        Listener(guarded.port, "nothing", client_id="user", username=user, password="secret") as one,
    ):
        for topic in EVERYTHING:
            one.say(topic, b"hello")
        witness.say("end", b"the end")
        assert heard_by(witness, "end") == MAY_WRITE[user]


@pytest.mark.parametrize("user", [user for user, topics in MAY_READ.items() if topics])
def test_a_user_may_read_what_is_written_there_and_nothing_else(user: str, guarded: Mosquitto) -> None:
    with (
        Listener(guarded.port, "#", client_id="user", username=user, password="secret") as one,
        Listener(guarded.port, "nothing", client_id="witness", username="witness", password="secret") as witness,
    ):
        for topic in EVERYTHING:
            witness.say(topic, b"hello")
        last = min(MAY_READ[user])
        witness.say(last, b"the end")
        assert heard_by(one, last) == MAY_READ[user]


def test_who_is_not_known_is_not_taken_in(guarded: Mosquitto) -> None:
    answers: list[ReasonCode] = []
    client = mqtt.Client(CallbackAPIVersion.VERSION2, "nobody", protocol=mqtt.MQTTv5)
    client.username_pw_set("nobody", "secret")
    client.on_connect = lambda *answer: answers.append(answer[3])
    client.connect("127.0.0.1", guarded.port)
    client.loop_start()
    try:
        assert eventually(lambda: answers)[0].is_failure
    finally:
        client.loop_stop()


@pytest.mark.parametrize("protocol", [5, 311])
def test_the_daemon_needs_no_more_than_that(
    protocol: int, guarded: Mosquitto, journal: Journal, tmp_path: Path, publish: Publish
) -> None:
    (tmp_path / "secret").write_text("secret")
    conclude(journal, "a.tif", picture=b"picture")
    with (
        Listener(guarded.port, f"{PREFIX}/#", client_id="dashboard", username="dashboard", password="secret") as dashboard,
        Listener(guarded.port, f"{PREFIX}/#", client_id="operator", username="operator", password="secret") as operator,
    ):
        login = {"username": "sem-01", "password_file": str(tmp_path / "secret")}
        publisher = publish(guarded.port, on_command=lambda name, body: {"name": name}, protocol=protocol, **login)
        eventually(drained(journal))
        for topic in ("/status", "/inspection", "/summary", "/health"):
            eventually(lambda topic=topic: dashboard.on(topic))
        eventually(lambda: any("/overlay/" in message.topic for message in list(dashboard.heard)))
        operator.say(f"{PREFIX}/command/info", b"{}")
        eventually(lambda: operator.on("/command/info/response"))
        assert publisher.last_error is None
        assert not journal.outbox.dead_letters()

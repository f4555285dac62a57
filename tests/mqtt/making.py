"""Verdicts in a journal, and brokers that deny, as the tests of this folder need them."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

from edge.config import DeviceSettings
from edge.journal import Journal, Message, Verdict
from edge.mqtt.publisher import Publisher
from edge.records import Fingerprint
from edge.wire.encode import verdict_id
from tests.fakes.brokers import Listener, Mosquitto

DEVICE = DeviceSettings(site="plant-1", area="lab", id="sem-01")
PREFIX = "plant-1/lab/sem/sem-01"

Publish = Callable[..., Publisher]
"""Starts a publisher to a port, with settings and what the daemon would give it; it ends with the test."""


def conclude(journal: Journal, name: str, *, filler: int = 0, picture: bytes | None = None) -> int:
    """One verdict in the journal, as the pipeline would store it; its seq."""
    journal.ledger.admit(name, Fingerprint(1, 1))
    journal.ledger.begin(name)
    identity = verdict_id(journal.epoch, name, 1, 1)

    def make(seq: int) -> list[Verdict]:
        body = {"schema": "edge.inspection/2", "inspection_id": identity, "epoch": journal.epoch, "seq": seq}
        messages = [Message("verdict", "inspection", json.dumps({**body, "filler": "x" * filler}).encode())]
        if picture is not None:
            journal.pictures.write(f"{identity}.png", picture)
            messages.append(Message("overlay", f"overlay/{identity}", None, f"{identity}.png"))
        messages.append(Message("summary", "summary", json.dumps({"seq": seq}).encode()))
        return [Verdict(identity, "inspection", tuple(messages))]

    return journal.ledger.conclude(name, make)[0]


def seqs(listener: Listener) -> list[int]:
    return [message.body["seq"] for message in list(listener.heard) if message.topic.endswith(("inspection", "failure"))]


def drained(journal: Journal) -> Callable[[], bool]:
    return lambda: journal.outbox.unsent_count() == 0


def deny(folder: Path, *denied: str) -> None:
    """Write what user `edge` may do at the broker of `denying`, for its start or its `reload`."""
    topics = ["status", "inspection", "failure", "summary", "health", "overlay/+"]
    allowed = "\n".join(f"topic write {PREFIX}/{topic}" for topic in topics if topic not in denied)
    read = "\n".join(f"topic read {PREFIX}/{topic}" for topic in ("command/+", "status", "summary"))
    (folder / "rights").write_text(f"user edge\n{allowed}\n{read}\nuser dashboard\ntopic readwrite #\n")


def denying(folder: Path, *denied: str) -> tuple[Mosquitto, dict[str, str]]:
    """A broker whose user `edge` may not write to some topics, and how to log in to it as everyone else."""
    folder.mkdir()
    users, rights = folder / "users", folder / "rights"
    for number, name in enumerate(("edge", "dashboard")):
        options = ["-b", *(["-c"] if number == 0 else [])]
        subprocess.run(["mosquitto_passwd", *options, str(users), name, "secret"], check=True, capture_output=True)
    users.chmod(0o644)
    deny(folder, *denied)
    (folder / "secret").write_text("secret")
    lines = ("allow_anonymous false", f"password_file {users}", f"acl_file {rights}")
    return Mosquitto(folder / "broker", *lines), {"username": "edge", "password_file": str(folder / "secret")}

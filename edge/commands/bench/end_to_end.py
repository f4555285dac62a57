"""Settings and image files in, how long a verdict takes from the closed file to a subscriber out.

Broker and daemon are real and in processes of their own; this process writes the images and subscribes, so that both
moments are told by one clock. An image is written when the verdict on the last one is here. A verdict reaches a
subscriber as the broker acknowledges it to the daemon: mosquitto does both in one turn of its loop.
"""

from __future__ import annotations

import getpass
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from edge.cache import cache_folder
from edge.commands import demo
from edge.commands.bench import environment
from edge.commands.bench.environment import Meanwhile
from edge.config import CommandSettings
from edge.errors import BrokerError, EdgeError

PLACES = os.pathsep.join(["/usr/sbin", "/usr/local/sbin", "/opt/homebrew/sbin", os.environ.get("PATH", "")])
PREFIX = "edge-bench"
LONGEST_WAIT_S = 180.0
WARM_UP_ROUNDS = 1
TOTAL_STAGES = ("wait", "read", "decode", "segment", "masks", "measure", "classify")


@dataclass(frozen=True, slots=True)
class Arrival:
    """One image. total_ms: closed file to verdict.  timing_ms, ran_on: stages and backend, as the verdict itself says."""

    image: str
    total_ms: float
    timing_ms: Mapping[str, float]
    ran_on: str = ""

    def beside_networks(self, drawing_ms: Mapping[str, float]) -> float:
        """Without the two networks. drawing_ms: what the verdict counts to them that is none of theirs, by image."""
        return self.total_ms - self.timing_ms["segment"] - self.timing_ms["classify"] + drawing_ms.get(self.image, 0.0)


@dataclass(frozen=True, slots=True)
class EndToEnd:
    """What was measured, with which broker."""

    broker: str
    protocol: str
    arrivals: tuple[Arrival, ...]
    meanwhile: Meanwhile


@dataclass
class _Received:
    """What the subscriber got: arrival on this process's clock, and the verdict, by image name."""

    verdicts: dict[str, tuple[float, dict[str, Any]]] = field(default_factory=dict)
    state: str = "unknown"
    changed: threading.Condition = field(default_factory=threading.Condition)


def measure(settings: CommandSettings, paths: Sequence[Path], duration_s: float) -> EndToEnd:
    """Whole rounds over `paths` until `duration_s` are over, after a round that is not counted.

    Raises BrokerError when there is no broker or the daemon does not come up; the message has the daemon's last words.
    """
    with ExitStack() as opened:
        folder = Path(opened.enter_context(tempfile.TemporaryDirectory(prefix="edge-bench-")))
        watched = folder / "export"
        watched.mkdir()
        name, port, protocol = opened.enter_context(_broker(folder))
        received = opened.enter_context(_subscribed(port))
        process = opened.enter_context(_daemon(_for_daemon(settings, folder, watched, port, protocol), folder))
        try:
            _wait(received, lambda: received.state == "online", process)
            for number in range(WARM_UP_ROUNDS):
                for path in paths:
                    _deliver(path, watched, f"warm-{number}", received, process)
            arrivals: list[Arrival] = []
            with environment.watched() as meanwhile:
                end = time.monotonic() + duration_s
                while not arrivals or time.monotonic() < end:
                    number = len(arrivals) // len(paths)
                    arrivals += [_deliver(path, watched, f"{number:06d}", received, process) for path in paths]
        except _NoAnswerError as error:
            words = (folder / "daemon.log").read_text(errors="replace").strip().splitlines()[-3:]
            raise BrokerError(f"{error}; the daemon's last words: {' / '.join(words)}") from error
    return EndToEnd(name, {5: "MQTT 5", 311: "MQTT 3.1.1"}[protocol], tuple(arrivals), meanwhile)


class _NoAnswerError(EdgeError):
    """The daemon ended, or nothing came for `LONGEST_WAIT_S`."""


def _deliver(path: Path, watched: Path, mark: str, received: _Received, process: subprocess.Popen[bytes]) -> Arrival:
    """Write one image under a name of its own, and wait for the verdict on it."""
    name = f"{mark}_{path.name}"
    data = path.read_bytes()
    with (watched / name).open("wb") as stream:
        stream.write(data)
    closed = time.monotonic()
    _wait(received, lambda: name in received.verdicts, process)
    arrived, verdict = received.verdicts.pop(name)
    (watched / name).unlink()  # thousands of files would make the daemon's looks at the folder slow
    if verdict["schema"] != "edge.inspection/2":
        raise BrokerError(f"{path.name} failed in the daemon: {verdict['error']['message']}")
    timing_ms = {stage: verdict["timing_ms"][stage] for stage in TOTAL_STAGES}
    ran_on = f"{verdict['model']['backend']} {verdict['model']['precision']}"
    return Arrival(path.name, (arrived - closed) * 1e3, timing_ms, ran_on)


def _wait(received: _Received, until: Callable[[], bool], process: subprocess.Popen[bytes]) -> None:
    with received.changed:
        deadline = time.monotonic() + LONGEST_WAIT_S
        while not until():
            received.changed.wait(0.5)
            if process.poll() is not None:
                raise _NoAnswerError(f"the daemon ended with status {process.returncode}")
            if time.monotonic() > deadline:
                raise _NoAnswerError(f"the daemon sent nothing for {LONGEST_WAIT_S:.0f} s")


@contextmanager
def _broker(folder: Path) -> Iterator[tuple[str, int, int]]:
    """Name, port and newest MQTT version of a broker on loopback: mosquitto where it is installed, else amqtt."""
    _, port = demo.address(None)
    command = shutil.which("mosquitto", path=PLACES)
    if command is None:
        with demo.embedded_broker(port):  # raises BrokerError that says what to install
            yield "amqtt", port, 311
        return
    configuration = folder / "mosquitto.conf"
    configuration.write_text(
        f"listener {port} 127.0.0.1\nallow_anonymous true\nset_tcp_nodelay true\nuser {getpass.getuser()}\n"
    )
    with (folder / "broker.log").open("wb") as log:
        process = subprocess.Popen([command, "-c", str(configuration)], stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + LONGEST_WAIT_S
        while not _listens(port):
            if process.poll() is not None or time.monotonic() > deadline:
                raise BrokerError(f"mosquitto does not start: {(folder / 'broker.log').read_text()[-300:]}")
            time.sleep(0.02)
        yield "mosquitto", port, 5
    finally:
        process.terminate()
        process.wait()


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1.0).close()
    except OSError:
        return False
    return True


@contextmanager
def _subscribed(port: int) -> Iterator[_Received]:
    received = _Received()
    ready = threading.Event()

    def keep(_client: mqtt.Client, _data: Any, message: mqtt.MQTTMessage) -> None:
        arrived = time.monotonic()
        topic, body = message.topic.rpartition("/")[2], json.loads(message.payload or b"{}")
        with received.changed:
            if topic == "status":
                received.state = body.get("state", "unknown")
            else:
                received.verdicts.setdefault(body["image"]["name"], (arrived, body))
            received.changed.notify_all()

    def subscribe(*_: Any) -> None:
        client.subscribe([(f"{PREFIX}/{topic}", 1) for topic in ("status", "inspection", "failure")])

    client = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv311)
    client.on_connect = subscribe
    client.on_subscribe = lambda *_: ready.set()
    client.on_message = keep
    client.connect("127.0.0.1", port)
    client.loop_start()
    try:
        if not ready.wait(LONGEST_WAIT_S):
            raise BrokerError("the broker took no subscription")
        yield received
    finally:
        client.disconnect()
        client.loop_stop()


def _for_daemon(settings: CommandSettings, folder: Path, watched: Path, port: int, protocol: int) -> Path:
    """A configuration with the same models and thresholds, on the temporary folder and the broker on loopback."""
    sections = settings.model_dump(mode="json", by_alias=True)
    sections["watch"]["folder"] = str(watched)
    sections["state"]["folder"] = str(folder / "state")
    local = {"host": "127.0.0.1", "port": port, "protocol": protocol, "prefix": PREFIX, "overlay": settings.mqtt.overlay}
    sections["mqtt"] = local
    lines = []
    for section, values in sections.items():
        lines.append(f"[{section}]")
        lines += [f"{key} = {_toml(value)}" for key, value in values.items() if value is not None]
    (folder / "state").mkdir()
    for outcome in cache_folder().glob("parity-*.json"):  # what was compared here need not be compared again
        shutil.copy(outcome, folder / "state")
    path = folder / "config.toml"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def _toml(value: Any) -> str:
    """A JSON scalar, or an array of them, is the same in TOML; an object is an inline table."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {_toml(one)}" for key, one in value.items()) + "}"
    return json.dumps(value)


@contextmanager
def _daemon(config: Path, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """The real service; what the environment overrides is in the configuration already."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("EDGE_")}
    program = "import sys; from edge.commands.cli import daemon; sys.exit(daemon())"
    command = [sys.executable, "-c", program, "--config", str(config)]
    with (folder / "daemon.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=environ)
    try:
        yield process
    finally:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(10)
        if process.poll() is None:
            process.kill()
            process.wait()

"""The whole product on one machine: sample images go into an empty folder, inspections come out of a broker.

The broker is real (amqtt in a process of its own, or the one named), the daemon is the real `edge-daemon`, and this
process is a dashboard: it knows of the daemon only what it is sent.
"""

from __future__ import annotations

import asyncio
import importlib.util
import json
import logging
import multiprocessing
import multiprocessing.synchronize
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from edge.commands.report import of_state
from edge.errors import BrokerError, ConfigError, EdgeError
from edge.inspection import overlay
from edge.samples import sample_files
from edge.service.page import STILL_STARTING
from edge.web import users
from edge.web.serve import EXTRA

OWN_MARK = ".edge-demo"
LONGEST_WAIT_S = 180.0
INCOMPLETE_S = 4.0
SLOW_CHUNKS = 6
COLOURS = {"low": "32", "moderate": "33", "severe": "31", "unjudged": "36"}

LIVE_PORT = 8080
NO_PAGE, SERVED = "the live page does not run", "the live page is served at"
LIVE = """
[models]
taught = "state"

[web]
listen = "127.0.0.1:{port}"
users_file = {users}
"""

CONFIG = """\
[device]
site = "demo"
area = "{area}"
id = "sem-01"

[watch]
folder = {folder}
incomplete_s = {incomplete_s}
sidecar_wait_s = 0.5

[state]
folder = {state}

[mqtt]
host = {host}
port = {port}
protocol = 311
"""


@dataclass
class Dashboard:
    """What a subscriber learns, in the order of arrival."""

    verdicts: list[dict[str, Any]] = field(default_factory=list)
    arrived_at: dict[str, float] = field(default_factory=dict)
    pictures: dict[str, Path] = field(default_factory=dict)
    repeats: int = 0
    state: str = "unknown"
    reasons: tuple[str, ...] = ()
    changed: threading.Condition = field(default_factory=threading.Condition)

    def names(self) -> set[str]:
        """Names of the images that have a verdict."""
        return {verdict["image"]["name"] for verdict in self.verdicts}


def run(*, images: int, out: Path, broker: str | None, keep_open: bool) -> int:
    """Let `images` images arrive and print a summary line of JSON; 1 if anything was lost."""
    if images < 1:
        raise ConfigError("--images must be at least 1")
    host, port = address(broker)
    _empty_own_folder(out)
    folder = out / "export"
    folder.mkdir()
    samples = sample_files()
    with embedded_broker(port) if broker is None else _nothing(port) as port:
        area = f"run-{secrets.token_hex(3)}"
        config = _write_config(out, folder, host, port, area)
        live, there = _add_live_page(out, config)
        dashboard = Dashboard()
        with _subscribed(dashboard, host, port, f"demo/{area}/sem/sem-01", out), _daemon(config, out) as process:
            _wait(dashboard, lambda: ready(dashboard), process, "the daemon to come online", out)
            print(f"edge-daemon watches {folder}, the broker is {host}:{port}, pictures go to {out}", flush=True)
            if there:
                _wait(dashboard, lambda: without(dashboard) or SERVED in log_of(out), process, "the live page", out, fail=False)
                live, there = without(dashboard) or live, without(dashboard) is None
            print(f"{live}\n", flush=True)
            closed_at: dict[str, float] = {}
            for name, deliver in _deliveries(samples, images):
                _remember_deliveries(out, {*closed_at, name})
                deliver(folder / name)
                closed_at[name] = time.time()
                time.sleep(0.15)
            _wait(dashboard, lambda: set(closed_at) <= dashboard.names(), process, "the last verdict", out, fail=False)
            expected_pictures = sum(verdict["schema"] == "edge.inspection/2" for verdict in dashboard.verdicts)
            _wait(dashboard, lambda: len(dashboard.pictures) >= expected_pictures, process, "the pictures", out, fail=False)
            if keep_open:
                print(f"\n{live}\ncopy images into {folder}; Ctrl-C ends it", flush=True)
                _until_interrupted(process)
    page = _report(out)
    summary = summarise(dashboard, closed_at)
    print(f"\n{page}", flush=True)
    if there and not keep_open:
        print(f"with --keep-open the {live.partition(' (')[0]} stays, to look around and to review", flush=True)
    print(json.dumps(summary, separators=(",", ":")), flush=True)
    return 1 if summary["lost"] else 0


def without(dashboard: Dashboard) -> str | None:
    """Why there is no live page, None while nothing says so: one that is still starting comes."""
    found = (reason for reason in dashboard.reasons if reason.startswith(NO_PAGE) and not reason.endswith(STILL_STARTING))
    return next(found, None)


def log_of(out: Path) -> str:
    """What the daemon wrote so far."""
    return (out / "daemon.log").read_text(errors="replace")


def ready(dashboard: Dashboard) -> bool:
    """Whether images may come: the service is well, or lacks its live page alone, without which the demo goes on."""
    return dashboard.state == "online" or bool(dashboard.reasons and all(one.startswith(NO_PAGE) for one in dashboard.reasons))


def _report(out: Path) -> str:
    """A sentence on where the report is, or why there is none: the line of JSON comes all the same."""
    try:
        return f"open {of_state(out / 'state', out / 'index.html', 'edge-demo')} to read the report"
    except EdgeError as error:
        return f"there is no report: {error}"


def summarise(dashboard: Dashboard, closed_at: dict[str, float]) -> dict[str, Any]:
    """The `edge.demo/1` line. closed_at: when each image was complete, seconds since 1970, by name.

    duplicates: verdicts received again, or a second verdict on one image.
    """
    judged = [verdict["image"]["name"] for verdict in dashboard.verdicts]
    latencies = [
        (dashboard.arrived_at[name] - closed_at[name]) * 1e3
        for verdict in dashboard.verdicts
        if verdict["schema"] == "edge.inspection/2" and (name := verdict["image"]["name"]) in closed_at
    ]
    p50, p95 = np.percentile(latencies, [50, 95]) if latencies else (None, None)
    return {
        "schema": "edge.demo/1",
        "images": len(closed_at),
        "inspections": sum(verdict["schema"] == "edge.inspection/2" for verdict in dashboard.verdicts),
        "failures": sum(verdict["schema"] == "edge.failure/1" for verdict in dashboard.verdicts),
        "lost": len(set(closed_at) - set(judged)),
        "duplicates": dashboard.repeats + len(judged) - len(set(judged)),
        "p50_ms": None if p50 is None else round(float(p50), 1),
        "p95_ms": None if p95 is None else round(float(p95), 1),
    }


def _deliveries(samples: list[Path], images: int) -> Iterator[tuple[str, Callable[[Path], None]]]:
    """Names and ways in which images arrive: at once, slowly written, and one that is cut short."""
    broken = min(images, 3)
    good = 0
    for number in range(1, images + 1):
        if number == broken and images > 1:
            data = samples[0].read_bytes()
            yield f"cut_short{samples[0].suffix}", lambda path, data=data: _write_slowly(path, data[: len(data) // 3])  # type: ignore[misc]
            continue
        sample = samples[good % len(samples)]
        name = sample.name if good < len(samples) else f"{sample.stem}_{good // len(samples) + 1}{sample.suffix}"
        data = sample.read_bytes()
        slowly = good % 3 == 1
        good += 1
        yield name, lambda path, data=data, slowly=slowly: (_write_slowly if slowly else _write)(path, data)  # type: ignore[misc]


def _write(path: Path, data: bytes) -> None:
    path.write_bytes(data)


def _write_slowly(path: Path, data: bytes) -> None:
    step = -(-len(data) // SLOW_CHUNKS)
    with path.open("wb") as stream:
        for start in range(0, len(data), step):
            stream.write(data[start : start + step])
            stream.flush()
            time.sleep(0.1)


def address(broker: str | None) -> tuple[str, int]:
    """Host and port of HOST:PORT; a free port of this machine for None. Raises ConfigError."""
    if broker is None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            return "127.0.0.1", int(probe.getsockname()[1])
    host, separator, port = broker.rpartition(":")
    if not separator or not port.isdigit():
        raise ConfigError(f"--broker {broker!r} is not HOST:PORT")
    return host.strip("[]"), int(port)


def _empty_own_folder(out: Path) -> None:
    """A fresh folder; what an earlier demo left there goes, anything else is not touched.

    Raises ConfigError when there are files that no demo made, in the folder or among the images.
    """
    try:
        delivered = set(json.loads((out / OWN_MARK).read_text()))
    except (OSError, ValueError):
        delivered = None
    there = {path.name for path in out.iterdir()} if out.exists() else set()
    foreign = there if delivered is None else {path.name for path in (out / "export").glob("*")} - delivered
    if foreign:
        raise ConfigError(f"{out} holds files that are not from a demo ({min(foreign)}): name another folder with --out")
    if there:
        shutil.rmtree(out)
    out.mkdir(parents=True, exist_ok=True)
    _remember_deliveries(out, set())


def _remember_deliveries(out: Path, names: set[str]) -> None:
    (out / OWN_MARK).write_text(json.dumps(sorted(names)))


def _write_config(out: Path, folder: Path, host: str, port: int, area: str) -> Path:
    values = {
        "folder": json.dumps(str(folder.absolute())),
        "state": json.dumps(str((out / "state").absolute())),
        "host": json.dumps(host),
    }
    path = out / "config.toml"
    path.write_text(CONFIG.format(area=area, port=port, incomplete_s=INCOMPLETE_S, **values), encoding="utf-8")
    return path


def _add_live_page(out: Path, config: Path) -> tuple[str, bool]:
    """Have the service serve its live page, to a user of this run alone; what to tell a person, and whether there is one."""
    if any(importlib.util.find_spec(name) is None for name in ("starlette", "uvicorn")):
        return EXTRA, False
    password = secrets.token_hex(4)
    file = out / "users"
    users.write(file, {"demo": users.User("demo", users.hashed(password), "command")})
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", LIVE_PORT))
        except OSError:  # somebody else's
            probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    with config.open("a", encoding="utf-8") as stream:
        stream.write(LIVE.format(port=port, users=json.dumps(str(file.absolute()))))
    return f"live page: http://127.0.0.1:{port}/ (name demo, password {password})", True


@contextmanager
def _nothing(port: int) -> Iterator[int]:
    yield port


@contextmanager
def embedded_broker(port: int) -> Iterator[int]:
    """An MQTT 3.1.1 broker on loopback, in a process of its own."""
    context = multiprocessing.get_context("spawn")
    ready = context.Event()
    process = context.Process(target=_serve, args=(port, ready), name="broker", daemon=True)
    process.start()
    try:
        deadline = time.monotonic() + 30
        while not ready.wait(0.1):
            if not process.is_alive() or time.monotonic() > deadline:
                raise BrokerError("the embedded broker does not start: pip install 'sem-corrosion-edge[demo]'")
        yield port
    finally:
        process.terminate()
        process.join(5)


def _serve(port: int, ready: multiprocessing.synchronize.Event) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    logging.disable(logging.CRITICAL)
    from amqtt.broker import Broker

    async def serve() -> None:
        anonymous = {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}}
        listener = {"type": "tcp", "bind": f"127.0.0.1:{port}"}
        await Broker({"listeners": {"default": listener}, "plugins": anonymous}).start()
        ready.set()
        await asyncio.Event().wait()

    asyncio.run(serve())


@contextmanager
def _daemon(config: Path, out: Path) -> Iterator[subprocess.Popen[bytes]]:
    """The real service, its log in a file."""
    program = "import sys; from edge.commands.cli import daemon; sys.exit(daemon())"
    command = [sys.executable, "-c", program, "--config", str(config)]
    with (out / "daemon.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()


@contextmanager
def _subscribed(dashboard: Dashboard, host: str, port: int, prefix: str, out: Path) -> Iterator[None]:
    client = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv311)
    subscribed = threading.Event()

    def subscribe(*_: Any) -> None:
        client.subscribe(f"{prefix}/#", qos=1)

    client.on_connect = subscribe
    client.on_subscribe = lambda *_: subscribed.set()
    client.on_message = lambda _client, _data, message: _arrived(
        dashboard, message.topic[len(prefix) + 1 :], bytes(message.payload), out
    )
    try:
        client.connect(host, port)
    except OSError as error:
        raise BrokerError(f"no broker at {host}:{port}: {error}") from error
    client.loop_start()
    try:
        if not subscribed.wait(10):
            raise BrokerError(f"the broker at {host}:{port} took no subscription")
        yield
    finally:
        client.disconnect()
        client.loop_stop()


def _arrived(dashboard: Dashboard, topic: str, payload: bytes, out: Path) -> None:
    now = time.time()
    with dashboard.changed:
        if topic == "status":
            told = json.loads(payload) if payload else {}
            dashboard.state, dashboard.reasons = told.get("state", "unknown"), tuple(told.get("reasons", ()))
        elif topic in ("inspection", "failure"):
            verdict = json.loads(payload)
            identity = verdict.get("inspection_id") or verdict.get("failure_id") or verdict.get("verdict_id")
            if any(identity in (known.get("inspection_id"), known.get("failure_id")) for known in dashboard.verdicts):
                dashboard.repeats += 1
            else:
                dashboard.verdicts.append(verdict)
                dashboard.arrived_at.setdefault(verdict["image"]["name"], now)
                print(line(verdict), flush=True)
        elif topic.startswith("overlay/"):
            identity = topic.removeprefix("overlay/")
            picture = out / f"{identity}.webp"
            picture.write_bytes(payload)
            dashboard.pictures[identity] = picture
        dashboard.changed.notify_all()


def line(verdict: dict[str, Any]) -> str:
    """One verdict as a line for people."""
    name = verdict["image"]["name"]
    if verdict["schema"] != "edge.inspection/2":
        return _coloured(f"{'FAILED':<9}", "35") + f" {name:<34} {verdict['error']['code']}: {verdict['error']['message']}"
    severity, corrosion = verdict["severity"], verdict["corrosion"]
    label = severity["label"] or "unjudged"
    scale = "" if corrosion["area_um2"] is None else f", {overlay.four_figures(corrosion['area_um2'])} µm²"
    doubt = f"  review: {severity['reasons'][0]}" if severity["needs_review"] else ""
    return (
        _coloured(f"{label:<9}", COLOURS[label])
        + f" {name:<34} {corrosion['region_count']:>3} regions, {corrosion['area_fraction']:7.2%}{scale}"
        + f"  {verdict['timing_ms']['total']:.0f} ms{doubt}"
    )


def _coloured(text: str, code: str) -> str:
    return f"\033[{code}m{text}\033[0m" if sys.stdout.isatty() and "NO_COLOR" not in os.environ else text


def _wait(
    dashboard: Dashboard,
    until: Callable[[], object],
    process: subprocess.Popen[bytes],
    what: str,
    out: Path,
    *,
    fail: bool = True,
) -> None:
    """Wait for something to arrive; give up when nothing has come for LONGEST_WAIT_S, or the daemon has ended."""
    with dashboard.changed:
        deadline = time.monotonic() + LONGEST_WAIT_S
        while not until():
            came = dashboard.changed.wait(0.5)
            if came:
                deadline = time.monotonic() + LONGEST_WAIT_S
            if process.poll() is not None or time.monotonic() > deadline:
                problem = f"waited in vain for {what}; the daemon's log is {out / 'daemon.log'}"
                if fail:
                    raise BrokerError(problem)
                print(problem, file=sys.stderr)
                return


def _until_interrupted(process: subprocess.Popen[bytes]) -> None:
    try:
        process.wait()
    except KeyboardInterrupt:
        print()

"""The real service on a real folder with a real broker: what a plant sees, whatever is killed in between."""

from __future__ import annotations

import contextlib
import hashlib
import json
import multiprocessing
import multiprocessing.connection
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import jsonschema
import numpy as np
import psutil
import pytest
from numpy.typing import NDArray

from edge import config
from edge.errors import BackendError, ImageError, StateError
from edge.folder import file as intake
from edge.folder.scan import Sighting
from edge.folder.settle import Settler
from edge.inspection import overlay
from edge.inspection.pipeline import Pipeline
from edge.journal import Entry, Journal
from edge.records import Fingerprint, Inspection, ModelsUsed, Source, Timing
from edge.service import health as vitals
from edge.service import isolated as suspect
from edge.service import systemd as notify
from edge.service.daemon import Daemon, Decoded, Judged
from edge.wire import encode as wire
from tests import ROOT
from tests.conftest import pitted
from tests.fakes.brokers import Heard, Listener, Mosquitto, eventually, needs_mosquitto
from tests.sem.making import encoded, fei, jeol, png_header, specimen, tiff

SCHEMAS = ROOT / "docs" / "schemas"
PREFIX = "plant/lab/sem/s1"
COMMAND = [sys.executable, "-c", "import sys; from edge.commands.cli import daemon; sys.exit(daemon())"]

pytestmark = needs_mosquitto


class Service:
    """`edge-daemon` in a process of its own, with a folder, a state and a configuration."""

    def __init__(self, base: Path, port: int, **sections: dict[str, Any]) -> None:
        self.folder, self.state, self.log = base / "export", base / "state", base / "daemon.log"
        self.folder.mkdir(parents=True, exist_ok=True)
        self._config = base / "config.toml"
        defaults: dict[str, dict[str, Any]] = {
            "device": {"site": "plant", "area": "lab", "id": "s1"},
            "watch": {
                "folder": str(self.folder),
                "settle_s": 0.3,
                "rescan_s": 0.5,
                "incomplete_s": 1.0,
                "sidecar_wait_s": 0.0,
            },
            "models": {"backend": "onnxruntime"},
            "state": {"folder": str(self.state)},
            "mqtt": {"host": "127.0.0.1", "port": port},
        }
        for name, values in sections.items():
            defaults[name].update(values) if name in defaults else defaults.__setitem__(name, values)
        self._config.write_text(
            "\n".join(
                f"[{name}]\n" + "\n".join(f"{key} = {json.dumps(value)}" for key, value in values.items())
                for name, values in defaults.items()
            )
        )
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, environment: dict[str, str] | None = None) -> Service:
        """Start it; it is not waited for."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*COMMAND, "--config", str(self._config)],
                stdout=log,
                stderr=log,
                env={**os.environ, **(environment or {})},
                cwd=self.folder.parent,
            )
        return self

    def kill(self) -> None:
        """As the kernel would."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        """As systemd would; the exit status."""
        assert self.process is not None
        self.process.terminate()
        return self.process.wait(20)

    def put(self, name: str | bytes, data: bytes) -> None:
        """Let a file arrive, written in place."""
        with open(os.fsencode(self.folder) + b"/" + os.fsencode(name), "wb") as stream:
            stream.write(data)

    def said(self) -> str:
        """Its log so far."""
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def __enter__(self) -> Service:
        return self.start()

    def __exit__(self, *_: object) -> None:
        if self.process is not None and self.process.poll() is None:
            self.kill()
        print(self.said())


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    with Mosquitto(tmp_path / "broker") as running:
        yield running


def verdicts(listener: Listener) -> list[dict[str, Any]]:
    """Verdicts as a subscriber keeps them: repeats dropped by id."""
    seen: dict[str, dict[str, Any]] = {}
    for message in list(listener.heard):
        if message.topic in (f"{PREFIX}/inspection", f"{PREFIX}/failure"):
            body = message.body
            seen.setdefault(body.get("inspection_id") or body.get("failure_id") or "", body)
    return list(seen.values())


def by_name(listener: Listener) -> dict[str, dict[str, Any]]:
    return {verdict["image"]["name"]: verdict for verdict in verdicts(listener)}


def valid(verdict: dict[str, Any]) -> bool:
    name = verdict["schema"].removeprefix("edge.").partition("/")[0]
    schema = json.loads((SCHEMAS / f"{name}.json").read_text())
    jsonschema.validate(verdict, schema, jsonschema.Draft202012Validator)
    return True


def statuses(listener: Listener) -> list[str]:
    return [message.body["state"] for message in listener.on("/status")]


def png(seed: int) -> bytes:
    return encoded(pitted(160, 120, seed, 3), ".png")


def wait_until_online(listener: Listener) -> None:
    eventually(lambda: "online" in statuses(listener), 60, "online")


# The main job


def test_every_file_gets_one_verdict_though_broker_and_daemon_are_killed(tmp_path: Path, broker: Mosquitto) -> None:
    good = {f"image_{number:02d}.png": png(number) for number in range(24)}
    bad = {"short.tif": tiff(specimen())[:5000], "text.png": b"no image", "empty.jpg": b""}
    with Listener(broker.port, f"{PREFIX}/#") as dashboard, Service(tmp_path, broker.port) as service:
        wait_until_online(dashboard)
        arriving = iter([*list(good.items())[:12], *bad.items(), *list(good.items())[12:]])
        for number, (name, data) in enumerate(arriving):
            service.put(name, data)
            if number == 8:
                eventually(lambda: len(verdicts(dashboard)) >= 2, 60)
                broker.kill()
            if number == 16:
                service.kill()
                service.start()
            if number == 20:
                broker.start()
            time.sleep(0.05)  # images do not arrive all at once
        eventually(lambda: by_name(dashboard).keys() >= good.keys() | bad.keys(), 90, "all verdicts")
        found = verdicts(dashboard)
        assert Counter(verdict["image"]["name"] for verdict in found) == Counter([*good, *bad])
        assert all(valid(verdict) for verdict in found)
        assert {verdict["image"]["name"] for verdict in found if verdict["schema"] == "edge.failure/1"} == bad.keys()
        assert sorted(verdict["seq"] for verdict in found) == list(range(1, len(good) + len(bad) + 1))
        assert len({verdict["epoch"] for verdict in found}) == 1
        assert service.stop() == 0
    for name, data in {**good, **bad}.items():
        assert (service.folder / name).read_bytes() == data


def test_the_real_files_arrive_each_once(tmp_path: Path, broker: Mosquitto, shared_data: Path) -> None:
    files = [*(shared_data / "microscopes").iterdir(), *sorted((shared_data / "ebc_oxide" / "images").iterdir())[:6]]
    images = {path.name for path in files if path.suffix in (".tif", ".png")}
    failing = {"quanta_bad_metadata.tif", "quanta_just_modded_mdata.tif", "quanta_no_beam_scan_or_system_meta.tif"}
    with Listener(broker.port, f"{PREFIX}/#") as dashboard, Service(tmp_path, broker.port) as service:
        for number, path in enumerate(files):
            shutil.copy(path, service.folder)
            if number == 10:
                wait_until_online(dashboard)
                broker.kill()
                service.kill()
                service.start()
                broker.start()
        eventually(lambda: by_name(dashboard).keys() >= images, 200, "all verdicts")
        found = verdicts(dashboard)
        assert Counter(verdict["image"]["name"] for verdict in found) == Counter(images)
        assert all(valid(verdict) for verdict in found)
        assert {verdict["image"]["name"] for verdict in found if verdict["schema"] == "edge.failure/1"} == failing
        tescan = by_name(dashboard)["tescan-pfib_dataZeroed.tif"]["image"]
        assert tescan["pixel_size_nm"] == pytest.approx(1.5625)
        assert tescan["databar_px"] == 298


# Bad input


def test_each_bad_file_gets_its_failure_and_the_daemon_goes_on(tmp_path: Path, broker: Mosquitto) -> None:
    with Listener(broker.port, f"{PREFIX}/#") as dashboard, Service(tmp_path, broker.port) as service:
        outside = tmp_path / "elsewhere.png"
        outside.write_bytes(png(1))
        service.put("bomb.png", png_header(100_000, 100_000))
        service.put("empty.tif", b"")
        service.put("text.tif", b"this is no image at all")
        service.put("short.tif", tiff(specimen())[:9000])
        service.put("float.tif", tiff(np.full((64, 64), np.nan, np.float32)))
        service.put("black.png", encoded(np.zeros((90, 120), np.uint8), ".png"))
        service.put("dot.png", encoded(np.zeros((1, 1), np.uint8), ".png"))
        service.put("zeros.tif", tiff(specimen(96, 128))[:-4000] + bytes(4000))
        service.put("line\nbreak.png", png(2))
        service.put(b"byte\xff.png", png(3))
        (service.folder / "folder.tif").mkdir()
        os.mkfifo(service.folder / "pipe.tif")
        (service.folder / "link.png").symlink_to(outside)
        service.put("good.png", png(4))
        expected = {
            "bomb.png": "too_large",
            "empty.tif": "empty",
            "text.tif": "not_an_image",
            "short.tif": "truncated",
            "folder.tif": "not_a_file",
            "pipe.tif": "not_a_file",
            "link.png": "outside_folder",
        }
        inspected = {"float.tif", "black.png", "dot.png", "zeros.tif", "line\nbreak.png", "byte\\xff.png", "good.png"}
        eventually(lambda: by_name(dashboard).keys() >= expected.keys() | inspected, 90, "all verdicts")
        found = by_name(dashboard)
        assert {name: found[name]["error"]["code"] for name in expected} == expected
        assert all(found[name]["schema"] == "edge.inspection/1" for name in inspected)
        for name in ("float.tif", "black.png", "dot.png"):
            assert found[name]["quality"]["warnings"], name
        assert any(warning.startswith("zero") for warning in found["zeros.tif"]["quality"]["warnings"])
        assert service.process is not None
        assert service.process.poll() is None
        assert "export the image again" in service.said()


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_file_without_permission_fails_and_is_inspected_once_it_may_be_read(tmp_path: Path, broker: Mosquitto) -> None:
    with Listener(broker.port, f"{PREFIX}/#") as dashboard, Service(tmp_path, broker.port) as service:
        service.put("secret.png", png(1))
        (service.folder / "secret.png").chmod(0)
        eventually(lambda: [one for one in verdicts(dashboard) if one["schema"] == "edge.failure/1"], 60)
        (service.folder / "secret.png").chmod(0o644)
        eventually(lambda: [one for one in verdicts(dashboard) if one["schema"] == "edge.inspection/1"], 60)


def test_a_file_that_is_written_slowly_is_inspected_once_and_whole(tmp_path: Path, broker: Mosquitto) -> None:
    data = tiff(specimen())
    with (
        Listener(broker.port, f"{PREFIX}/#") as dashboard,
        Service(tmp_path, broker.port, watch={"incomplete_s": 30.0}) as service,
    ):
        wait_until_online(dashboard)
        with (service.folder / "slow.tif").open("wb") as stream:
            for start in range(0, len(data), 40_000):
                stream.write(data[start : start + 40_000])
                stream.flush()
                time.sleep(0.4)  # longer than settle_s: the structure alone tells that it is not whole
        eventually(lambda: verdicts(dashboard), 60)
        service.put("after.png", png(1))
        eventually(lambda: len(verdicts(dashboard)) == 2, 60)
        (slow,) = [verdict for verdict in verdicts(dashboard) if verdict["image"]["name"] == "slow.tif"]
        assert slow["schema"] == "edge.inspection/1"
        assert slow["image"]["sha256"] == hashlib.sha256(data).hexdigest()


# Revisions, runs, commands


def test_a_changed_file_is_a_new_revision(tmp_path: Path, broker: Mosquitto) -> None:
    with Listener(broker.port, f"{PREFIX}/#") as dashboard, Service(tmp_path, broker.port) as service:
        service.put("a.png", png(1))
        eventually(lambda: len(verdicts(dashboard)) == 1, 60)
        service.put("a.png", png(2))
        eventually(lambda: len(verdicts(dashboard)) == 2, 60)
        assert [verdict["image"]["revision"] for verdict in verdicts(dashboard)] == [1, 2]


def test_two_files_with_equal_bytes_are_two_inspections(tmp_path: Path, broker: Mosquitto) -> None:
    with Listener(broker.port, f"{PREFIX}/#") as dashboard, Service(tmp_path, broker.port) as service:
        service.put("a.png", png(1))
        service.put("b.png", png(1))
        eventually(lambda: by_name(dashboard).keys() == {"a.png", "b.png"}, 60)


def test_a_late_sidecar_gives_the_image_its_scale_as_a_new_revision(tmp_path: Path, broker: Mosquitto) -> None:
    with Listener(broker.port, f"{PREFIX}/#") as dashboard, Service(tmp_path, broker.port) as service:
        service.put("j.tif", tiff(specimen(960, 1280)))
        eventually(lambda: len(verdicts(dashboard)) == 1, 60)
        service.put("j.txt", jeol())
        eventually(lambda: len(verdicts(dashboard)) == 2, 60)
        first, second = verdicts(dashboard)
        assert first["image"]["pixel_size_nm"] is None
        assert first["corrosion"]["area_um2"] is None
        assert second["image"]["pixel_size_source"] == "sidecar"
        assert second["image"]["revision"] == 2


def test_a_sidecar_that_comes_in_time_is_waited_for(tmp_path: Path, broker: Mosquitto) -> None:
    with (
        Listener(broker.port, f"{PREFIX}/#") as dashboard,
        Service(tmp_path, broker.port, watch={"sidecar_wait_s": 20.0}) as service,
    ):
        wait_until_online(dashboard)
        service.put("j.tif", tiff(specimen(960, 1280)))
        service.put("f.tif", tiff(specimen(), {34682: fei()}))
        eventually(lambda: "f.tif" in by_name(dashboard), 60)
        service.put("j.txt", jeol())
        eventually(lambda: "j.tif" in by_name(dashboard), 60)
        assert by_name(dashboard)["j.tif"]["image"]["pixel_size_source"] == "sidecar"
        assert by_name(dashboard)["j.tif"]["image"]["revision"] == 1


def ask(dashboard: Listener, name: str, **fields: Any) -> dict[str, Any]:
    number = len(dashboard.on(f"/command/{name}/response"))
    dashboard.say(f"{PREFIX}/command/{name}", json.dumps(fields))
    answers: list[Heard] = eventually(lambda: dashboard.on(f"/command/{name}/response")[number:], 30)
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
        eventually(lambda: statuses(dashboard)[-1] == "degraded", 30)
        ask(dashboard, "resume")
        eventually(lambda: "b.png" in by_name(dashboard), 60)
        assert ask(dashboard, "info")["backend"] == "onnxruntime"


# Life and death


def test_a_restart_finds_what_arrived_meanwhile_and_repeats_nothing(tmp_path: Path, broker: Mosquitto) -> None:
    with Listener(broker.port, f"{PREFIX}/#") as dashboard, Service(tmp_path, broker.port) as service:
        service.put("before.png", png(1))
        eventually(lambda: len(verdicts(dashboard)) == 1, 60)
        assert service.stop() == 0
        service.put("meanwhile.png", png(2))
        service.start()
        eventually(lambda: len(verdicts(dashboard)) == 2, 60)
        service.put("after.png", png(3))
        eventually(lambda: len(verdicts(dashboard)) == 3, 60)
        assert [verdict["image"]["name"] for verdict in verdicts(dashboard)] == ["before.png", "meanwhile.png", "after.png"]
        assert len(dashboard.on("/inspection")) == 3


def test_existing_files_can_be_left_alone(tmp_path: Path, broker: Mosquitto) -> None:
    service = Service(tmp_path, broker.port, watch={"existing": "ignore"})
    service.put("old.png", png(1))
    with Listener(broker.port, f"{PREFIX}/#") as dashboard, service:
        wait_until_online(dashboard)
        eventually(lambda: "are ignored" in service.said(), 60)
        service.put("new.png", png(2))
        eventually(lambda: "new.png" in by_name(dashboard), 60)
        assert by_name(dashboard).keys() == {"new.png"}


def test_a_new_file_goes_before_the_backlog(tmp_path: Path, broker: Mosquitto) -> None:
    service = Service(tmp_path, broker.port)
    for number in range(30):
        service.put(f"old_{number:02d}.png", png(number))
    with Listener(broker.port, f"{PREFIX}/#") as dashboard, service:
        eventually(lambda: verdicts(dashboard), 60)
        service.put("new.png", png(99))
        eventually(lambda: "new.png" in by_name(dashboard), 60)
        assert len(verdicts(dashboard)) < 31


def test_a_clean_stop_says_offline_and_ends_with_status_0(tmp_path: Path, broker: Mosquitto) -> None:
    with Listener(broker.port, f"{PREFIX}/#") as dashboard, Service(tmp_path, broker.port) as service:
        wait_until_online(dashboard)
        assert service.stop() == 0
        eventually(lambda: statuses(dashboard)[-1] == "offline", 10)
        assert dashboard.on("/status")[-1].body["reasons"] == ["stopped"]


def test_a_stop_during_work_loses_nothing(tmp_path: Path, broker: Mosquitto) -> None:
    names = {f"{number}.png" for number in range(20)}
    with Listener(broker.port, f"{PREFIX}/#") as dashboard, Service(tmp_path, broker.port) as service:
        for name in names:
            service.put(name, png(int(name[:-4])))
        eventually(lambda: verdicts(dashboard), 60)
        assert service.stop() == 0
        service.start()
        eventually(lambda: by_name(dashboard).keys() == names, 90)
        assert "in a process of its own" not in service.said()


def test_a_killed_daemon_is_reported_offline_by_its_last_will(tmp_path: Path, broker: Mosquitto) -> None:
    with Listener(broker.port, f"{PREFIX}/#") as dashboard, Service(tmp_path, broker.port) as service:
        wait_until_online(dashboard)
        service.kill()
        eventually(lambda: statuses(dashboard)[-1] == "offline", 20)


def test_a_second_daemon_on_the_same_state_refuses_to_start(tmp_path: Path, broker: Mosquitto) -> None:
    with Listener(broker.port, f"{PREFIX}/#") as dashboard, Service(tmp_path, broker.port) as service:
        wait_until_online(dashboard)
        second = subprocess.run(
            [*COMMAND, "--config", str(tmp_path / "config.toml")], capture_output=True, timeout=60, check=False
        )
        assert second.returncode == 1
        assert service.process is not None
        assert str(service.process.pid) in second.stderr.decode()


def test_a_model_that_cannot_be_used_ends_the_daemon_with_status_2_and_its_reason(tmp_path: Path, broker: Mosquitto) -> None:
    with Service(tmp_path, broker.port, models={"segmenter": str(tmp_path / "nothing.onnx")}) as service:
        assert service.process is not None
        assert service.process.wait(60) == 2
        assert "nothing.onnx" in service.said()


def begun_but_not_finished(service: Service, name: str, times: int = 1) -> None:
    """Leave the trace of kills in the middle of an image."""
    with Journal.open(service.state) as journal:
        journal.admit_many([])
        status = (service.folder / name).stat()
        journal.admit(name, Fingerprint(status.st_size, status.st_mtime_ns))
        for _ in range(times):
            journal.recover()
            journal.begin(name)


def child_of(service: Service) -> psutil.Process | None:
    """The process in which a suspect is inspected, if there is one now."""
    assert service.process is not None
    for child in psutil.Process(service.process.pid).children():
        with contextlib.suppress(psutil.Error):  # one that was killed may still be a zombie
            if "spawn_main" in " ".join(child.cmdline()):
                return child
    return None


def test_an_image_that_a_kill_interrupted_is_inspected_last_in_a_child(tmp_path: Path, broker: Mosquitto) -> None:
    service = Service(tmp_path, broker.port)
    service.put("interrupted.png", png(1))
    begun_but_not_finished(service, "interrupted.png")
    service.put("other.png", png(2))
    with Listener(broker.port, f"{PREFIX}/#") as dashboard, service:
        eventually(lambda: by_name(dashboard).keys() == {"interrupted.png", "other.png"}, 90)
        assert by_name(dashboard)["interrupted.png"]["schema"] == "edge.inspection/1"
        assert "interrupted.png was begun and not finished" in service.said()


def test_an_image_whose_child_dies_twice_is_given_up_and_the_daemon_goes_on(tmp_path: Path, broker: Mosquitto) -> None:
    service = Service(tmp_path, broker.port)
    service.put("killer.png", png(1))
    begun_but_not_finished(service, "killer.png")
    with Listener(broker.port, f"{PREFIX}/#") as dashboard, service:
        for _ in range(2):
            child = eventually(lambda: child_of(service), 60, "a child that inspects")
            child.kill()
            eventually(lambda child=child: not child.is_running(), 60)
        (failure,) = eventually(lambda: verdicts(dashboard), 60)
        assert failure["error"]["code"] == "crashed"
        service.put("next.png", png(2))
        eventually(lambda: "next.png" in by_name(dashboard), 60)


def test_the_watched_folder_may_go_and_come_back(tmp_path: Path, broker: Mosquitto) -> None:
    with Listener(broker.port, f"{PREFIX}/#") as dashboard, Service(tmp_path, broker.port) as service:
        service.put("a.png", png(1))
        eventually(lambda: len(verdicts(dashboard)) == 1, 60)
        service.folder.rename(tmp_path / "unmounted")
        eventually(lambda: statuses(dashboard)[-1] == "degraded", 30)
        (tmp_path / "unmounted").rename(service.folder)
        eventually(lambda: statuses(dashboard)[-1] == "online", 30)
        service.put("b.png", png(2))
        eventually(lambda: len(verdicts(dashboard)) == 2, 60)


def test_systemd_is_told_ready_alive_and_stopping(tmp_path: Path, broker: Mosquitto) -> None:
    address = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(address)
        manager.settimeout(60)
        service = Service(tmp_path, broker.port)
        with service:
            service.kill()
            service.start({"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "1500000"})
            heard = [manager.recv(4096).decode() for _ in range(3)]
            assert heard[0].startswith("READY=1\n")
            assert heard[1] == heard[2] == "WATCHDOG=1"
            assert service.stop() == 0
            manager.setblocking(False)
            rest = []
            while True:
                try:
                    rest.append(manager.recv(4096).decode())
                except BlockingIOError:
                    break
            assert "STOPPING=1" in rest


def test_health_tells_queues_memory_and_what_runs(tmp_path: Path, broker: Mosquitto) -> None:
    with Listener(broker.port, f"{PREFIX}/#") as dashboard, Service(tmp_path, broker.port):
        health = eventually(lambda: dashboard.on("/health"), 60)[0].body
        assert valid(health)
        assert health["queue"]["unsent"] == 0


def test_the_picture_of_an_inspection_is_sent_under_its_id(tmp_path: Path, broker: Mosquitto) -> None:
    with Listener(broker.port, f"{PREFIX}/#") as dashboard, Service(tmp_path, broker.port) as service:
        service.put("a.png", png(1))
        (verdict,) = eventually(lambda: verdicts(dashboard), 60)
        (picture,) = eventually(lambda: dashboard.on(f"/overlay/{verdict['inspection_id']}"), 30)
        assert cv2.imdecode(np.frombuffer(picture.payload, np.uint8), cv2.IMREAD_COLOR) is not None


def test_pages_of_one_size_are_inspected_each(tmp_path: Path, broker: Mosquitto) -> None:
    pages = np.stack([specimen(96, 128, seed) for seed in range(3)])
    with Listener(broker.port, f"{PREFIX}/#") as dashboard, Service(tmp_path, broker.port) as service:
        service.put("stack.tif", tiff(pages, photometric="minisblack"))
        eventually(lambda: len(verdicts(dashboard)) == 3, 60)
        assert [verdict["image"]["page"] for verdict in verdicts(dashboard)] == [0, 1, 2]
        assert [verdict["seq"] for verdict in verdicts(dashboard)] == [1, 2, 3]


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small disk needs root")
def test_a_full_disk_pauses_the_intake_and_loses_nothing(tmp_path: Path, broker: Mosquitto) -> None:
    service = Service(tmp_path, broker.port)
    service.state.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=96m", "tmpfs", str(service.state)], check=False).returncode:
        pytest.skip("no small disk can be mounted here")
    try:
        ballast = service.state / "ballast"
        ballast.write_bytes(bytes(60 << 20))
        with Listener(broker.port, f"{PREFIX}/#") as dashboard, service:
            service.put("a.png", png(1))
            eventually(lambda: "degraded" in statuses(dashboard), 60)
            ballast.unlink()
            eventually(lambda: "a.png" in by_name(dashboard), 60)
            eventually(lambda: statuses(dashboard)[-1] == "online", 60)
            assert service.stop() == 0
    finally:
        subprocess.run(["umount", str(service.state)], check=False)


def test_a_stop_is_no_death_of_the_suspect(tmp_path: Path, broker: Mosquitto) -> None:
    service = Service(tmp_path, broker.port)
    service.put("slow.png", png(1))
    begun_but_not_finished(service, "slow.png")
    with Listener(broker.port, f"{PREFIX}/#") as dashboard, service:
        child = eventually(lambda: child_of(service), 60, "a child that inspects")
        child.send_signal(signal.SIGTERM)
        child.send_signal(signal.SIGINT)
        eventually(lambda: verdicts(dashboard), 60)
        assert "killed the process" not in service.said()


def test_the_child_of_a_killed_daemon_does_not_go_on(tmp_path: Path, broker: Mosquitto) -> None:
    service = Service(tmp_path, broker.port)
    service.put("long.tif", tiff(np.stack([specimen(96, 128)] * 2000), photometric="minisblack"))
    begun_but_not_finished(service, "long.tif")
    with service:
        child = eventually(lambda: child_of(service), 60, "a child that inspects")
        eventually(lambda: child.num_threads() > 2, 60, "its models")
        service.kill()
        eventually(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE, 10)


def test_an_image_is_not_given_up_for_any_number_of_kills_from_outside(tmp_path: Path, broker: Mosquitto) -> None:
    service = Service(tmp_path, broker.port)
    service.put("good.png", png(1))
    begun_but_not_finished(service, "good.png", 1000)
    with Listener(broker.port, f"{PREFIX}/#") as dashboard, service:
        (verdict,) = eventually(lambda: verdicts(dashboard), 60)
        assert verdict["schema"] == "edge.inspection/1"


# Its parts


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    """Wired, and not started."""
    folder = tmp_path / "export"
    folder.mkdir()
    settings = config.parse({"watch": {"folder": str(folder), "settle_s": 0.0}, "models": {"backend": "onnxruntime"}}, {})
    with Journal.open(tmp_path / "state") as journal:
        made = Daemon(settings, journal)
        yield made
        made._publisher.stop(0.0)


def begun(daemon: Daemon, name: str) -> Entry:
    daemon._journal.admit(name, Fingerprint(1, 1))
    return daemon._journal.begin(name)


def tell(daemon: Daemon, judged: Judged | None) -> None:
    if judged is not None:
        daemon._conclude(judged.entry, judged.source, judged.outcome)


def half_an_answer(sender: multiprocessing.connection.Connection, *_: object) -> None:
    os.write(sender.fileno(), b"\0\0\1\0half")
    os._exit(3)


def test_a_child_that_dies_in_the_middle_of_its_answer_has_died(daemon: Daemon, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(suspect, "_work", half_an_answer)
    outcome = suspect.inspect_in_child(daemon._settings, Path("x.png"), Source("x.png", "x.png", None))
    assert outcome == suspect.Died("exit status 3")


def test_a_child_that_takes_too_long_is_ended(daemon: Daemon) -> None:
    outcome = suspect.inspect_in_child(daemon._settings, Path("x.png"), Source("x.png", "x.png", None), longest_s=0.0)
    assert isinstance(outcome, suspect.Died)
    assert multiprocessing.active_children() == []


def told(daemon: Daemon, draw: Callable[[Inspection], NDArray[np.uint8]] | None = None) -> None:
    """An image is inspected and told; `draw` takes the place of the drawing."""
    (daemon._folder / "a.png").write_bytes(png(1))
    decoded = daemon._read(begun(daemon, "a.png"))
    with Pipeline(daemon._settings) as pipeline, pytest.MonkeyPatch.context() as patched:
        if draw is not None:
            patched.setattr(overlay, "draw", draw)
        tell(daemon, daemon._judge(pipeline, decoded))


class Killed(BaseException):
    """Ends what runs, as a kill would."""


def killed(_: Inspection) -> NDArray[np.uint8]:
    raise Killed


def drawn_at_the_next_start(daemon: Daemon) -> list[str]:
    with Pipeline(daemon._settings) as pipeline:
        daemon._draw_what_is_missing(pipeline)
    return [path.name for path in daemon._journal.pictures.iterdir()]


def test_a_defect_in_drawing_costs_that_picture_alone(daemon: Daemon) -> None:
    told(daemon, lambda _: 1 / 0)  # type: ignore[arg-type, return-value]
    verdict, overlay_row = daemon._journal.unsent()
    assert json.loads(verdict.payload or b"")["schema"] == "edge.inspection/1"
    assert not daemon._publisher.being_drawn(overlay_row.picture or "")


def test_the_verdict_does_not_wait_for_its_picture(daemon: Daemon) -> None:
    waiting: list[tuple[bool, bool]] = []

    def draw(_: Inspection) -> NDArray[np.uint8]:
        verdict, row = daemon._journal.unsent()
        waiting.append((verdict.role == "verdict", daemon._publisher.being_drawn(row.picture or "")))
        return np.zeros((32, 32, 3), np.uint8)

    told(daemon, draw)
    assert waiting == [(True, True)]
    assert daemon._journal.undrawn() == []


def test_a_picture_that_a_kill_left_out_is_drawn_at_the_next_start(daemon: Daemon) -> None:
    with pytest.raises(Killed):
        told(daemon, killed)
    (undrawn,) = daemon._journal.undrawn()
    assert drawn_at_the_next_start(daemon) == [undrawn.picture]
    assert daemon._journal.undrawn() == []


def test_a_picture_of_another_image_is_not_drawn(daemon: Daemon) -> None:
    with pytest.raises(Killed):
        told(daemon, killed)
    daemon._being_drawn.update(one.picture for one in daemon._journal.undrawn())
    (daemon._folder / "a.png").write_bytes(png(2))
    assert drawn_at_the_next_start(daemon) == []
    assert not daemon._being_drawn


def test_a_drawing_that_kills_is_given_up(daemon: Daemon) -> None:
    with pytest.raises(Killed):
        told(daemon, killed)
    for _ in range(2):
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(overlay, "draw", killed)
            with pytest.raises(Killed):
                drawn_at_the_next_start(daemon)
    assert drawn_at_the_next_start(daemon) == []


def test_an_image_that_is_given_up_does_not_wait_again_in_between(daemon: Daemon, monkeypatch: pytest.MonkeyPatch) -> None:
    """The decode thread would begin it once more."""
    monkeypatch.setattr(suspect, "inspect_in_child", lambda *_: suspect.Died("exit status -9"))
    waited = []
    encode = wire.encode_failure
    monkeypatch.setattr(
        wire, "encode_failure", lambda *args, **more: waited.extend(daemon._journal.waiting()) or encode(*args, **more)
    )
    for _ in range(2):
        entry = begun(daemon, "a.png")
        suspected = Decoded(entry, Source("a.png", "a.png", None), None, Timing(), 0.0)
        tell(daemon, daemon._judge(None, suspected))  # type: ignore[arg-type] # it is not used
    assert daemon._journal.unsent_count() == 1
    assert waited == []


def test_a_file_that_changes_whenever_it_is_read_holds_up_no_other(daemon: Daemon, monkeypatch: pytest.MonkeyPatch) -> None:
    def changing(*_: object, **__: object) -> intake.FileBytes:
        raise ImageError("still_changing", "it changed while it was read")

    monkeypatch.setattr(intake, "read_file", changing)
    decoded = daemon._read(begun(daemon, "a.png"))
    assert isinstance(decoded.outcome, ImageError)
    assert decoded.outcome.code == "still_changing"


def test_the_first_of_many_files_are_admitted_while_the_last_are_looked_at(
    daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge.service.daemon.ADMIT_S", 0.0)
    waiting: list[int] = []
    monkeypatch.setattr(daemon, "_awaits_more", lambda *_: waiting.append(len(daemon._journal.waiting())))
    files = [Sighting(f"{number}.png", 1, 1, "file") for number in range(3)]
    daemon._admit_finished(Settler(0.0, {}.get), files, {}, set())
    assert waiting == [0, 1, 2]


class Blind:
    """A pipeline that loads in every precision and runs in those that `works` names."""

    works: tuple[str, ...] = ("float32",)
    open_now = 0

    def __init__(self, settings: config.Settings, precision: str) -> None:
        self._precision = precision
        self.models = ModelsUsed(None, None, "openvino", precision)
        Blind.open_now += 1

    def inspect(self, *_: object) -> None:
        if self._precision not in self.works:
            raise BackendError("values are not numbers")

    def close(self) -> None:
        Blind.open_now -= 1


def test_a_precision_that_no_longer_runs_gives_way_to_float32(daemon: Daemon, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Blind, "open_now", 0)
    monkeypatch.setattr("edge.service.daemon.Pipeline", Blind)
    monkeypatch.setattr("edge.service.daemon.parity.gated_precision", lambda *_: ("float16", "it agreed"))
    daemon._working_pipeline()
    assert daemon._runs_on == ("openvino", "float32")
    assert Blind.open_now == 1


def test_a_float32_that_does_not_run_ends_the_daemon(daemon: Daemon, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Blind, "open_now", 0)
    monkeypatch.setattr(Blind, "works", ())
    monkeypatch.setattr("edge.service.daemon.Pipeline", Blind)
    monkeypatch.setattr("edge.service.daemon.parity.gated_precision", lambda *_: ("float32", "the reference"))
    with pytest.raises(BackendError, match="not numbers"):
        daemon._working_pipeline()
    assert Blind.open_now == 0


def test_it_is_not_online_before_the_models_are_loaded(daemon: Daemon) -> None:
    assert daemon._status().state == "degraded"


def test_a_folder_that_hangs_is_said(daemon: Daemon) -> None:
    daemon._doubt("start", None)
    assert daemon._status().state == "online"
    daemon._beats["scan"] -= 3600
    daemon.alive()
    assert "does not answer" in daemon._status().reasons[0]


def test_a_full_disk_is_over_once_there_is_room_also_without_an_image(daemon: Daemon, monkeypatch: pytest.MonkeyPatch) -> None:
    daemon._doubt("start", None)
    daemon._ready.set()
    roomy = shutil.disk_usage(daemon._journal.folder)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: roomy._replace(free=1))
    daemon._next_entry()
    assert daemon._status().state == "degraded"
    monkeypatch.setattr(shutil, "disk_usage", lambda _: roomy._replace(free=1 << 40))
    daemon._next_entry()
    assert daemon._status().state == "online"


def test_an_inspection_of_many_pages_ends_with_the_daemon(daemon: Daemon, tmp_path: Path) -> None:
    (tmp_path / "export" / "a.png").write_bytes(png(1))
    decoded = daemon._read(begun(daemon, "a.png"))
    daemon._stopping.set()
    assert daemon._judge(None, decoded) is None  # type: ignore[arg-type] # it is not used any more
    assert daemon._journal.unsent_count() == 0


def test_a_thread_that_meets_the_closed_journal_after_a_stop_has_not_failed(daemon: Daemon) -> None:
    def late() -> None:
        raise StateError("the journal is closed")

    daemon._stopping.set()
    daemon._guarded("inspect", late)
    assert daemon.failure is None


def test_suspects_are_counted_behind_any_number_of_new_images(daemon: Daemon) -> None:
    begun(daemon, "suspect.png")
    daemon._journal.recover()
    daemon._journal.admit_many([(f"{number}.png", Fingerprint(1, 1)) for number in range(1001)])
    assert vitals.queue(daemon._journal, 0.0).images_suspect == 1


def test_a_service_manager_that_does_not_listen_does_not_stop_the_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        telling = threading.Thread(target=lambda: [notify.tell("WATCHDOG=1") for _ in range(2000)], daemon=True)
        telling.start()
        telling.join(30)
        assert not telling.is_alive()

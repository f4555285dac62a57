"""A candidate beside the present models in a real service: nothing waits for it, and nothing of it goes out."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

pytest.importorskip("onnx")
pytest.importorskip("cryptography")

from edge.commands.models import models as edge_models
from edge.fleet.shelf import Shelf
from edge.journal.shadowed import Shadowed
from edge.service.shadow_child import NICEST
from tests.fakes.brokers import Listener, Mosquitto, eventually
from tests.service.candidates import KEY, models, on_shelf
from tests.service.running_daemon import PREFIX, Service, by_name, ended, png, verdicts
from tests.service.test_commands import ask


def box(tmp_path: Path, broker: Mosquitto) -> Service:
    """A service whose own models are signed, and which fetches releases from an empty folder."""
    own, source = models(tmp_path / "own", note="the plant's own"), tmp_path / "share"
    source.mkdir()
    named = {role: str(own / f"{role}.onnx") for role in ("segmenter", "classifier")} | {"regions": str(own / "regions.json")}
    return Service(tmp_path, broker.port, models={**named, "public_key": KEY.public_key}, fleet={"source": str(source)})


def shadow_of(dashboard: Listener) -> dict[str, Any]:
    """What health said last of the candidate, {} where there is none."""
    told = dashboard.on("/health")
    return dict((told[-1].body["fleet"] or {}).get("shadow") or {}) if told else {}


def child_of(service: Service) -> psutil.Process | None:
    """The candidate's process."""
    assert service.process is not None
    daemon = psutil.Process(service.process.pid)
    for child in daemon.children():
        with contextlib.suppress(psutil.Error):
            if child.nice() == min(daemon.nice() + NICEST, NICEST) and child.status() != psutil.STATUS_ZOMBIE:
                return child
    return None


def existing(find: Callable[[], psutil.Process | None]) -> psutil.Process:
    """A process, once it is there."""
    process = eventually(find, 60, "its process")
    assert process is not None
    return process


def test_a_candidate_sees_what_was_judged_and_says_nothing_on_the_broker(tmp_path: Path, broker: Mosquitto) -> None:
    service = box(tmp_path, broker)
    service.state.mkdir(mode=0o700)
    release = on_shelf(service.state, models(tmp_path / "candidate", severe=8.0))
    theirs, ours = (
        json.loads((folder / "classifier.json").read_text())["sha256"] for folder in (release.folder, tmp_path / "own")
    )
    with Listener(broker.port, "#") as dashboard, service:
        eventually(lambda: shadow_of(dashboard).get("state") == "running", 300, "a candidate that runs")
        service.put("a.png", png(1))
        service.put("b.png", png(2))
        eventually(lambda: shadow_of(dashboard).get("compared") == 2, 300, "both compared")
        assert {name: one["model"]["classifier"]["sha256"] for name, one in by_name(dashboard).items()} == dict.fromkeys(
            ("a.png", "b.png"), ours
        )
        assert sorted(one["seq"] for one in verdicts(dashboard)) == [1, 2]
        assert len(dashboard.on("/inspection")) == 2
        assert not any(theirs.encode() in message.payload for message in dashboard.heard)
        about = {message.topic for message in dashboard.heard if release.id.encode() in message.payload}
        assert about <= {f"{PREFIX}/health", f"{PREFIX}/status"}

        child = existing(lambda: child_of(service))
        child.kill()  # as when it crashes
        eventually(lambda: shadow_of(dashboard).get("failed") == 1, 300, "its end is counted")
        eventually(lambda: shadow_of(dashboard).get("state") == "running", 300, "it is started again")
        child = existing(lambda: child_of(service))
        service.kill()
        eventually(lambda: ended(child), 60)
        service.start()
        dashboard.heard.clear()
        eventually(lambda: shadow_of(dashboard).get("state") == "running", 300, "it runs after a kill")
        service.put("c.png", png(3))
        eventually(lambda: shadow_of(dashboard).get("compared") == 3, 300, "three compared")

        page = tmp_path / "changes.html"
        assert edge_models(["compare", "--config", str(service.config), "--out", str(page)]) == 0
        text = page.read_text()
        assert "→ severe" in text
        assert text.count("<img ") == 4  # c.png is severe for both
        ask(dashboard, "models", action="switch", release=release.id)
        eventually(lambda: child_of(service) is None, 60, "the end of the shadow run")
        service.put("d.png", png(4))
        eventually(lambda: "d.png" in by_name(dashboard), 120)
        assert by_name(dashboard)["d.png"]["model"]["classifier"]["sha256"] == theirs
        eventually(lambda: shadow_of(dashboard) == {}, 60)
        assert "killed the process" not in service.log_text()
    with Shadowed.view(service.state, release.id) as rows:
        assert [before["path"] for before, _ in rows.rows()] == ["a.png", "b.png", "c.png"]
        assert {after["severity"] for _, after in rows.rows()} == {"severe"}
        assert Shelf(service.state).standing().active == release.id


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A state folder with room for 300 MiB."""
    if os.geteuid() != 0:
        pytest.skip("mounting a small disk needs root")
    state = tmp_path / "state"
    state.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=300m", "tmpfs", str(state)], check=False).returncode:
        pytest.skip("no small disk can be mounted here")
    yield state
    subprocess.run(["umount", str(state)], check=False)


def test_on_a_disk_that_fills_the_candidate_stops_and_inspecting_goes_on(
    tmp_path: Path, broker: Mosquitto, small_disk: Path
) -> None:
    service = box(tmp_path, broker)
    on_shelf(small_disk, models(tmp_path / "candidate"))
    ballast = small_disk / "ballast"
    with Listener(broker.port, "#") as dashboard, service:
        eventually(lambda: shadow_of(dashboard).get("state") == "running", 300, "a candidate that runs")
        ballast.write_bytes(bytes(150 << 20))
        service.put("a.png", png(1))
        eventually(lambda: "MiB are free" in str(shadow_of(dashboard).get("problem")), 300, "it stops")
        eventually(lambda: "a.png" in by_name(dashboard), 60)
        service.put("b.png", png(2))
        eventually(lambda: "b.png" in by_name(dashboard), 60)
        ballast.unlink()
        eventually(lambda: shadow_of(dashboard).get("state") == "running", 300, "it goes on")
        service.put("c.png", png(3))
        eventually(lambda: shadow_of(dashboard).get("compared") == 1, 300, "c.png")
        assert service.stop() == 0

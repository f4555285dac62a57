"""The real service on a real folder with a real broker: what a plant sees, whatever is killed in between."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from edge.commands.demo import embedded_broker
from edge.config import Settings, parse
from edge.errors import BackendError, StateError
from edge.journal import Journal
from edge.service.daemon import Daemon, run_guarded
from edge.service.reports import Reports
from edge.service.shared import Shared
from edge.service.worker import Worker
from edge.wire.channel import Channel, Publication
from edge.wire.table import ChannelRow
from tests.fakes.brokers import Listener, Mosquitto, Proxy, eventually, free_port
from tests.sem.making import specimen, tiff
from tests.service.echo import Echo
from tests.service.one_image import begun
from tests.service.running_daemon import (
    COMMAND,
    PREFIX,
    Service,
    by_name,
    png,
    statuses,
    valid,
    verdicts,
    wait_until_online,
)


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


def test_a_daemon_killed_in_the_middle_of_images_gives_each_one_verdict_on_the_embedded_broker_too(tmp_path: Path) -> None:
    images = {f"image_{number:02d}.png": png(number) for number in range(40)}  # most come after the kill
    with (
        embedded_broker(free_port()) as port,
        Listener(port, f"{PREFIX}/#", protocol=311) as dashboard,
        Service(tmp_path, port, mqtt={"protocol": 311}) as service,
    ):
        wait_until_online(dashboard)
        for name, data in images.items():
            service.put(name, data)
        eventually(lambda: len(verdicts(dashboard)) >= 3, 60, "the first verdicts")
        service.kill()
        assert len(verdicts(dashboard)) < len(images)
        service.start()
        eventually(lambda: by_name(dashboard).keys() == images.keys(), 90, "all verdicts")
        found = verdicts(dashboard)
        assert Counter(verdict["image"]["name"] for verdict in found) == Counter([*images])
        assert all(verdict["schema"] == "edge.inspection/2" and valid(verdict) for verdict in found)
        assert sorted(verdict["seq"] for verdict in found) == list(range(1, len(images) + 1))
        assert len({verdict["epoch"] for verdict in found}) == 1
        assert service.stop() == 0


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


def test_a_clean_stop_says_offline_and_ends_with_status_0(tmp_path: Path, broker: Mosquitto) -> None:
    with Listener(broker.port, f"{PREFIX}/#") as dashboard, Service(tmp_path, broker.port) as service:
        wait_until_online(dashboard)
        assert service.stop() == 0
        eventually(lambda: statuses(dashboard)[-1] == "offline")
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
        assert "in a process of its own" not in service.log_text()


def test_a_killed_daemon_is_reported_offline_by_its_last_will(tmp_path: Path, broker: Mosquitto) -> None:
    with Listener(broker.port, f"{PREFIX}/#") as dashboard, Service(tmp_path, broker.port) as service:
        wait_until_online(dashboard)
        service.kill()
        eventually(lambda: statuses(dashboard)[-1] == "offline")


def test_a_second_daemon_on_the_same_state_refuses_to_start(tmp_path: Path, broker: Mosquitto) -> None:
    with Listener(broker.port, f"{PREFIX}/#") as dashboard, Service(tmp_path, broker.port) as service:
        wait_until_online(dashboard)
        second = subprocess.run(
            [*COMMAND, "--config", str(tmp_path / "config.toml")], capture_output=True, timeout=60, check=False
        )
        assert second.returncode == 1
        assert service.process is not None
        assert str(service.process.pid) in second.stderr.decode()


def test_a_second_daemon_refuses_to_start_though_the_lock_file_was_removed(tmp_path: Path, broker: Mosquitto) -> None:
    with Listener(broker.port) as listener, Service(tmp_path, broker.port) as service:
        wait_until_online(listener)
        (service.state / "lock").unlink()
        with Service(tmp_path, broker.port) as second:
            assert second.process is not None
            assert second.process.wait(60) == 1
        eventually((service.state / "lock").exists, 60, "the lock file is put back")
        assert service.stop() == 0


def test_a_model_that_cannot_be_used_ends_the_daemon_with_status_2_and_its_reason(tmp_path: Path, broker: Mosquitto) -> None:
    with Service(tmp_path, broker.port, models={"segmenter": str(tmp_path / "nothing.onnx")}) as service:
        assert service.process is not None
        assert service.process.wait(60) == 2
        assert "nothing.onnx" in service.log_text()


@pytest.fixture
def daemon(settings: Settings, journal: Journal) -> Iterator[Daemon]:
    """Wired, and not started."""
    made = Daemon(settings, journal)
    yield made
    for publisher in made._publishers:
        publisher.stop(0.0)


def test_the_channels_that_the_settings_want_are_opened(
    settings: Settings, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []

    def row(name: str, wanted: bool) -> ChannelRow:
        def open_channel(_: Settings) -> Channel:
            opened.append(name)
            return Echo(name)

        return ChannelRow(name, lambda _: wanted, open_channel)

    monkeypatch.setattr("edge.service.daemon.CHANNELS", (row("a", True), row("b", False), row("c", True)))
    made = Daemon(settings, journal)
    assert opened == ["a", "c"]
    for publisher in made._publishers:
        publisher.stop(0.0)


def broken_rows() -> tuple[ChannelRow, ...]:
    """A format that cannot be asked, one that cannot be opened, one that takes another's name, and a good one."""

    def broken(_: Settings) -> Channel:
        raise KeyError("a defect")

    return (
        ChannelRow("unasked", lambda _: bool(1 / 0), lambda _: Echo("unasked")),
        ChannelRow("unopened", lambda _: True, broken),
        ChannelRow("impostor", lambda _: True, lambda _: Echo("good")),
        ChannelRow("good", lambda _: True, lambda _: Echo("good")),
    )


def test_a_channel_that_cannot_be_opened_is_told_and_what_waits_for_it_is_kept(
    settings: Settings, journal: Journal, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("edge.service.daemon.CHANNELS", broken_rows())
    made = Daemon(settings, journal)
    made._shared.status.report("start", None)
    assert Reports(settings, journal, made._shared).status().reasons == (
        "channel unasked cannot be opened: ZeroDivisionError('division by zero')",
        "channel unopened cannot be opened: KeyError('a defect')",
        "channel impostor cannot be opened: ValueError(\"its row opens a channel named 'good'\")",
    )
    assert caplog.text.count("Traceback") == 3
    assert made._channels == {"unasked", "unopened", "impostor", "good"}
    assert len(made._publishers) == 2
    for publisher in made._publishers:
        publisher.stop(0.0)


class Mourned(Echo):
    """Its last words are acknowledged, or waited for."""

    def announce(self) -> Sequence[Publication]:
        return (Publication(f"{self.name}/born", b""),)

    def will(self) -> Publication | None:
        return Publication(f"{self.name}/died", b"")


def test_all_connections_are_ended_side_by_side(
    tmp_path: Path, journal: Journal, broker: Mosquitto, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = tuple(ChannelRow(name, lambda _: True, lambda _, name=name: Mourned(name)) for name in "abcd")  # type: ignore[misc]
    monkeypatch.setattr("edge.service.daemon.CHANNELS", rows)
    monkeypatch.setattr("edge.service.daemon.STOP_S", 4.0)
    with Proxy(broker.port, swallow_acknowledgements=True) as proxy, Listener(broker.port) as dashboard:
        settings = parse({"watch": {"folder": str(tmp_path)}, "mqtt": {"host": "127.0.0.1", "port": proxy.port}}, {})
        made = Daemon(settings, journal)
        made._threads = []
        for publisher in made._publishers:
            publisher.start()
        eventually(lambda: len(dashboard.on("/born")) == 4 and dashboard.on("/status"))
        began = time.monotonic()
        made.stop()
        assert time.monotonic() - began < 6.0, "one after the other they take half of it each"
        eventually(lambda: len(dashboard.on("/died")) == 4 and statuses(dashboard)[-1] == "offline")
        eventually(lambda: all(publisher.stopped() for publisher in made._publishers))


def test_a_state_folder_that_is_no_longer_there_ends_the_daemon(daemon: Daemon, journal: Journal) -> None:
    assert daemon.failure is None
    journal.folder.rename(journal.folder.with_name("elsewhere"))
    assert not daemon.alive()
    assert "removed or replaced" in str(daemon.failure)


def test_a_folder_that_hangs_is_reported(daemon: Daemon, settings: Settings, journal: Journal) -> None:
    shared = daemon._shared
    reports = Reports(settings, journal, shared)
    shared.status.report("start", None)
    assert reports.status().state == "online"
    shared.status._moved_at["scanner"] -= 3600
    daemon.alive()
    assert "does not answer" in reports.status().reasons[0]


def test_a_thread_that_meets_the_closed_journal_after_a_stop_has_not_failed(
    settings: Settings, journal: Journal, shared: Shared
) -> None:
    class Late(Worker):
        name = "late"

        def run(self) -> None:
            raise StateError("the journal is closed")

    shared.stopping.set()
    run_guarded(Late(settings, journal, shared))
    assert shared.failure is None
    assert not shared.failed.is_set()


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), BaseException("a panic"), ValueError("a defect")])
def test_whatever_ends_a_thread_ends_the_process(
    settings: Settings, journal: Journal, shared: Shared, error: BaseException
) -> None:
    class Broken(Worker):
        name = "broken"

        def run(self) -> None:
            raise error

    run_guarded(Broken(settings, journal, shared))
    assert shared.failure is error
    assert shared.failed.is_set()


@pytest.mark.parametrize(("failure", "attempts"), [(None, 0), (BackendError("the network fails"), 1)])
def test_what_was_begun_is_given_back_by_a_stop_and_suspected_after_a_failure(
    daemon: Daemon, journal: Journal, failure: Exception | None, attempts: int
) -> None:
    """Else an image at which the networks fail would be the first again in the next life, and in all that follow."""
    begun(journal, "a.png")
    daemon._shared.begun.add(["a.png"])
    if failure is not None:
        daemon._shared.fail(failure)
    daemon._threads.clear()  # none was started
    daemon.stop()
    journal.ledger.recover()
    assert journal.ledger.entries()["a.png"].attempts == attempts

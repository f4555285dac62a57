"""Being woken by what happens in a real folder, with real events."""

from __future__ import annotations

import errno
import logging
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from edge.folder.events import FolderEvents, network_file_system
from edge.folder.scan import FolderGone, Stamp, scan
from edge.folder.settle import Settler
from edge.journal import Journal

PATTERNS = ("*.tif", "*.png")
LOCAL = "/dev/sda1 / ext4 rw 0 0\n"
PATIENCE_S = 30.0


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        ("//nas/sem /srv/sem cifs rw 0 0", "cifs"),
        ("nas:/sem /srv nfs4 rw 0 0", "nfs4"),
        ("pc@host: /srv/sem fuse.sshfs rw 0 0", "fuse.sshfs"),
        ("/dev/sdb1 /srv/sem fuseblk rw 0 0", None),
        ("/dev/sdb1 /srv/sem ext4 rw 0 0", None),
        ("//nas/sem /srv/se cifs rw 0 0", None),
    ],
)
def test_network_file_systems_are_told_from_local_ones(line: str, kind: str | None) -> None:
    assert network_file_system(Path("/srv/sem/export"), LOCAL + line + "\n") == kind


def test_the_last_and_innermost_mount_counts() -> None:
    automounted = LOCAL + "systemd-1 /srv/a\\040b autofs rw 0 0\n//nas/sem /srv/a\\040b cifs rw 0 0\n"
    assert network_file_system(Path("/srv/a b/export"), automounted) == "cifs"
    assert network_file_system(Path("/srv/a b/local/x"), automounted + "/dev/sdb1 /srv/a\\040b/local ext4 rw 0 0\n") is None


def until(condition: Callable[[], bool], wake: threading.Event | None = None) -> None:
    """Poll until it holds; wait for `wake` between."""
    deadline = time.monotonic() + PATIENCE_S
    pause = wake or threading.Event()
    while not condition():
        assert time.monotonic() < deadline, "it never came true"
        pause.wait(0.02)
        pause.clear()


@pytest.fixture
def wake() -> threading.Event:
    return threading.Event()


@pytest.fixture
def events(folder: Path, wake: threading.Event) -> Iterator[FolderEvents]:
    with FolderEvents(folder, wake, mounts=lambda: LOCAL) as events:
        if events.state != "on":
            pytest.skip(f"no folder events on this machine: {events.state}")
        yield events


def hears(events: FolderEvents, path: str, wake: threading.Event) -> Stamp:
    heard: dict[str, Stamp] = {}

    def told() -> bool:
        heard.update(events.take())
        return path in heard

    until(told, wake)
    return heard[path]


def test_a_file_that_is_written_and_closed_wakes_and_is_ready_at_once(
    folder: Path, events: FolderEvents, wake: threading.Event, settler: Settler
) -> None:
    (folder / "a.tif").write_bytes(b"123")
    assert wake.wait(PATIENCE_S)
    stamp = hears(events, "a.tif", wake)
    assert stamp == (3, (folder / "a.tif").stat().st_mtime_ns)
    assert [one.closed for one in settler.observe(scan(folder, PATTERNS), 0.0, {"a.tif": stamp})] == [True]


@pytest.mark.parametrize("origin", ["export/.a.part", "elsewhere.tif"])
def test_a_file_that_is_renamed_into_place_is_heard(
    folder: Path, events: FolderEvents, wake: threading.Event, origin: str
) -> None:
    (folder.parent / origin).write_bytes(b"123")
    (folder.parent / origin).rename(folder / "a.tif")
    assert hears(events, "a.tif", wake)[0] == 3


def test_a_slow_writer_is_heard_only_when_it_is_done(folder: Path, events: FolderEvents, wake: threading.Event) -> None:
    with (folder / "slow.tif").open("wb") as slow:
        slow.write(b"1")
        slow.flush()
        (folder / "quick.tif").write_bytes(b"")
        until(lambda: "quick.tif" in events.take(), wake)
        assert "slow.tif" not in events.take()
        slow.write(b"23")
    assert hears(events, "slow.tif", wake)[0] == 3


def test_files_in_new_subfolders_and_of_odd_names_are_heard(folder: Path, events: FolderEvents, wake: threading.Event) -> None:
    (folder / "x/y").mkdir(parents=True)
    odd = "x/y/" + os.fsdecode(b"\xff\n.tif")

    def heard() -> bool:
        (folder / odd).write_bytes(b"123")
        return odd in events.take()

    until(heard, wake)


def test_subfolders_are_not_listened_to_when_not_recursive(folder: Path, wake: threading.Event) -> None:
    (folder / "x").mkdir()
    with FolderEvents(folder, wake, recursive=False, mounts=lambda: LOCAL) as events:
        if events.state != "on":
            pytest.skip(events.state)
        (folder / "x/a.tif").write_bytes(b"")
        (folder / "b.tif").write_bytes(b"")
        heard: set[str] = set()

        def told() -> bool:
            heard.update(events.take())
            return "b.tif" in heard

        until(told, wake)
        assert heard == {"b.tif"}


@pytest.mark.parametrize("how", ["renamed", "removed"])
def test_after_the_folder_was_replaced_the_new_one_is_listened_to(
    folder: Path, events: FolderEvents, wake: threading.Event, how: str
) -> None:
    folder.rename(folder.with_name("old")) if how == "renamed" else folder.rmdir()
    if how == "removed":
        events.check()
        assert events.state == "off: the folder is not there"
    folder.mkdir()
    wake.clear()
    events.check()
    assert (events.state, wake.is_set()) == ("on", True)
    (folder / "a.tif").write_bytes(b"")
    hears(events, "a.tif", wake)


def test_a_folder_removed_and_made_again_between_two_checks_is_listened_to(
    folder: Path, events: FolderEvents, wake: threading.Event
) -> None:
    folder.rmdir()
    folder.mkdir()  # often gets the same inode

    def heard() -> bool:
        events.check()
        (folder / "a.tif").write_bytes(b"")
        return "a.tif" in events.take()

    until(heard, wake)


def test_a_folder_that_is_a_link_is_listened_to(folder: Path, tmp_path: Path, wake: threading.Event) -> None:
    (tmp_path / "alias").symlink_to(folder)
    with FolderEvents(tmp_path / "alias", wake, mounts=lambda: LOCAL) as events:
        if events.state != "on":
            pytest.skip(events.state)
        (folder / "a.tif").write_bytes(b"123")
        assert hears(events, "a.tif", wake)[0] == 3


def test_listening_that_broke_down_is_taken_up_again(folder: Path, events: FolderEvents, wake: threading.Event) -> None:
    assert events._observer is not None
    for emitter in events._observer.emitters:
        emitter.stop()
        emitter.join()
    events.check()
    (folder / "a.tif").write_bytes(b"")
    hears(events, "a.tif", wake)


def test_an_event_that_cannot_be_used_does_not_end_listening(
    folder: Path, events: FolderEvents, wake: threading.Event, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def breaks(path: str | None) -> None:
        raise RuntimeError("a defect")

    with monkeypatch.context() as broken:
        broken.setattr(events, "_remember", breaks)
        (folder / "a.tif").write_bytes(b"")
        until(lambda: "could not be used" in caplog.text)
    (folder / "b.tif").write_bytes(b"")
    hears(events, "b.tif", wake)


def test_a_network_share_is_not_listened_to(folder: Path, wake: threading.Event, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    share = f"{LOCAL}//nas/sem {folder} cifs rw 0 0\n"
    with FolderEvents(folder, wake, mounts=lambda: share) as events:
        events.check()
        assert events.state.startswith("off: cifs")
        assert events.take() == {}
    assert caplog.text.count("cifs") == 1


@pytest.mark.parametrize("mode", ["auto", "off"])
def test_a_share_that_is_no_longer_mounted_is_told_from_an_empty_folder(folder: Path, wake: threading.Event, mode: Any) -> None:
    mounts = [f"{LOCAL}//nas/sem {folder} cifs rw 0 0\n"]
    with FolderEvents(folder, wake, mode=mode, mounts=lambda: mounts[0]) as events:
        mounted = folder.rename(folder.with_name("mounted"))
        folder.mkdir()
        share, mounts[0] = mounts[0], LOCAL
        for _ in range(2):
            with pytest.raises(FolderGone, match="no longer mounted"):
                events.check()
        folder.rmdir()
        mounted.rename(folder)
        mounts[0] = share
        events.check()


def test_switched_off_events_stay_off(folder: Path, wake: threading.Event) -> None:
    with FolderEvents(folder, wake, mode="off", mounts=lambda: LOCAL) as events:
        shutil.rmtree(folder)
        folder.mkdir()
        events.check()
        assert events.state == "off: by configuration"


def test_a_folder_that_is_not_there_yet_is_listened_to_once_it_is(folder: Path, wake: threading.Event) -> None:
    folder.rmdir()
    with FolderEvents(folder, wake, mounts=lambda: LOCAL) as events:
        assert events.state == "off: the folder is not there"
        folder.mkdir()
        events.check()
        assert events.state == "on"


@pytest.mark.parametrize("where", ["__init__", "schedule", "start"])
@pytest.mark.parametrize(
    ("refusal", "cure"),
    [
        (OSError(errno.ENOSPC, "inotify watch limit reached"), "max_user_watches"),
        (OSError(errno.EMFILE, "inotify instance limit reached"), "max_user_instances"),
        (RuntimeError("a defect"), "rescans go on"),
    ],
    ids=["watches", "instances", "defect"],
)
def test_where_listening_is_refused_the_log_says_once_how_to_allow_it(
    folder: Path,
    wake: threading.Event,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    where: str,
    refusal: Exception,
    cure: str,
) -> None:
    from watchdog.observers.inotify import InotifyObserver

    def refuses(*values: object, **names: object) -> None:
        raise refusal

    caplog.set_level(logging.INFO)
    monkeypatch.setattr(InotifyObserver, where, refuses)
    with FolderEvents(folder, wake, mounts=lambda: LOCAL) as events:
        events.check()
        assert cure in events.state
    assert caplog.text.count(cure) == 1


# Events, looks and the ledger together


def test_a_folder_with_every_kind_of_arrival_ends_up_in_the_ledger(folder: Path, tmp_path: Path) -> None:
    """As the daemon does it: looks when woken or due, never sleeps, and rescans."""
    wake, stop = threading.Event(), threading.Event()
    (folder / "before.tif").write_bytes(b"1")

    def arrive() -> None:
        (folder / "quick.tif").write_bytes(b"1")
        (folder / ".renamed.part").write_bytes(b"1")
        (folder / ".renamed.part").rename(folder / "renamed.tif")
        (folder / "sub").mkdir()
        (folder / "sub/deep.tif").write_bytes(b"1")
        with (folder / "slow.tif").open("wb", buffering=0) as slow:
            for _ in range(5):
                slow.write(b"1")
                stop.wait(0.05)
        os.link(folder / "quick.tif", folder / "linked.tif")  # no close event at all

    sizes = {"before.tif": 1, "linked.tif": 1, "quick.tif": 1, "renamed.tif": 1, "slow.tif": 5, "sub/deep.tif": 1}
    writer = threading.Thread(target=arrive)
    with Journal.open(tmp_path / "state") as journal, FolderEvents(folder, wake, mounts=lambda: LOCAL) as events:
        known = {path: entry.fingerprint for path, entry in journal.ledger.entries().items()}
        settler = Settler(0.2, 60.0, known.get)
        writer.start()

        def complete() -> bool:
            events.check()
            ready = settler.observe(scan(folder, PATTERNS), time.monotonic(), events.take(), events.opened())
            for entry in journal.ledger.admit_many((one.sighting.path, one.sighting.fingerprint) for one in ready):
                known[entry.path] = entry.fingerprint
            return {path: found.size for path, found in known.items()} == sizes

        until(complete, wake)
        writer.join()
        assert {entry.revision for entry in journal.ledger.entries().values()} == {1}


def test_what_is_open_is_known_until_it_is_closed_and_a_reader_does_not_close_it(
    folder: Path, events: FolderEvents, wake: threading.Event
) -> None:
    with (folder / "slow.tif").open("wb", buffering=0) as slow:
        slow.write(b"1")
        (folder / "slow.tif").read_bytes()
        (folder / "quick.tif").write_bytes(b"1")
        hears(events, "quick.tif", wake)
        until(lambda: events.opened() == {"slow.tif"})
    hears(events, "slow.tif", wake)
    assert events.opened() == frozenset()


def test_what_is_no_longer_awaited_is_forgotten_though_nobody_closed_it(
    folder: Path, events: FolderEvents, wake: threading.Event
) -> None:
    with (folder / "gone.tif").open("wb", buffering=0) as gone, (folder / "moved.part").open("wb", buffering=0):
        gone.write(b"1")
        until(lambda: events.opened() == {"gone.tif", "moved.part"})
        (folder / "gone.tif").unlink()
        (folder / "moved.part").rename(folder / "moved.tif")
        hears(events, "moved.tif", wake)
        assert events.opened() == {"gone.tif"}
        events.keep_opened({"moved.tif"})
        assert events.opened() == frozenset()

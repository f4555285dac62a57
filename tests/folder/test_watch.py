"""The folder in, finished new files out: on a real folder, with real events."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from edge.folder import watch
from edge.folder.watch import FolderEvents, FolderGone, Settler, Sighting, network_file_system, scan
from edge.journal import Journal
from edge.records import Fingerprint
from tests import ROOT

PATTERNS = ("*.tif", "*.png")
LOCAL = "/dev/sda1 / ext4 rw 0 0\n"
PATIENCE_S = 30.0


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "export"
    folder.mkdir()
    return folder


def look(folder: Path, **how: Any) -> dict[str, Sighting]:
    return {sighting.path: sighting for sighting in scan(folder, PATTERNS, **how)}


def kinds(folder: Path, **how: Any) -> dict[str, str]:
    return {path: sighting.kind for path, sighting in look(folder, **how).items()}


# Looking


def test_a_file_is_seen_with_its_size_and_time(folder: Path) -> None:
    (folder / "a.tif").write_bytes(b"12345")
    os.utime(folder / "a.tif", ns=(7, 8))
    assert list(scan(folder, PATTERNS)) == [Sighting("a.tif", 5, 8, "file")]
    assert look(folder)["a.tif"].fingerprint == Fingerprint(5, 8)


@pytest.mark.parametrize("name", ["a.tif", "A.TIF", "b.PnG"])
def test_patterns_match_in_any_case(folder: Path, name: str) -> None:
    (folder / name).touch()
    assert list(kinds(folder)) == [name]


@pytest.mark.parametrize("name", [".a.tif", "a.tif~", "a.tif.part", "a.tif.tmp", "a.txt"])
def test_hidden_unfinished_and_other_files_are_passed_over(folder: Path, name: str) -> None:
    (folder / name).touch()
    assert list(scan(folder, ["*", *PATTERNS] if name != "a.txt" else PATTERNS)) == []


def test_subfolders_are_looked_into_only_when_recursive(folder: Path) -> None:
    (folder / "x/y").mkdir(parents=True)
    (folder / "x/y/a.tif").touch()
    (folder / "b.tif").touch()
    assert sorted(kinds(folder)) == ["b.tif", "x/y/a.tif"]
    assert sorted(kinds(folder, recursive=False)) == ["b.tif"]


def test_hidden_folders_are_passed_over(folder: Path) -> None:
    (folder / ".snapshot").mkdir()
    (folder / ".snapshot/a.tif").touch()
    assert kinds(folder) == {}
    assert kinds(folder, only=[".snapshot/a.tif"]) == {}


@pytest.mark.parametrize("name", [b"\xff.tif", b"line\nbreak.tif", "µ ß.tif".encode(), b"a'\"\\.tif"])
def test_any_name_that_a_file_system_allows_is_seen(folder: Path, name: bytes) -> None:
    (folder / os.fsdecode(name)).touch()
    assert [os.fsencode(path) for path in kinds(folder)] == [name]
    assert [os.fsencode(path) for path in kinds(folder, only=[os.fsdecode(name)])] == [name]


def test_a_link_to_a_file_inside_is_followed(folder: Path) -> None:
    (folder / "a.tif").write_bytes(b"123")
    (folder / "link.tif").symlink_to("a.tif")
    seen = look(folder)["link.tif"]
    assert (seen.kind, seen.size) == ("file", 3)


def test_a_link_that_leaves_the_folder_is_told_and_not_followed(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "export-secret.tif").write_bytes(b"secret")
    (folder / "link.tif").symlink_to(tmp_path / "export-secret.tif")
    seen = look(folder)["link.tif"]
    assert (seen.kind, seen.size) == ("outside_folder", 0)


def test_a_link_that_leads_nowhere_or_in_a_circle_is_passed_over(folder: Path) -> None:
    (folder / "nowhere.tif").symlink_to("nothing")
    (folder / "circle.tif").symlink_to("circle.tif")
    assert kinds(folder) == {}


def test_a_linked_folder_is_not_looked_into(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/a.tif").touch()
    (folder / "linked").symlink_to(tmp_path / "elsewhere")
    (folder / "self").symlink_to(".")
    assert kinds(folder) == {}


def test_a_watched_folder_that_is_itself_a_link_works(folder: Path, tmp_path: Path) -> None:
    (folder / "a.tif").touch()
    (folder / "link.tif").symlink_to("a.tif")
    (tmp_path / "alias").symlink_to(folder)
    assert kinds(tmp_path / "alias") == {"a.tif": "file", "link.tif": "file"}


def test_a_folder_with_an_images_name_is_no_file_but_its_images_count(folder: Path) -> None:
    (folder / "x.tif").mkdir()
    before = look(folder)["x.tif"]
    (folder / "x.tif/a.tif").touch()
    assert kinds(folder) == {"x.tif": "not_a_file", "x.tif/a.tif": "file"}
    assert look(folder)["x.tif"] == before


def test_pipes_and_sockets_are_no_files_and_are_never_opened(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(folder / "pipe.tif")
    monkeypatch.chdir(folder)  # the path of a socket must be short
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("socket.tif")
        assert kinds(folder) == {"pipe.tif": "not_a_file", "socket.tif": "not_a_file"}


@contextlib.contextmanager
def open_to_all() -> Iterator[Path]:
    """A folder that another user can reach; pytest's own is closed."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


def seen_by_nobody(folder: Path) -> tuple[list[str], list[str]]:
    """What an ordinary user sees in two scans: kinds and paths, and warnings."""
    script = (
        "import os, sys, logging; from pathlib import Path; from edge.folder.watch import scan\n"
        "logging.basicConfig(format='%(message)s')\n"
        "os.getuid() or os.setuid(65534)\n"
        "denied = set()\n"
        "for _ in range(2): found = list(scan(Path(sys.argv[1]), ['*.tif'], denied=denied))\n"
        "print(*sorted(f'{one.kind} {one.path} {one.fingerprint.readable}' for one in found), sep='\\n')"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-c", script, str(folder)], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines(), done.stderr.splitlines()


def test_a_file_without_permission_is_unreadable() -> None:
    with open_to_all() as folder:
        (folder / "a.tif").touch(mode=0o000)
        (folder / "b.tif").touch(mode=0o644)
        assert seen_by_nobody(folder) == (["file b.tif True", "unreadable a.tif False"], [])


def test_a_subfolder_without_permission_is_warned_of_once_and_the_rest_is_seen() -> None:
    with open_to_all() as folder:
        (folder / "closed").mkdir(mode=0o700)
        (folder / "closed").chmod(0o000)
        (folder / "b.tif").touch(mode=0o644)
        seen, warnings = seen_by_nobody(folder)
        assert seen == ["file b.tif True"]
        assert len(warnings) == 1
        assert "cannot list 'closed'" in warnings[0]


def test_a_sidecar_counts_whatever_its_case_and_its_change_too(folder: Path) -> None:
    (folder / "a.tif").touch()
    assert look(folder)["a.tif"].sidecar == ""
    (folder / "A.TXT").write_text("$CM_MAG 100")
    first = look(folder)["a.tif"]
    assert first.sidecar.startswith("A.TXT\t11\t")
    assert first.fingerprint.sidecar == first.sidecar
    (folder / "A.TXT").write_text("$CM_MAG 1000")
    assert look(folder)["a.tif"].sidecar != first.sidecar
    assert look(folder, only=["a.tif"]) == look(folder)


def test_a_look_at_some_paths_finds_them_as_a_look_at_all_does(folder: Path) -> None:
    for name in ("a.tif", "a.txt", "A.TXT", "b.tif", "c.png", "a.hdr", "a.tif.hdr"):
        (folder / name).touch()
    for patterns in (PATTERNS, ("*",)):
        whole = {sighting.path: sighting for sighting in scan(folder, patterns)}
        for path, sighting in whole.items():
            assert list(scan(folder, patterns, only=[path])) == [sighting]


def test_a_look_at_some_paths_asks_for_no_others(folder: Path) -> None:
    (folder / "x").mkdir()
    for name in ("a.tif", "b.tif", "x/c.tif", "x/d.txt"):
        (folder / name).touch()
    assert sorted(kinds(folder, only=["a.tif", "x/c.tif", "x/d.txt", "gone.tif", "gone/a.tif"])) == ["a.tif", "x/c.tif"]
    assert sorted(kinds(folder, recursive=False, only=["a.tif", "x/c.tif"])) == ["a.tif"]


def test_a_folder_that_is_gone_says_so(folder: Path) -> None:
    folder.rmdir()
    with pytest.raises(FolderGone, match="mount the share"):
        look(folder)
    folder.touch()
    with pytest.raises(FolderGone):
        look(folder)


def test_twenty_thousand_files_are_seen_and_known_ones_passed_over(folder: Path, tmp_path: Path) -> None:
    for number in range(20_000):
        os.close(os.open(folder / f"{number}.tif", os.O_CREAT | os.O_WRONLY))
    sightings = list(scan(folder, PATTERNS))
    assert len(sightings) == 20_000
    with Journal.open(tmp_path / "state") as journal:
        journal.ledger.admit_many((sighting.path, sighting.fingerprint) for sighting in sightings)
        known = {path: entry.fingerprint for path, entry in journal.ledger.entries().items()}
    assert Settler(1.0, known.get).observe(scan(folder, PATTERNS), 0.0) == ([], None)


# Deciding


def seen(path: str = "a.tif", size: int = 1, mtime_ns: int = 1, **more: Any) -> Sighting:
    return Sighting(path, size, mtime_ns, **{"kind": "file", **more})


class Ledger(dict[str, Fingerprint]):
    def take(self, sightings: list[Sighting]) -> None:
        self.update({sighting.path: sighting.fingerprint for sighting in sightings})


@pytest.fixture
def ledger() -> Ledger:
    return Ledger()


@pytest.fixture
def settler(ledger: Ledger) -> Settler:
    return Settler(1.0, ledger.get)


def test_a_file_is_ready_when_two_looks_far_enough_apart_found_it_the_same(settler: Settler) -> None:
    assert settler.observe([seen()], 10.0) == ([], 11.0)
    assert settler.observe([seen()], 10.9) == ([], 11.0)
    assert settler.observe([seen()], 11.0) == ([seen()], None)


def test_a_growing_file_is_not_ready(settler: Settler) -> None:
    for moment in range(5):
        assert settler.observe([seen(size=moment)], float(moment)) == ([], moment + 1.0)
    assert settler.observe([seen(size=4)], 5.0).ready == [seen(size=4)]


def test_a_file_whose_time_alone_changes_is_not_ready(settler: Settler) -> None:
    settler.observe([seen(mtime_ns=1)], 0.0)
    assert settler.observe([seen(mtime_ns=2)], 5.0) == ([], 6.0)


def test_a_file_from_the_future_is_ready_all_the_same(settler: Settler) -> None:
    ahead = seen(mtime_ns=time.time_ns() + 3600 * 10**9)
    settler.observe([ahead], 0.0)
    assert settler.observe([ahead], 1.0).ready == [ahead]


def test_a_closed_file_is_ready_at_once(settler: Settler) -> None:
    assert settler.observe([seen(size=5, mtime_ns=7)], 0.0, {"a.tif": (5, 7)}).ready == [seen(size=5, mtime_ns=7)]


def test_a_file_that_changed_after_it_was_closed_is_not(settler: Settler) -> None:
    assert settler.observe([seen(size=6, mtime_ns=8)], 0.0, {"a.tif": (5, 7)}) == ([], 1.0)


def test_what_is_ready_is_told_until_the_ledger_knows_it(settler: Settler, ledger: Ledger) -> None:
    settler.observe([seen()], 0.0, {"a.tif": (1, 1)})
    assert settler.observe([seen()], 0.1).ready == [seen()]
    ledger.take([seen()])
    assert settler.observe([seen()], 0.2) == ([], None)


def test_a_known_file_that_changes_must_settle_anew(settler: Settler, ledger: Ledger) -> None:
    ledger.take([seen()])
    assert settler.observe([seen()], 0.0) == ([], None)
    assert settler.observe([seen(size=2)], 1.0) == ([], 2.0)
    assert settler.observe([seen(size=2)], 2.0).ready == [seen(size=2)]


def test_a_late_sidecar_makes_a_known_file_ready_again(settler: Settler, ledger: Ledger) -> None:
    ledger.take([seen()])
    settler.observe([seen(sidecar="a.txt\t1\t1")], 0.0)
    assert settler.observe([seen(sidecar="a.txt\t1\t1")], 1.0).ready == [seen(sidecar="a.txt\t1\t1")]


def test_ready_files_come_oldest_first(settler: Settler) -> None:
    files = [seen("b.tif", mtime_ns=3), seen("c.tif", mtime_ns=1), seen("a.tif", mtime_ns=3)]
    settler.observe(files, 0.0)
    assert [sighting.path for sighting in settler.observe(files, 1.0).ready] == ["c.tif", "a.tif", "b.tif"]


def test_a_file_that_vanished_and_came_back_must_settle_anew(settler: Settler) -> None:
    settler.observe([seen()], 0.0)
    assert settler.observe([], 0.5) == ([], None)
    assert settler.observe([seen()], 1.0) == ([], 2.0)


def test_a_partial_look_forgets_nothing_and_due_paths_are_named(settler: Settler) -> None:
    settler.observe([seen("a.tif")], 0.0)
    settler.observe([seen("b.tif")], 0.5, partial=True)
    assert (settler.due(0.9), settler.due(1.0), settler.due(1.5)) == (set(), {"a.tif"}, {"a.tif", "b.tif"})
    assert settler.observe([seen("a.tif")], 1.0, partial=True) == ([seen("a.tif")], 1.5)


def test_a_file_that_is_gone_when_it_is_due_is_awaited_no_longer(settler: Settler) -> None:
    settler.observe([seen("a.tif"), seen("b.tif")], 0.0)
    settler.defer("b.tif", seen("b.tif").fingerprint, "incomplete", 1.0)
    assert settler.observe([], 1.0, partial=True) == ([], None)


def test_without_settling_time_the_first_look_is_enough(ledger: Ledger) -> None:
    assert Settler(0.0, ledger.get).observe([seen()], 0.0).ready == [seen()]


def test_an_incomplete_file_is_ready_again_when_it_did_not_change_for_so_long(settler: Settler) -> None:
    settler.observe([seen()], 0.0)
    settler.observe([seen()], 1.0)
    settler.defer("a.tif", seen().fingerprint, "incomplete", 60.0)
    assert settler.observe([seen()], 59.0) == ([], 60.0)
    assert settler.is_deferred("a.tif", 59.0)
    assert settler.observe([seen()], 60.0).ready == [seen(waited=frozenset(["incomplete"]))]
    assert not settler.is_deferred("a.tif", 60.0)


def test_an_incomplete_file_that_grows_is_ready_when_it_settled_and_may_be_waited_for_again(settler: Settler) -> None:
    settler.observe([seen()], 0.0)
    settler.defer("a.tif", seen().fingerprint, "incomplete", 60.0)
    settler.observe([seen(size=2)], 30.0)
    assert settler.observe([seen(size=2)], 31.0).ready == [seen(size=2)]
    settler.defer("a.tif", seen(size=2).fingerprint, "incomplete", 60.0)
    assert settler.observe([seen(size=2)], 89.0) == ([], 90.0)


def test_different_waits_for_one_content_add_up_and_none_is_waited_for_twice(settler: Settler) -> None:
    fingerprint = seen().fingerprint
    settler.observe([seen()], 0.0, {"a.tif": (1, 1)})
    settler.defer("a.tif", fingerprint, "sidecar", 2.0)
    settler.observe([seen()], 2.0)
    settler.defer("a.tif", fingerprint, "zero_tail", 10.0)
    assert settler.waited("a.tif", fingerprint) == {"sidecar", "zero_tail"}
    assert settler.observe([seen()], 9.0) == ([], 10.0)
    assert settler.observe([seen()], 10.0).ready == [seen(waited=frozenset(["sidecar", "zero_tail"]))]
    with pytest.raises(ValueError, match="waited for already"):
        settler.defer("a.tif", fingerprint, "sidecar", 2.0)


def test_what_the_ledger_knows_can_be_deferred_and_is_told_once_more(settler: Settler, ledger: Ledger) -> None:
    settler.observe([seen()], 0.0)
    ledger.take(settler.observe([seen()], 1.0).ready)
    settler.observe([seen()], 2.0)
    settler.defer("a.tif", seen().fingerprint, "incomplete", 60.0)
    assert settler.observe([seen()], 61.0) == ([], 62.0)
    assert settler.observe([seen()], 62.0).ready == [seen(waited=frozenset(["incomplete"]))]
    assert settler.observe([seen()], 63.0) == ([], None)
    assert settler.waited("a.tif", seen().fingerprint) == frozenset()  # what is done with is forgotten


def test_a_sidecar_that_arrives_ends_the_wait_for_it(settler: Settler) -> None:
    settler.observe([seen()], 0.0, {"a.tif": (1, 1)})
    settler.defer("a.tif", seen().fingerprint, "sidecar", 60.0)
    with_sidecar = seen(sidecar="a.txt\t1\t1")
    settler.observe([with_sidecar], 1.0)
    assert settler.observe([with_sidecar], 2.0).ready == [with_sidecar]


# Being woken


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


def hears(events: FolderEvents, path: str, wake: threading.Event) -> watch.Stamp:
    heard: dict[str, watch.Stamp] = {}

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
    assert [sighting.path for sighting in settler.observe(scan(folder, PATTERNS), 0.0, {"a.tif": stamp}).ready] == ["a.tif"]


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
        broken.setattr(events, "_heard", breaks)
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


# Together


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
        settler = Settler(0.2, known.get)
        writer.start()

        def complete() -> bool:
            events.check()
            ready, _ = settler.observe(scan(folder, PATTERNS), time.monotonic(), events.take())
            for entry in journal.ledger.admit_many((sighting.path, sighting.fingerprint) for sighting in ready):
                known[entry.path] = entry.fingerprint
            return {path: found.size for path, found in known.items()} == sizes

        until(complete, wake)
        writer.join()
        atomic = ("before.tif", "linked.tif", "renamed.tif")  # the others may be caught half-written on a busy machine
        assert [journal.ledger.entries()[name].revision for name in atomic] == [1, 1, 1]

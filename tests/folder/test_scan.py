"""A look at a real folder: what is seen, what is passed over."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from edge.folder.scan import WARNED_OF, FolderGone, Sighting, scan
from edge.folder.settle import Settler
from edge.journal import Journal
from edge.records import Fingerprint
from edge.sem import sidecar_names
from tests import ROOT

PATTERNS = ("*.tif", "*.png")


def look(folder: Path, **how: Any) -> dict[str, Sighting]:
    return {sighting.path: sighting for sighting in scan(folder, PATTERNS, **how)}


def kinds(folder: Path, **how: Any) -> dict[str, str]:
    return {path: sighting.kind for path, sighting in look(folder, **how).items()}


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
        "import os, sys, logging; from pathlib import Path; from edge.folder.scan import scan\n"
        "logging.basicConfig(format='%(message)s')\n"
        "os.getuid() or os.setuid(65534)\n"
        "denied = {}\n"
        "for _ in range(2): found = list(scan(Path(sys.argv[1]), ['*.tif'], denied=denied))\n"
        "print(*sorted(f'{one.kind} {one.path} {one.fingerprint.readable}' for one in found), sep='\\n')"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-c", script, str(folder)], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines(), done.stderr.splitlines()


def touched(file: Path) -> None:
    """A file that all may read, whatever the umask."""
    file.touch()
    file.chmod(0o644)


def test_a_file_without_permission_is_unreadable() -> None:
    with open_to_all() as folder:
        (folder / "a.tif").touch(mode=0o000)
        touched(folder / "b.tif")
        assert seen_by_nobody(folder) == (["file b.tif True", "unreadable a.tif False"], [])


def test_a_subfolder_without_permission_is_warned_of_once_and_the_rest_is_seen() -> None:
    with open_to_all() as folder:
        (folder / "closed").mkdir(mode=0o700)
        (folder / "closed").chmod(0o000)
        touched(folder / "b.tif")
        seen, warnings = seen_by_nobody(folder)
        assert seen == ["file b.tif True"]
        assert len(warnings) == 1
        assert "cannot look at 'closed'" in warnings[0]


def test_a_folder_that_may_be_listed_but_not_entered_tells_of_each_file_and_folder_in_it() -> None:
    with open_to_all() as folder:
        (folder / "x/y").mkdir(parents=True)
        (folder / "x/a.tif").touch(mode=0o644)
        (folder / "x").chmod(0o744)
        seen, warnings = seen_by_nobody(folder)
        assert seen == ["unreadable x/a.tif False"]
        assert sorted(warning.split("'")[1] for warning in warnings) == ["x/a.tif", "x/y"]


def test_who_cannot_be_looked_at_is_kept_with_the_reason_until_it_can(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "x").mkdir()
    (folder / "x/a.tif").touch()
    (folder / "b.tif").touch()
    denied: dict[str, str] = {}
    real = os.scandir
    with monkeypatch.context() as closed:
        closed.setattr(os, "scandir", lambda path: _refuse(path) if str(path).endswith("/x") else real(path))
        assert kinds(folder, denied=denied) == {"b.tif": "file"}
        assert denied == {"x": "Permission denied"}
        kinds(folder, only=["b.tif"], denied=denied)
        assert denied == {"x": "Permission denied"}
    kinds(folder, only=["x/a.tif"], denied=denied)
    assert denied == {}


def _refuse(path: object) -> None:
    raise PermissionError(errno.EACCES, "Permission denied", str(path))


def test_a_subfolder_that_was_removed_is_denied_no_longer(folder: Path) -> None:
    denied = {"gone": "Permission denied"}
    kinds(folder, denied=denied)
    assert denied == {}


@pytest.mark.parametrize("inside", ["deeper", "a.tif"])
def test_a_path_that_is_too_long_is_denied_and_hides_no_other(
    folder: Path, inside: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Windows' programs on a share make such folders; Linux lists them from within alone."""
    (folder / "b.tif").touch()
    monkeypatch.chdir(folder)
    length = len(str(folder))
    while length + 201 < 4090:
        os.mkdir("n" * 200)  # noqa: PTH102 - relative on purpose
        os.chdir("n" * 200)
        length += 201
    name = "m" * (4096 - length) + inside if inside.endswith(".tif") else "m" * 200
    (os.mkdir if inside == "deeper" else os.mknod)(name)
    if inside == "deeper":
        os.chdir(name)
        os.mknod("a.tif")
    denied: dict[str, str] = {}
    assert kinds(folder, denied=denied) == {"b.tif": "file"}
    assert list(denied.values()) == ["File name too long"]


def test_of_many_that_cannot_be_looked_at_the_log_names_some(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(50):
        (folder / str(number)).mkdir()
    real = os.scandir
    monkeypatch.setattr(os, "scandir", lambda path: real(path) if Path(path) == folder else _refuse(path))
    denied: dict[str, str] = {}
    kinds(folder, denied=denied)
    assert len(denied) == 50
    assert len(caplog.messages) == WARNED_OF + 1


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
    settler = Settler(1.0, 60.0, known.get)
    assert settler.observe(scan(folder, PATTERNS), 0.0) == []
    assert settler.next_moment() is None


def test_a_link_that_leads_further_than_the_stack_is_deep_hides_no_other_name(tmp_path: Path) -> None:
    target = "0.link"
    (tmp_path / target).write_bytes(b"1")
    for number in range(1, 1500):
        (tmp_path / f"{number}.link").symlink_to(target)
        target = f"{number}.link"
    (tmp_path / "deep.png").symlink_to(target)
    (tmp_path / "good.png").write_bytes(b"1")
    assert kinds(tmp_path)["good.png"] == "file"


@pytest.mark.parametrize("name", ["a.tif", "b.c.TIF", "ss.ß.png", "x"])
def test_each_sidecar_begins_with_the_name_of_its_image(name: str) -> None:
    """What finds the images of a sidecar among very many rests on it."""
    assert all(side.casefold().startswith(name.rpartition(".")[0].casefold() or name) for side in sidecar_names(name))


def test_a_sidecar_alone_finds_the_images_that_it_may_describe(tmp_path: Path) -> None:
    for name in ("a.tif", "A.png", "ab.tif", "b.tif", "A.txt", "b-tif.hdr"):
        (tmp_path / name).touch()
    found = {one.path: one.sidecar.partition("\t")[0] for one in scan(tmp_path, PATTERNS, only={"A.txt"})}
    assert found == {"a.tif": "A.txt", "A.png": "A.txt"}
    assert [one.path for one in scan(tmp_path, PATTERNS, only={"b-tif.hdr"})] == ["b.tif"]
    assert list(scan(tmp_path, PATTERNS, only={"gone.txt"})) == []

"""What was asked for beside the daemon is found by it, whole or not at all."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from edge.errors import StateError
from edge.journal import requests


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "state").mkdir(mode=0o700)
    return tmp_path / "state"


def test_what_was_left_is_found_oldest_first_until_it_is_removed(folder: Path) -> None:
    assert requests.waiting(folder) == []
    requests.leave(folder, ["a", "b"])
    requests.leave(folder, ["c"])
    files = requests.waiting(folder)
    assert [requests.read(file) for file in files] == [["a", "b"], ["c"]]
    requests.remove(files[0])
    requests.remove(files[0])
    assert requests.waiting(folder) == files[1:]


def test_many_ids_are_spread_over_files_that_are_read(folder: Path) -> None:
    ids = [f"{number:036d}" for number in range(3 * requests.MOST_IDS + 1)]
    assert requests.leave(folder, ids) == 4
    assert [one for file in requests.waiting(folder) for one in requests.read(file)] == ids


def test_no_one_else_may_read_or_write_them_whatever_the_umask(folder: Path) -> None:
    before = os.umask(0)
    try:
        requests.leave(folder, ["a"])
    finally:
        os.umask(before)
    (file,) = requests.waiting(folder)
    assert [stat.S_IMODE(path.stat().st_mode) for path in (file, file.parent)] == [0o600, 0o700]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root writes for another user")
def test_what_root_leaves_belongs_to_the_services_user(folder: Path) -> None:
    os.chown(folder, 12345, 12346)
    requests.leave(folder, ["a"])
    (file,) = requests.waiting(folder)
    assert [(path.stat().st_uid, path.stat().st_gid) for path in (file, file.parent)] == [(12345, 12346)] * 2


def test_a_state_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StateError, match="service's user"):
        requests.leave(tmp_path / "file", ["a"])


@pytest.mark.parametrize(
    "data",
    [b"", b"{", b"[]", b'{"schema": "edge.request/1"}', b'{"schema": "edge.request/1", "inspect": [1]}', b"\xff", b"[" * 99999],
)
def test_anything_else_is_refused(folder: Path, data: bytes) -> None:
    (folder / "x.json").write_bytes(data)
    with pytest.raises(ValueError):
        requests.read(folder / "x.json")


def test_what_is_too_large_is_not_read(folder: Path) -> None:
    with (folder / "x.json").open("wb") as stream:
        stream.truncate(1 << 40)
    with pytest.raises(ValueError, match="more than"):
        requests.read(folder / "x.json")

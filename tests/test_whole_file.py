"""A file is there as a whole or not at all, and root follows no link."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from edge import whole_file
from edge.whole_file import opened_whole, own_folder, write_whole


def test_a_file_is_replaced_and_nothing_is_left_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "ü a.json"
    for data, mode in ((b"one", 0o600), (b"two", 0o644)):
        write_whole(path, data, mode=mode)
        assert path.read_bytes() == data
        assert path.stat().st_mode & 0o777 == mode
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("call", ["fsync", "replace", "fchmod"])
def test_what_fails_leaves_the_earlier_file(tmp_path: Path, call: str, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a"
    write_whole(path, b"earlier")

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(whole_file.os, call, full)
        with pytest.raises(OSError, match="No space"):
            write_whole(path, b"later")
    assert path.read_bytes() == b"earlier"
    assert list(tmp_path.iterdir()) == [path]


def test_what_ends_in_the_middle_leaves_the_earlier_file(tmp_path: Path) -> None:
    path = tmp_path / "a"
    write_whole(path, b"earlier")

    def broken() -> None:
        with opened_whole(path) as stream:
            stream.write(b"begun")
            raise KeyError

    with pytest.raises(KeyError):
        broken()
    assert path.read_bytes() == b"earlier"
    assert list(tmp_path.iterdir()) == [path]


def test_without_a_mode_the_umask_decides(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write_whole(tmp_path / "a", b"x", mode=None)
    finally:
        os.umask(before)
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o640


def test_no_link_is_followed(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"kept")
    (tmp_path / ".a.tmp").symlink_to(victim)
    with pytest.raises(OSError, match=r"symbolic link|Too many levels"):
        write_whole(tmp_path / "a", b"new")
    assert victim.read_bytes() == b"kept"
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with pytest.raises(OSError, match=r"[Nn]ot a directory|Too many"):
        write_whole(tmp_path / "link" / "b", b"new", owner_of=tmp_path)
    with pytest.raises(OSError, match=r"[Nn]ot a directory|Too many"):
        own_folder(tmp_path / "link", tmp_path)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_what_root_writes_belongs_to_whom_the_folder_belongs(tmp_path: Path) -> None:
    os.chown(tmp_path, 12345, 54321)
    place = own_folder(tmp_path / "requests", tmp_path)
    write_whole(place / "a", b"x", owner_of=tmp_path)
    for made in (place, place / "a"):
        assert (made.stat().st_uid, made.stat().st_gid) == (12345, 54321)
    assert place.stat().st_mode & 0o777 == 0o700


def test_where_no_folder_can_be_opened_a_file_is_whole_or_not_at_all_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on Windows."""
    monkeypatch.setattr(whole_file, "FOLDERS_OPEN", False)
    path = tmp_path / "a"
    write_whole(path, b"earlier")

    def broken() -> None:
        with opened_whole(path) as stream:
            stream.write(b"begun")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        broken()
    assert path.read_bytes() == b"earlier"
    assert list(tmp_path.iterdir()) == [path]
    assert own_folder(tmp_path / "place", tmp_path).is_dir()

"""A file is read once with what the microscope wrote beside it, or refused with a code that says why."""

from __future__ import annotations

import errno
import hashlib
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import pytest

from edge.errors import ImageError
from edge.folder import file
from edge.folder.file import SIDECAR_LIMIT_BYTES, FileBusyError, read_file
from edge.sem import sidecar_names

ENOUGH = 1 << 20


def refused(path: Path, max_bytes: int = ENOUGH, within: Path | None = None) -> str:
    with pytest.raises(ImageError) as caught:
        read_file(path, max_bytes, within)
    assert caught.value.message
    return caught.value.code


def test_what_is_hashed_is_what_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    path.write_bytes(b"pixels")
    read = read_file(path, ENOUGH)
    assert (read.data, read.size, read.mtime_ns) == (b"pixels", 6, path.stat().st_mtime_ns)
    assert read.sha256 == hashlib.sha256(b"pixels").hexdigest()
    assert read.sidecars == {}


def test_a_link_that_leaves_the_folder_is_refused_and_one_that_stays_is_read(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "secret.tif").write_bytes(b"secret")
    (folder / "real.tif").write_bytes(b"pixels")
    (folder / "out.tif").symlink_to(tmp_path / "secret.tif")
    (folder / "in.tif").symlink_to(folder / "real.tif")
    assert refused(folder / "out.tif", within=folder) == "outside_folder"
    assert refused(folder / ".." / "secret.tif", within=folder) == "outside_folder"
    assert read_file(folder / "in.tif", ENOUGH, folder).data == b"pixels"


def test_pipes_sockets_folders_and_devices_are_no_files_and_do_not_hang(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.mkfifo(tmp_path / "pipe.tif")
    (tmp_path / "folder.tif").mkdir()
    (tmp_path / "device.tif").symlink_to("/dev/null")
    monkeypatch.chdir(tmp_path)  # the whole name of a socket may have a hundred bytes only
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("socket.tif")
        for name in ("pipe.tif", "folder.tif", "device.tif", "socket.tif"):
            assert refused(tmp_path / name) == "not_a_file"


def test_a_file_at_the_limit_is_read_and_one_above_it_is_not(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    path.write_bytes(b"12345678")
    assert read_file(path, 8).size == 8
    assert refused(path, 7) == "too_large"


def test_a_file_that_is_gone_is_unreadable(tmp_path: Path) -> None:
    assert refused(tmp_path / "none.tif") == "unreadable"


def test_a_file_that_is_written_while_it_is_read_is_still_changing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.tif"
    path.write_bytes(b"first half")

    def written_meanwhile(descriptor: int, mode: str, **options: bool) -> object:
        with path.open("ab") as writer:
            writer.write(b", second half")
        return open(descriptor, mode, **options)

    monkeypatch.setattr(file, "open", written_meanwhile, raising=False)
    assert refused(path) == "still_changing"


@pytest.mark.parametrize("change", [str.lower, str.upper, str.title])
def test_a_sidecar_is_found_whatever_its_case(tmp_path: Path, change: object) -> None:
    assert callable(change)
    (tmp_path / "Sample_1.tif").write_bytes(b"pixels")
    for name in sidecar_names("Sample_1.tif"):
        (tmp_path / change(name)).write_bytes(name.encode())
    (tmp_path / "other.txt").write_bytes(b"of another image")
    sidecars = read_file(tmp_path / "Sample_1.tif", ENOUGH).sidecars
    assert sidecars == {change(name): name.encode() for name in sidecar_names("Sample_1.tif")}


def test_a_sidecar_that_is_empty_huge_or_no_file_does_not_cost_the_image(tmp_path: Path) -> None:
    (tmp_path / "a.tif").write_bytes(b"pixels")
    (tmp_path / "a.txt").write_bytes(b"")
    (tmp_path / "a.hdr").mkdir()
    with (tmp_path / "a-tif.hdr").open("wb") as stream:
        stream.truncate(SIDECAR_LIMIT_BYTES + 1)
    read = read_file(tmp_path / "a.tif", ENOUGH)
    assert (read.data, read.sidecars) == (b"pixels", {})


def test_a_link_that_leads_further_than_the_stack_is_deep_is_unreadable(tmp_path: Path) -> None:
    target = "nowhere"
    for number in range(1500):
        (tmp_path / f"{number}.png").symlink_to(target)
        target = f"{number}.png"
    with pytest.raises(ImageError) as refused:
        read_file(tmp_path / target, 1 << 20, within=tmp_path)
    assert refused.value.code in ("unreadable", "outside_folder")


def refusing(name: str, code: int) -> Callable[..., int]:
    real = os.open

    def opened(path: Path, flags: int, *more: int) -> int:
        if Path(path).name == name:
            raise OSError(code, os.strerror(code))
        return real(path, flags, *more)

    return opened


@pytest.mark.parametrize("code", [errno.EBUSY, errno.ETXTBSY, errno.EIO, errno.EHOSTDOWN, errno.ESTALE, errno.EACCES])
def test_what_another_program_or_a_failing_share_holds_back_is_busy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    """EACCES, though the permissions allow it: so a share says that the bytes are locked."""
    (tmp_path / "a.tif").write_bytes(b"pixels")
    monkeypatch.setattr(os, "open", refusing("a.tif", code))
    with pytest.raises(FileBusyError, match="edge-review retry"):
        read_file(tmp_path / "a.tif", ENOUGH)


def test_a_file_that_fails_in_the_middle_is_busy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.tif").write_bytes(b"pixels")

    def failing(*_: object, **__: object) -> NoReturn:
        raise OSError(errno.EACCES, "locked")

    monkeypatch.setattr(file, "open", failing, raising=False)
    with pytest.raises(FileBusyError):
        read_file(tmp_path / "a.tif", ENOUGH)


@pytest.mark.parametrize("code", [errno.ENOENT, errno.ELOOP, errno.ENAMETOOLONG])
def test_what_no_waiting_mends_is_not_busy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    (tmp_path / "a.tif").write_bytes(b"pixels")
    monkeypatch.setattr(os, "open", refusing("a.tif", code))
    with pytest.raises(ImageError) as caught:
        read_file(tmp_path / "a.tif", ENOUGH)
    assert caught.value.code == "unreadable"
    assert not isinstance(caught.value, FileBusyError)


def test_a_sidecar_that_is_held_back_is_waited_for_where_that_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.tif").write_bytes(b"pixels")
    (tmp_path / "a.txt").write_bytes(b"$CM_MAG 100")
    real = Path.read_bytes

    def held(path: Path) -> bytes:
        if path.name == "a.txt":
            raise OSError(errno.EBUSY, "Device or resource busy")
        return real(path)

    monkeypatch.setattr(Path, "read_bytes", held)
    with pytest.raises(FileBusyError, match=r"'a\.txt' beside it"):
        read_file(tmp_path / "a.tif", ENOUGH, needs_sidecars=True)
    assert read_file(tmp_path / "a.tif", ENOUGH).sidecars == {}

"""What of the watched folder cannot be reached, and that the empty place of a share does not pass for it."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.folder.reach import is_there, require, unreached
from edge.folder.scan import FolderGone

LOCAL = "/dev/sda1 / ext4 rw 0 0\n"


def test_a_folder_without_conditions_is_the_wanted_one(folder: Path) -> None:
    require(folder, mounts=lambda: LOCAL)


def test_a_folder_without_its_marker_is_gone_until_the_marker_is_there(folder: Path) -> None:
    with pytest.raises(FolderGone, match=r"\.export.*watch\.marker"):
        require(folder, ".export")
    (folder / ".export").touch()
    require(folder, ".export")


def test_a_folder_that_is_not_there_has_no_marker(folder: Path) -> None:
    folder.rmdir()
    with pytest.raises(FolderGone):
        require(folder, ".export")


@pytest.mark.parametrize(
    ("mounted", "there"),
    [
        ("", False),
        ("//nas/sem {folder} cifs rw 0 0\n", True),
        ("/dev/sdb1 {folder} ext4 rw 0 0\n", True),
        ("//nas/sem {folder}2 cifs rw 0 0\n", False),
        ("//nas/sem {above} cifs rw 0 0\n", False),
        ("systemd-1 {folder} autofs rw 0 0\n", False),
        ("systemd-1 {folder} autofs rw 0 0\n//nas/sem {folder} cifs rw 0 0\n", True),
    ],
)
def test_a_folder_that_must_be_a_mount_is_gone_unless_something_is_mounted_on_it(
    folder: Path, mounted: str, there: bool
) -> None:
    mounts = LOCAL + mounted.format(folder=folder, above=folder.parent)
    if there:
        require(folder, must_be_mount=True, mounts=lambda: mounts)
        return
    with pytest.raises(FolderGone, match=r"watch\.must_be_mount"):
        require(folder, must_be_mount=True, mounts=lambda: mounts)


def test_a_link_to_the_mount_counts(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "alias").symlink_to(folder)
    require(tmp_path / "alias", must_be_mount=True, mounts=lambda: f"{LOCAL}//nas/sem {folder} cifs rw 0 0\n")


def test_the_root_is_mounted() -> None:
    require(Path("/"), must_be_mount=True, mounts=lambda: LOCAL)


def test_nothing_is_told_where_all_was_seen() -> None:
    assert unreached({}) is None


def test_one_path_is_told_with_the_reason() -> None:
    text = unreached({"x": "Permission denied"})
    assert text == "1 path in the watched folder cannot be looked at: 'x' (Permission denied)"


def test_of_many_paths_the_first_three_are_named_and_all_counted() -> None:
    text = unreached({f"{'long' * 900}/{number}\n\udcff": "File name too long" for number in range(5)})
    assert text is not None
    assert text.startswith("5 paths")
    assert text.endswith("and 2 more")
    assert text.isprintable()
    assert len(text) < 300
    assert all(f"/{number}\\n" in text for number in range(3))


def test_a_folder_is_there_when_it_can_be_listed_and_is_the_wanted_one(folder: Path) -> None:
    assert is_there(folder)
    assert not is_there(folder / "gone")
    assert not is_there(folder, marker="mounted")
    (folder / "mounted").touch()
    assert is_there(folder, marker="mounted")
